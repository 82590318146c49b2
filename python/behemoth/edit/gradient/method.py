"""What all gradient methods share: plans in, stacked changes optimised, deltas out.

A method of this kind is its defaults, its `MethodInfo` and its objective; where it changes the
model, how many steps it takes and in what order it sees the rows is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from behemoth.delta.delta import EditDelta
from behemoth.edit.parametrise import OUTSIDE, Part, dense_changes, low_rank_changes
from behemoth.edit.protocol import (
    EditContext,
    EditMethod,
    Effort,
    MethodInfo,
    check_kinds,
    settings_of,
)
from behemoth.edit.search import Range, Searched
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import part_of

from .budget import Budget

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.stack import StackedDeltas
    from behemoth.plan.edit_plan import EditPlan

    from .optimise import Outcome
    from .step import Objective

__all__ = ["GradientMethod", "deltas_of"]

_BATCH_ROWS = 256  # the most rows that a step of a batch gets
# A change, its gradient, Adam's two moments, and a copy that is taken out of the stack.
_COPIES = 5


@dataclass(frozen=True)
class GradientMethod(Budget, ABC):
    """A method that minimises an objective over changes of chosen parameters.

    Attributes
    ----------
    part : {'all', 'mlp', 'attention', 'both', 'embedding', 'head'}
        Which parameters change: every one of the model, the weights of linear modules of all
        layers, or the matrix from the vocabulary to the residual stream, or that back to it.
    layers : tuple of int, optional
        Which layers' linear modules change, negative numbers from the last; all by default.
    rank : int, optional
        Rank of the changes (LoRA); full rank by default.
    alpha : float, optional
        Scale of low-rank changes, alpha / rank; by default the rank, for a scale of 1.
    """

    part: Part = "all"
    layers: tuple[int, ...] | None = None
    rank: int | None = None
    alpha: float | None = None

    searched: ClassVar[Searched] = {
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "steps": Range(5, 80),
    }
    info: ClassVar[MethodInfo]
    columns: ClassVar[int] = 1
    """Of the objective: how often a step takes the edit's rows, each time with other answers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("retain", "forget"):  # weights of terms, which most methods have
            if not getattr(self, name, 0.0) >= 0:
                raise ArgumentError(name, getattr(self, name), "from 0")
        if self.layers is not None and self.part in OUTSIDE:
            raise ArgumentError("part", f"{self.part!r} with layers", "mlp, attention, both")
        if self.rank is not None:
            if self.rank < 1:
                raise ArgumentError("rank", self.rank, "at least 1")
            if self.part == "all":
                raise ArgumentError("part", "'all' with a rank", "a part that is made of matrices")

    @abstractmethod
    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Objective:
        """What is minimised."""

    def project(self, stacked: StackedDeltas) -> None:
        """Keep the changes within bounds, after each step and in place; none by default."""

    def as_returned(self, stacked: StackedDeltas) -> StackedDeltas:
        """The changes in the form in which they are given back; as they are by default.

        The trace is of this form after each step, so that a dose is one of the delta that is
        given.
        """
        return stacked

    def stacked(self, model: nn.Module, count: int, seed: int) -> StackedDeltas:
        """Zero changes for so many plans."""
        layers = self.changed_layers(model)
        if self.rank is None:
            return dense_changes(model, count, self.part, layers)
        alpha = self.rank if self.alpha is None else self.alpha
        return low_rank_changes(model, count, self.part, layers, self.rank, alpha, seed)

    def changed_layers(self, model: nn.Module) -> tuple[int, ...] | None:
        """Layers whose linear modules change; none for all."""
        return self.layers

    def low_rank(self) -> bool:
        """Whether there is a rank."""
        return self.rank is not None

    def effort(self) -> Effort:
        """Rows that carry the edit, with each of their answers, and those that hold the rest."""
        return Effort(self.steps, self.columns * self.edit_rows + self.retain_rows)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """What optimisation keeps of each change."""
        changes = self.stacked(model, 1, 0).parameters()
        return count * _COPIES * sum(change.numel() * change.element_size() for change in changes)

    def step_rows(self, plan: EditPlan) -> int:
        """Rows that a step takes of a plan."""
        edit, retain = self._rows_of(plan)
        return self.columns * edit + retain

    def _rows_of(self, plan: EditPlan) -> tuple[int, int]:
        """Rows that carry the edit, and rows that hold the rest in place, as far as there are."""
        own = int((plan.training["role"] == "edit").sum())
        return min(self.edit_rows, own), min(self.retain_rows, plan.training.height - own)

    def for_batch(self, edits: int) -> Self:
        """As many rows a step as there are edits, so that each is seen as often as a single one."""
        rows = min(_BATCH_ROWS, max(self.edit_rows, edits))
        return replace(self, edit_rows=rows, retain_rows=self.retain_rows * rows // self.edit_rows)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """One delta for each plan, those that have as many rows trained side by side.

        With others of more rows or fewer a plan would get other rows than by itself: a stack takes
        as many of each.
        """
        check_kinds(self, plans)
        alike: dict[tuple[int, int], list[int]] = {}
        for number, plan in enumerate(plans):
            alike.setdefault(self._rows_of(plan), []).append(number)
        found: dict[int, EditDelta] = {}
        for done, numbers in enumerate(alike.values()):
            part = replace(context, progress=part_of(context.progress, done, len(alike)))
            own = [plans[number] for number in numbers]
            found |= zip(numbers, self._apply_alike(model, own, part), strict=True)
        return [found[number] for number in range(len(plans))]

    def _apply_alike(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        from .optimise import optimise

        stacked = self.stacked(model, len(plans), context.seed)
        objective = self.objective(model, plans, context)
        outcomes = optimise(
            model, stacked, plans, objective, self, context, self.project, self.as_returned
        )
        return deltas_of(self, plans, outcomes, context)


def deltas_of(
    method: EditMethod,
    plans: Sequence[EditPlan],
    outcomes: Sequence[Outcome],
    context: EditContext,
) -> list[EditDelta]:
    """Outcomes as deltas that say where they are from."""
    return [
        EditDelta(
            changes=outcome.changes,
            method=method.info.name,
            settings=settings_of(method),
            plan_hash=plan.plan_hash,
            seed=context.seed,
            failure=outcome.failure,
            trace=outcome.trace,
        )
        for plan, outcome in zip(plans, outcomes, strict=True)
    ]
