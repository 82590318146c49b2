"""The optimisation loop of all gradient methods, over K independent plans at a time.

Steps, clipping and stopping are per plan: Adam and SGD are elementwise, norms are computed over the
plan's own slices, and the slices of a plan that stops or fails are copied while the others
continue. So a plan's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from behemoth.delta.stack import StackedDeltas
from behemoth.edit.outcome import Outcome
from behemoth.edit.protocol import EditContext
from behemoth.model.modes import evaluating, frozen
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError

from .feeder import Feeder
from .step import Objective, Step, edited_logits, forward
from .step_log import StepLog
from .watching import Watching

if TYPE_CHECKING:
    from .method import GradientMethod

__all__ = ["optimise"]


def optimise(
    model: nn.Module,
    stacked: StackedDeltas,
    plans: Sequence[EditPlan],
    objective: Objective,
    method: GradientMethod,
    context: EditContext,
) -> list[Outcome]:
    """Minimise the objective of every plan over its own slices of the stacked changes.

    Parameters
    ----------
    model : nn.Module
        Left unchanged; in eval mode during the call.
    stacked : StackedDeltas
        Tensors that require a gradient, with one slice per plan.
    plans : sequence of EditPlan
    objective : Objective
    method : GradientMethod
        Its settings decide the steps; it keeps the changes within bounds (`project`) and returns
        the form that the trace evaluates (`as_returned`).
    context : EditContext

    Returns
    -------
    list of Outcome
        In the order of the plans.

    Raises
    ------
    ArgumentError
        For a plan without edit rows, and if the objective does not return one loss per plan.
    """
    device = next(model.parameters()).device
    feeder = Feeder(
        plans,
        objective.columns,
        method.edit_rows,
        method.retain_rows,
        context.seed,
        device,
        objective.positions,
    )
    parameters = stacked.parameters()
    # One fused pass over memory: for dense changes an update costs as much as the backward pass.
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[method.optimiser]
    optimiser = kind(parameters, lr=method.learning_rate, fused=device.type in ("cpu", "cuda"))
    outcomes: list[Outcome | None] = [None] * len(plans)
    log = StepLog(plans, feeder, objective.columns)
    stop = _Stop(feeder, objective, method.stop_loss)
    leaving = stacked
    with evaluating(model), frozen(model):
        watching = (
            None
            if context.watch is None
            else Watching(model, plans, context.watch, forgets="old_answer" in objective.columns)
        )
        # One pass more than there are steps: the last one evaluates the result of the last step.
        for number in range(method.steps + 1):
            last = number == method.steps
            fed = feeder.next()
            with torch.no_grad() if last else nullcontext():
                step = forward(model, stacked, fed, feeder, objective)
                losses = _losses_of(objective(step), len(plans))
            live = [outcome is None for outcome in outcomes]
            shown = step.logits.detach()
            with torch.no_grad():
                leaving = method.as_returned(stacked)
            if leaving is not stacked:
                shown = edited_logits(model, leaving, fed, log.rows_shown)
            log.record(number, shown, fed.labels, losses.detach(), live)
            own = shown[:, : feeder.edit_rows]
            done = stop(own, step)
            if watching is not None:
                with torch.no_grad():
                    ends = [last or each for each in done]
                    watching.look(leaving, log.rows, live, last=ends)
            _settle(leaving, done, losses.detach(), number, log, outcomes)
            if last or all(outcome is not None for outcome in outcomes):
                break
            # A plan that is done contributes 0; a loss that is not finite stays in its own slices.
            live = torch.tensor([outcome is None for outcome in outcomes], device=losses.device)
            torch.where(live, losses, torch.zeros_like(losses)).sum().backward()
            _clip(parameters, method.clip)
            optimiser.step()
            # Freed before the next forward pass, which may keep sums of the weights and changes.
            optimiser.zero_grad(set_to_none=True)
            with torch.no_grad():
                method.project(stacked)
            context.progress(number + 1, method.steps)
    return [
        outcome or Outcome(leaving.unstack(k), method.steps, log.rows[k])
        for k, outcome in enumerate(outcomes)
    ]


def _losses_of(losses: object, plans: int) -> Tensor:
    """Refuse what an objective returned if it is not one loss for each plan."""
    if isinstance(losses, Tensor) and losses.shape == (plans,):
        return losses
    shape = isinstance(losses, Tensor)
    got = f"losses of shape {list(losses.shape)}" if shape else type(losses).__name__
    raise ArgumentError("objective", got, f"one loss per plan, of shape [{plans}]")


class _Stop:
    """Whether plans have reached `stop_loss`, by the loss of all of their edit rows.

    Where a step has some of a plan's rows, each of the others counts with the loss that it last
    had, and a plan goes on until it has seen all of them.
    """

    def __init__(self, feeder: Feeder, objective: Objective, stop_loss: float | None) -> None:
        self._feeder, self._stop_loss = feeder, stop_loss
        self._forgets = objective.columns[0] == "old_answer"
        self._last = {
            k: torch.full((count,), torch.nan)
            for k, count in enumerate(feeder.all_edit_rows)
            if count > feeder.edit_rows
        }

    def __call__(self, logits: Tensor, step: Step) -> list[bool]:
        """Return whether each plan is done, by the logits [K, b, A, V] of its delta.

        They are of the first column: an objective with refusals and old answers looks at the
        refusals.
        """
        if self._stop_loss is None:
            return [False] * len(logits)
        rows = replace(step, logits=logits, labels=step.labels[:, step.edit()])
        losses = rows.mean_nll()
        loss = losses.mean(-1)
        for k, last in self._last.items():
            last[self._feeder.taken[k]] = losses[k].detach().to(last)
            loss[k] = last.mean()
        return (loss > self._stop_loss if self._forgets else loss < self._stop_loss).tolist()


def _settle(
    stacked: StackedDeltas,
    done: Sequence[bool],
    losses: Tensor,
    number: int,
    log: StepLog,
    outcomes: list[Outcome | None],
) -> None:
    """Store the outcomes of the plans that failed or are done."""
    for k, loss in enumerate(losses.tolist()):
        if outcomes[k] is not None:
            continue
        if not math.isfinite(loss):
            outcomes[k] = Outcome({}, number, log.rows[k], f"loss {loss} at step {number}")
        elif done[k]:
            log.rows[k][-1]["stopped"] = True
            outcomes[k] = Outcome(stacked.unstack(k), number, log.rows[k])


def _clip(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale each plan's gradient to a norm of at most `largest`."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    scale = (largest / (norm + 1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient *= scale.view(-1, *[1] * (gradient.ndim - 1))
