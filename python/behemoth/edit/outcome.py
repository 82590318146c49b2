"""What methods return: changes, with the method, settings, plan and seed that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from behemoth.delta.delta import Change, EditDelta

from .protocol import EditContext, EditMethod, settings_of

if TYPE_CHECKING:
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Outcome", "delta_of", "deltas_of"]


@dataclass
class Outcome:
    """The result of one plan."""

    changes: dict[str, Change]
    steps: int
    trace: list[dict[str, Any]]
    failure: str | None = None


def delta_of(
    method: EditMethod,
    plan: EditPlan,
    context: EditContext,
    changes: Mapping[str, Change],
    failure: str | None = None,
    trace: Sequence[dict[str, Any]] = (),
) -> EditDelta:
    """Return changes as the delta of a plan; those of an edit that failed are left out."""
    return EditDelta(
        changes=changes if failure is None else {},
        method=method.info.name,
        settings=settings_of(method),
        plan_hash=plan.plan_hash,
        seed=context.seed,
        failure=failure,
        trace=list(trace),
    )


def deltas_of(
    method: EditMethod,
    plans: Sequence[EditPlan],
    outcomes: Sequence[Outcome],
    context: EditContext,
) -> list[EditDelta]:
    """Return outcomes as deltas with their method, settings, plan and seed."""
    return [
        delta_of(method, plan, context, outcome.changes, outcome.failure, outcome.trace)
        for plan, outcome in zip(plans, outcomes, strict=True)
    ]
