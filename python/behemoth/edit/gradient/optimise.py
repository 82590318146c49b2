"""The one optimisation loop of all gradient methods, over K independent plans at once.

Adam, clipping and stopping are by plan: Adam is elementwise, norms are taken along the plan's own
slices, and a plan that stops or breaks down has its slices put aside while the others go on. So a
plan's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.delta.delta import Change
from behemoth.delta.stack import StackedDeltas
from behemoth.edit.protocol import EditContext
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan

from .budget import Budget
from .feeder import Feeder
from .trace import Trace

__all__ = ["Objective", "Outcome", "Step", "optimise"]


@dataclass
class Step:
    """One step's rows through the model, where answers are predicted: shapes [K, b, A, ...].

    A is the most tokens of an answer; K edits have b rows each. The edit's rows come first, once
    for each of the objective's columns, then the retained rows. Logits of prompts and of padding
    are never worked out: they are most of a sentence, and no loss looks at them.

    Attributes
    ----------
    labels : int64 [K, b, A]
        The tokens of the answers, `IGNORED` beyond their ends.
    edit_rows, columns : int
        Rows of an edit for each column, and the number of columns.
    logits : float [K, b, A, V]
        What the edited models say where these tokens stand.
    observed : dict of str to float [K, b, A, d]
        Outputs of the modules that the objective observes, at the same places.
    reference_logits, reference_observed
        The same of the unedited model, where the objective asks for it.
    """

    labels: Tensor
    edit_rows: int
    columns: int
    logits: Tensor
    observed: dict[str, Tensor] = field(default_factory=dict)
    reference_logits: Tensor | None = None
    reference_observed: dict[str, Tensor] = field(default_factory=dict)

    def edit(self, column: int = 0) -> slice:
        """The edit's rows with the answers of a column, along b."""
        return slice(column * self.edit_rows, (column + 1) * self.edit_rows)

    @property
    def retain(self) -> slice:
        """The retained rows, along b."""
        return slice(self.columns * self.edit_rows, None)

    @property
    def has_retained(self) -> bool:
        """Whether there are any."""
        return self.labels.shape[1] > self.columns * self.edit_rows

    @property
    def answers(self) -> Tensor:
        """Where there is a token of an answer: bool [K, b, A]."""
        return self.labels != IGNORED

    def token_log_probabilities(self, logits: Tensor | None = None) -> Tensor:
        """Log-probability of each token of the answers, 0 beyond their ends: [K, b, A]."""
        logits = self.logits if logits is None else logits
        losses = F.cross_entropy(
            widened(logits).flatten(0, -2),
            self.labels.flatten(),
            ignore_index=IGNORED,
            reduction="none",
        )
        return -losses.reshape(self.labels.shape)

    def nll(self, logits: Tensor | None = None) -> Tensor:
        """Summed negative log-likelihood of each row's answer: [K, b]."""
        return -self.token_log_probabilities(logits).sum(-1)

    def mean_nll(self) -> Tensor:
        """Mean over the answer's tokens: [K, b]."""
        return self.nll() / self.answer_tokens()

    def answer_tokens(self) -> Tensor:
        """Number of tokens of each row's answer: [K, b]."""
        return self.answers.sum(-1)


class Objective(Protocol):
    """What a method minimises."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Answers that the edit's rows come with: ``answer``, ``old_answer``, or both in turn."""
        ...

    @property
    def needs_reference(self) -> bool:
        """Whether steps come with the unedited model's logits."""
        ...

    @property
    def observe(self) -> tuple[str, ...]:
        """Modules whose outputs steps come with."""
        ...

    def __call__(self, step: Step) -> Tensor:
        """The loss of each plan: [K]."""
        ...


@dataclass
class Outcome:
    """What became of one plan."""

    changes: dict[str, Change]
    steps: int
    trace: list[dict[str, Any]]
    failure: str | None = None


