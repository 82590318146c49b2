"""The one optimisation loop of all gradient methods, over K independent plans at once.

Adam, clipping and stopping are by plan: Adam is elementwise, norms are taken along the plan's own
slices, and a plan that stops or breaks down has its slices put aside while the others go on. So a
plan's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import IGNORED, Order, edit_rows_of, retain_rows_of
from .delta import Change
from .plan import EditPlan
from .protocol import EditContext
from .stack import StackedDeltas

__all__ = ["Budget", "Objective", "Outcome", "Step", "optimise"]


@dataclass(frozen=True)
class Budget:
    """How a gradient method spends its steps.

    Attributes
    ----------
    steps : int
        Most Adam steps.
    learning_rate : float
        Step size.
    edit_rows : int
        Rows a step that carry the edit (fewer if the plan has fewer).
    retain_rows : int
        Rows a step that hold the rest in place; 0 for none.
    clip : float
        Largest norm of a plan's gradient.
    stop_loss : float, optional
        Stop a plan when its loss on the edit's rows falls below this; never by default.
    """

    steps: int = 40
    learning_rate: float = 3e-4
    edit_rows: int = 8
    retain_rows: int = 8
    clip: float = 1.0
    stop_loss: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("edit_rows", 1), ("retain_rows", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"argument '{name}': got {getattr(self, name)}, allowed: at least {least}"
                )
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"argument '{name}': got {getattr(self, name)}, allowed: above 0")


@dataclass
class Step:
    """One step's rows through the model: shapes [K, b, ...].

    The edit's rows come first, once for each of the objective's columns, then the retained rows.
    """

    tokens: Tensor
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
        return self.tokens.shape[1] > self.columns * self.edit_rows

    @property
    def answers(self) -> Tensor:
        """Where logits predict a token of an answer: bool [K, b, T - 1]."""
        return self.labels[..., 1:] != IGNORED

    def token_log_probabilities(self, logits: Tensor | None = None) -> Tensor:
        """Log-probability of each label, 0 where there is none: [K, b, T - 1]."""
        logits = self.logits if logits is None else logits
        targets = self.labels[..., 1:]
        losses = F.cross_entropy(
            logits[..., :-1, :].float().flatten(0, -2),
            targets.flatten(),
            ignore_index=IGNORED,
            reduction="none",
        )
        return -losses.reshape(targets.shape)

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
    feeder = _Feeder(plans, objective.columns, budget, context.seed, device)
    parameters = stacked.parameters()
    optimiser = torch.optim.Adam(parameters, lr=budget.learning_rate)
    outcomes: list[Outcome | None] = [None] * len(plans)
    traces: list[list[dict[str, Any]]] = [[] for _ in plans]
    training = model.training
    model.eval()
    # Without this the backward pass would also work out gradients of the shared weights.
    frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        for number in range(1, budget.steps + 1):
            step = _forward(model, stacked, feeder, objective)
            losses = objective(step)
            _record(step, losses, number - 1, feeder, traces, outcomes)
            _settle(stacked, step, losses, number - 1, budget, traces, outcomes)
            if all(outcome is not None for outcome in outcomes):
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
            context.progress(number, budget.steps)
    finally:
        model.train(training)
        for parameter in frozen:
            parameter.requires_grad_(True)
    return [
        outcome or Outcome(stacked.unstack(k), budget.steps, traces[k])
        for k, outcome in enumerate(outcomes)
    ]


class _Feeder:
    """Rows of every plan for one step after another, of one shape."""

    def __init__(
        self,
        plans: Sequence[EditPlan],
        columns: Sequence[str],
        budget: Budget,
        seed: int,
        device: torch.device,
    ) -> None:
        edit = [[edit_rows_of(plan, column) for column in columns] for plan in plans]
        retain = [retain_rows_of(plan) for plan in plans]
        for plan, rows in zip(plans, edit, strict=True):
            if not len(rows[0]):
                raise ValueError(f"argument 'plan': got {plan.plan_hash[:12]} without edit rows")
        every = [rows for group in [*edit, retain] for rows in group]
        length = max(rows.tokens.shape[1] for rows in every)
        self.edit = [[rows.padded(length) for rows in group] for group in edit]
        self.retain = [rows.padded(length) for rows in retain]
        self.columns = len(columns)
        self.edit_rows = min(budget.edit_rows, max(len(rows[0]) for rows in edit))
        self.retain_rows = min(budget.retain_rows, min(map(len, retain)))
        self.old = [_first_difference(plan) for plan in plans]
        self.taken: list[Tensor] = []
        self.device = device
        self._edit_order = [
            Order(rows[0].weight, plan, seed, 0) for rows, plan in zip(edit, plans, strict=True)
        ]
        self._retain_order = [
            Order(rows.weight, plan, seed, 1) for rows, plan in zip(retain, plans, strict=True)
        ]

    def next(self) -> tuple[Tensor, Tensor]:
        """Tokens and labels of the next step: int64 [K, b, T] each."""
        self.taken = [order.take(self.edit_rows) for order in self._edit_order]
        tokens, labels = [], []
        for k, at in enumerate(self.taken):
            parts = [(rows, at) for rows in self.edit[k]]
            if self.retain_rows:
                parts.append((self.retain[k], self._retain_order[k].take(self.retain_rows)))
            tokens.append(torch.cat([rows.tokens[chosen] for rows, chosen in parts]))
            labels.append(torch.cat([rows.labels[chosen] for rows, chosen in parts]))
        return torch.stack(tokens).to(self.device), torch.stack(labels).to(self.device)


def _first_difference(plan: EditPlan) -> Tensor | None:
    """Where old and new answers part: int64 [n, 3] of place, new token, old token.

    At that token greedy decoding chooses between the two, so p(new) > p(old) there is what
    an edit dose is measured by. None for plans whose rows have no old answer.
    """
    if "old_answer" not in plan.training.columns:
        return None
    frame = plan.training.filter(plan.training["role"] == "edit")
    places = []
    columns = (frame["prompt"].to_list(), frame["answer"].to_list(), frame["old_answer"].to_list())
    for prompt, new, old in zip(*columns, strict=True):
        if old is None:
            return None
        pairs = enumerate(zip(new, old, strict=False))
        at = next(((i, a, b) for i, (a, b) in pairs if a != b), None)
        if at is None:
            return None
        places.append((len(prompt) + at[0], at[1], at[2]))
    return torch.tensor(places, dtype=torch.int64)


def _forward(
    model: nn.Module, stacked: StackedDeltas, feeder: _Feeder, objective: Objective
) -> Step:
    tokens, labels = feeder.next()
    shape = tokens.shape[:2]
    flat = tokens.flatten(0, 1)
    reference, reference_observed = None, {}
    if objective.needs_reference:
        with torch.no_grad(), _Observer(model, objective.observe) as seen:
            reference = model(input_ids=flat).logits.unflatten(0, shape)
        reference_observed = {name: value.unflatten(0, shape) for name, value in seen.items()}
    with stacked.attached(), _Observer(model, objective.observe) as seen:
        logits = model(input_ids=flat).logits.unflatten(0, shape)
    return Step(
        tokens,
        labels,
        feeder.edit_rows,
        feeder.columns,
        logits,
        {name: value.unflatten(0, shape) for name, value in seen.items()},
        reference,
        reference_observed,
    )


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


def _record(
    step: Step,
    losses: Tensor,
    number: int,
    feeder: _Feeder,
    traces: list[list[dict[str, Any]]],
    outcomes: Sequence[Outcome | None],
) -> None:
    with torch.no_grad():
        for k, trace in enumerate(traces):
            if outcomes[k] is not None:
                continue
            row: dict[str, Any] = {"step": number, "loss": float(losses[k])}
            old = feeder.old[k]
            if old is not None:
                place, new, before = old[feeder.taken[k]].to(step.logits.device).T
                rows = torch.arange(step.edit_rows, device=place.device)
                scores = step.logits[k, rows, place - 1].float().log_softmax(-1)
                row["log_probability_new"] = float(scores[rows, new].mean())
                row["log_probability_old"] = float(scores[rows, before].mean())
            trace.append(row)


def _settle(
    stacked: StackedDeltas,
    step: Step,
    losses: Tensor,
    number: int,
    budget: Budget,
    traces: list[list[dict[str, Any]]],
    outcomes: list[Outcome | None],
) -> None:
    """Put aside the plans that broke down, or have what they wanted."""
    edit_loss = step.mean_nll()[:, step.edit()].mean(-1).tolist()
    for k, loss in enumerate(losses.tolist()):
        if outcomes[k] is not None:
            continue
        if not math.isfinite(loss):
            outcomes[k] = Outcome({}, number, traces[k], f"loss {loss} at step {number}")
        elif budget.stop_loss is not None and edit_loss[k] < budget.stop_loss:
            outcomes[k] = Outcome(stacked.unstack(k), number, traces[k])


def _clip(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale each plan's gradient to a norm of at most `largest`."""
    squares = sum(p.grad.flatten(1).square().sum(1) for p in parameters if p.grad is not None)
    assert isinstance(squares, Tensor)
    scale = (largest / (squares.sqrt() + 1e-12)).clamp(max=1.0)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad *= scale.view(-1, *[1] * (parameter.grad.ndim - 1))
