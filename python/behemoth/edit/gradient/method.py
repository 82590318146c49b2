"""The base class of gradient methods: it optimises stacked changes and returns deltas.

A method adds its defaults, its `MethodInfo` and its objective. The settings for the place of the
changes and the number of steps, and the order of the rows, are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, get_args

from behemoth.delta.delta import EditDelta
from behemoth.edit.bounds import ABOVE_0, FROM_0, Bounds, at_least
from behemoth.edit.outcome import deltas_of
from behemoth.edit.parametrise import (
    OUTSIDE,
    Part,
    change_bytes,
    dense_changes,
    low_rank_changes,
    weight_names,
)
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Range, Searched
from behemoth.support.errors import ArgumentError
from behemoth.support.fields import check_type
from behemoth.support.progress import part_of

from .budget import Budget
from .objectives import ANSWERS, Positions

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.stack import StackedDeltas
    from behemoth.plan.edit_plan import EditPlan

    from .step import Objective

__all__ = ["GradientMethod"]

_BATCH_ROWS = 256  # maximum number of edit rows in a step of a batch
# A change, its gradient, Adam's two moments, and the copy taken out of the stack.
_COPIES = 5


@dataclass(frozen=True)
class GradientMethod(Budget, ABC):
    """A method that minimises an objective over changes of chosen parameters.

    Attributes
    ----------
    part : {'all', 'mlp', 'attention', 'both', 'embedding', 'head'}
        Parameters that change: every one of the model, the weights of the linear modules of the
        MLP, of attention or of both, the matrix from the vocabulary to the residual stream, or that
        back to it.
    layers : tuple of int, optional
        Layers whose linear modules change, negative numbers from the last; by default all.
    rank : int, optional
        Rank of the changes (LoRA); full rank by default.
    alpha : float, optional
        Numerator of the scale of low-rank changes, alpha / rank; by default the rank, for scale 1.
    """

    part: Part = "all"
    layers: tuple[int, ...] | None = None
    rank: int | None = None
    alpha: float | None = None

    searched: ClassVar[Searched] = {
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "steps": Range(5, 80),
    }
    bounds: ClassVar[Bounds] = {
        **Budget.bounds,
        "retain": FROM_0, "forget": FROM_0,  # weights of terms that most methods have
        "rank": at_least(1), "alpha": ABOVE_0,
    }  # fmt: skip
    """Bounds of settings, also of those that only some methods have."""
    info: ClassVar[MethodInfo]
    columns: ClassVar[int] = 1
    """Number of the objective's columns: how often a step repeats the edit's rows, each time with
    other answers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Also where a subclass gives the field another type, such as `str`.
        check_type("part", self.part, Part)
        if self.layers is not None and self.part in OUTSIDE:
            raise ArgumentError("part", f"{self.part!r} with layers", "mlp, attention, both")
        if self.rank is None and self.alpha is not None:
            allowed = "none without a rank, whose scale it is"
            if hasattr(self, "retain"):  # which papers and other tools call alpha
                allowed += "; the weight of retained rows is `retain`"
            raise ArgumentError("alpha", self.alpha, allowed)
        if self.rank is not None and self.part == "all":
            raise ArgumentError("part", "'all' with a rank", "a part that is made of matrices")

    @abstractmethod
    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Objective:
        """Return the objective to minimise."""

    def project(self, stacked: StackedDeltas) -> None:
        """Keep the changes within bounds, in place, after each step; by default without bounds."""

    def as_returned(self, stacked: StackedDeltas) -> StackedDeltas:
        """Return the changes in the form of the returned delta; by default unchanged.

        The trace evaluates this form after each step, so that a dose is one of the returned delta.
        """
        return stacked

    def stacked(self, model: nn.Module, count: int, seed: int) -> StackedDeltas:
        """Return zero changes for `count` plans."""
        if self.rank is None:
            return dense_changes(model, count, self.changed_names(model))
        layers = self.changed_layers(model)
        alpha = self.rank if self.alpha is None else self.alpha
        return low_rank_changes(model, count, self.part, layers, self.rank, alpha, seed)

    def changed_layers(self, model: nn.Module) -> tuple[int, ...] | None:
        """Return the layers whose linear modules change; None for all."""
        return self.layers

    def changed_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters that change."""
        return weight_names(model, self.part, self.changed_layers(model))

    def low_rank(self) -> bool:
        """Return whether the setting `rank` limits the rank."""
        return self.rank is not None

    def effort(self) -> Effort:
        """Return the steps, with the edit rows of every column and the retained rows."""
        return Effort(self.steps, self.columns * self.edit_rows + self.retain_rows)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes that optimisation keeps for `count` plans' changes."""
        return count * _COPIES * change_bytes(model, self.changed_names(model), self.rank)

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the changes by themselves."""
        return len(plans) * change_bytes(model, self.changed_names(model), self.rank)

    def step_rows(self, plan: EditPlan) -> int:
        """Return the number of a plan's rows in a step."""
        edit, retain = self._rows_of(plan)
        return self.columns * edit + retain

    def _rows_of(self, plan: EditPlan) -> tuple[int, int]:
        """Return the numbers of edit rows and of retained rows in a step, limited by the plan's."""
        own = int((plan.training["role"] == "edit").sum())
        return min(self.edit_rows, own), min(self.retain_rows, plan.training.height - own)

    def for_batch(self, edits: int, wordings: int = 1) -> Self:
        """Return the method with as many edit rows per step as its edits have alone.

        These are at most 256, or `edit_rows` if that is more. Up to that cap each edit then occurs
        as often as a single one, of which a step has no more rows than it has wordings; above it,
        less often. Retained rows grow in proportion.
        """
        rows = max(self.edit_rows, min(_BATCH_ROWS, edits * min(self.edit_rows, wordings)))
        return replace(self, edit_rows=rows, retain_rows=self.retain_rows * rows // self.edit_rows)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one delta for each plan; plans with equal numbers of rows run side by side.

        A stack uses the same number of rows of each plan, so beside a plan with another number a
        plan would use other rows than by itself.
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
        self._check_columns(objective.columns)
        if objective.positions not in get_args(Positions):
            raise ArgumentError.unknown("positions", objective.positions, get_args(Positions))
        outcomes = optimise(model, stacked, plans, objective, self, context)
        return deltas_of(self, plans, outcomes, context)

    def _check_columns(self, columns: Sequence[str]) -> None:
        """Refuse columns of an objective that no row has, or of which the method counts others.

        Memory and time are estimated by the method's number, before there is an objective.
        """
        if isinstance(columns, str) or not columns:
            raise ArgumentError("columns", columns or "none", "a tuple, such as ('answer',)")
        for column in columns:
            if column not in ANSWERS:
                raise ArgumentError.unknown("columns", column, ANSWERS)
        if len(columns) != self.columns:
            allowed = f"{len(columns)}, as its objective has ({', '.join(columns)})"
            raise ArgumentError("columns", f"{self.columns} of {self.info.name}", allowed)