def optimise(
    model: nn.Module,
    stacked: StackedDeltas,
    plans: Sequence[EditPlan],
    objective: Objective,
    budget: Budget,
    context: EditContext,
    project: Callable[[StackedDeltas], None] | None = None,
) -> list[Outcome]:
    """Minimise the objective of every plan over its own slices of the stacked changes.

    Parameters
    ----------
    model : nn.Module
        Stays as it is; in eval mode for the time of the call.
    stacked : StackedDeltas
        Tensors that require a gradient, one slice a plan.
    plans : sequence of EditPlan
    objective : Objective
    budget : Budget
    context : EditContext
    project : callable, optional
        Called after each step to keep the changes within bounds.

    Returns
    -------
    list of Outcome
        In the order of the plans.
    """
    device = next(model.parameters()).device
    feeder = Feeder(
        plans, objective.columns, budget.edit_rows, budget.retain_rows, context.seed, device
    )
    parameters = stacked.parameters()
    # One fused pass over memory: for dense changes the update is as dear as the backward pass.
    optimiser = torch.optim.Adam(
        parameters, lr=budget.learning_rate, fused=device.type in ("cpu", "cuda")
    )
    outcomes: list[Outcome | None] = [None] * len(plans)
    trace = Trace(plans, feeder)
    training = model.training
    model.eval()
    # Without this the backward pass would also work out gradients of the shared weights.
    frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        # One pass more than there are steps: the last one sees what the last step did.
        for number in range(budget.steps + 1):
            last = number == budget.steps
            with torch.no_grad() if last else nullcontext():
                step = _forward(model, stacked, feeder, objective)
                losses = objective(step)
            live = [outcome is None for outcome in outcomes]
            trace.record(number, step.logits.detach(), losses.detach(), live)
            _settle(stacked, step, losses.detach(), number, budget, trace, outcomes)
            if last or all(outcome is not None for outcome in outcomes):
                break
            optimiser.zero_grad(set_to_none=True)
            # A plan that is done adds nothing; a loss that is not a number stays in its slices.
            live = torch.tensor([outcome is None for outcome in outcomes], device=losses.device)
            torch.where(live, losses, torch.zeros_like(losses)).sum().backward()
            _clip(parameters, budget.clip)
            optimiser.step()
            if project is not None:
                with torch.no_grad():
                    project(stacked)
            context.progress(number + 1, budget.steps)
    finally:
        model.train(training)
        for parameter in frozen:
            parameter.requires_grad_(True)
    return [
        outcome or Outcome(stacked.unstack(k), budget.steps, trace.rows[k])
        for k, outcome in enumerate(outcomes)
    ]


def _forward(
    model: nn.Module, stacked: StackedDeltas, feeder: Feeder, objective: Objective
) -> Step:
    tokens, labels, places = feeder.next()
    reference, before = None, dict[str, Tensor]()
    if objective.needs_reference:
        with torch.no_grad():
            reference, before = _predict(model, tokens, places, objective.observe)
    with stacked.attached():
        logits, observed = _predict(model, tokens, places, objective.observe)
    return Step(labels, feeder.edit_rows, feeder.columns, logits, observed, reference, before)


def _predict(
    model: nn.Module, tokens: Tensor, places: Tensor, observe: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits [K, b, A, V] and outputs of modules [K, b, A, d] at places of the rows."""
    shape = places.shape
    flat = tokens.flatten(0, 1)
    starts = torch.arange(flat.shape[0], device=flat.device) * flat.shape[1]
    chosen = (places.flatten(0, 1) + starts[:, None]).flatten()

    def at_places(hidden: Tensor) -> Tensor:
        return hidden.flatten(0, 1).index_select(0, chosen).unflatten(0, shape)

    architecture = Architecture.of(model)
    with _Observer(model, observe) as seen:
        hidden = model.get_submodule(architecture.stream)(input_ids=flat)[0]
    # Rows stay grouped by edit, as stacked changes of the head want them.
    at_answers = at_places(hidden).flatten(0, 1)
    logits = model.get_submodule(architecture.head)(at_answers).unflatten(0, shape[:2])
    return logits, {name: at_places(value) for name, value in seen.items()}


class _Observer:
    """Collects the outputs of modules while it is entered."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self._modules = {name: model.get_submodule(name) for name in names}
        self._handles: list[Any] = []

    def __enter__(self) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        for name, module in self._modules.items():

            def keep(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                seen[name] = output[0] if isinstance(output, tuple) else output

            self._handles.append(module.register_forward_hook(keep))
        return seen

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _settle(
    stacked: StackedDeltas,
    step: Step,
    losses: Tensor,
    number: int,
    budget: Budget,
    trace: Trace,
    outcomes: list[Outcome | None],
) -> None:
    """Put aside the plans that broke down, or have what they wanted."""
    edit_loss = step.mean_nll()[:, step.edit()].mean(-1).tolist()
    for k, loss in enumerate(losses.tolist()):
        if outcomes[k] is not None:
            continue
        if not math.isfinite(loss):
            outcomes[k] = Outcome({}, number, trace.rows[k], f"loss {loss} at step {number}")
        elif budget.stop_loss is not None and edit_loss[k] < budget.stop_loss:
            outcomes[k] = Outcome(stacked.unstack(k), number, trace.rows[k])


def _clip(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale each plan's gradient to a norm of at most `largest`."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    scale = (largest / (norm + 1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient *= scale.view(-1, *[1] * (gradient.ndim - 1))
