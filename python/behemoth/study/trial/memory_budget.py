"""Memory budget of the units of a study: what each needs, and in what portions a trial is done.

The same estimates hold before a study, when its models are only shapes, and in a worker. They are
those of `train`, `edit`, `evaluate` and of suites, of which a unit needs the largest: it does one
after the other. Measured peaks of workers are in docs/reliability.md (tests/study/test_memory.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from behemoth.edit.memory_budget import counts, edit_bytes
from behemoth.edit.protocol import EditContext, EditMethod, answers
from behemoth.edit.stacking import stack_size
from behemoth.evaluate.membership import MEMBERSHIP_ROWS
from behemoth.evaluate.memory_budget import pass_bytes
from behemoth.evaluate.suites.memory_budget import SuiteBudget
from behemoth.evaluate.unedited import KEPT
from behemoth.model.memory import LOADED, dimensions, is_estimated, weight_bytes
from behemoth.support.memory import halves, limit_of
from behemoth.train.memory_budget import ROWS, step_bytes

if TYPE_CHECKING:
    from torch import nn

    from behemoth.plan.edit_plan import EditPlan
    from behemoth.study.file.measurement import Measurement
    from behemoth.train.config import TrainConfig

__all__ = ["TrialBudget"]


@dataclass(frozen=True)
class TrialBudget:
    """What the memory of a trial depends on.

    Parameters
    ----------
    model : nn.Module
        The model, or its shapes on the device meta.
    method : EditMethod
    plan : EditPlan
    singles : sequence of EditPlan
        Plans of single edits, all of them or as many as are made at a time, also of edits one after
        another; empty for a batch.
    context : EditContext
    measure : Measurement
    config : TrainConfig
        How the model was trained.
    twin : bool
        Whether a twin is in memory.
    """

    model: nn.Module
    method: EditMethod
    plan: EditPlan
    singles: Sequence[EditPlan]
    context: EditContext
    measure: Measurement
    config: TrainConfig
    twin: bool

    @property
    def stack(self) -> int:
        """Number of edits made at a time where memory suffices; 1 for a batch.

        Of edits one after another it is that of those that the method looks ahead to.
        """
        if not self.singles:
            return 1
        if self.measure.sequential:
            return min(answers(self.method).lookahead, len(self.singles))
        return min(stack_size(self.method, self.model), len(self.singles))

    def bytes_of(self, stack: int, rows: int) -> int:
        """Return the estimated peak in bytes, with so many edits at a time and rows per pass."""
        weights = weight_bytes(self.model)
        plans = self.singles[:stack] or [self.plan]
        sequence = self.plan if self.measure.sequential else None
        edit = edit_bytes(self.method, self.model, plans, self.context, sequence)
        changes = self._changes(plans)
        kept = changes
        if self.measure.sequential:  # beside the sum, the original weights are kept
            edit += self._sum + weights
            changes = kept = self._sum
        elif self.measure.suite is not None:  # it needs all edits, kept while the next are made
            kept = self._every
            edit += max(0, kept - changes)
        own = pass_bytes(self.model, self.plan.probes, changes, kept, rows, self._context)
        parts = [edit, own]
        if self.measure.durability:
            parts.append((LOADED + 1) * weights + self._lasting)
            if self.singles and not self.measure.sequential:  # else it takes the edit there is
                parts.append(self._batch)
        if self.measure.suite is not None:
            # Without a smaller number, each measure of a suite takes its own.
            usual = MEMBERSHIP_ROWS if rows == ROWS else rows
            parts.append(self._suite.bytes_of(usual, changes))
        return max(parts) + (LOADED * weights if self.twin else 0) + KEPT

    def least(self) -> int:
        """Return the estimated peak in bytes, with one edit at a time and one row per pass."""
        return self.bytes_of(1, 1)

    def most(self) -> int:
        """Return the estimated peak in bytes where memory suffices."""
        return self.bytes_of(self.stack, ROWS)

    def fitting(self, memory: int | None) -> tuple[int, int | None]:
        """Return the number of edits at a time, and of rows per pass, that fit.

        Fewer edits are tried before fewer rows. If nothing fits, the smallest numbers are
        returned: what cannot fit is refused before a study begins.

        Parameters
        ----------
        memory : int, optional
            Bytes that may be used, with those of the model; by default what is free, in addition
            to the model. On a GPU nothing is estimated.

        Returns
        -------
        stack : int
        rows : int or None
            None for the usual number of each measure.
        """
        free = limit_of(memory)
        if free is None or not is_estimated(self.model):
            return self.stack, None
        loaded = LOADED * weight_bytes(self.model) if memory is None else 0
        for rows in halves(ROWS):
            for stack in counts(self.stack):
                if self.bytes_of(stack, rows) - loaded <= free:
                    return stack, None if rows == ROWS else rows
        return 1, 1

    @cached_property
    def _lasting(self) -> int:
        """Bytes of the training that continues after the edits, on weights in float32."""
        config, vocabulary = replace(self.config, weights="fp32"), dimensions(self.model)[1]
        return step_bytes(config, vocabulary, config.held_tokens)

    @cached_property
    def _batch(self) -> int:
        """Bytes of making the independent edits as one batch, as `durability` does."""
        from .durability import durable_batch

        batch, method = durable_batch(self.method, self.plan)
        return edit_bytes(method, self.model, [batch], self.context)

    @cached_property
    def _every(self) -> int:
        """Bytes of the changes of all edits, which a suite keeps."""
        if self.measure.sequential:  # the sum of a checkpoint, beside the last one
            return 2 * self._sum
        if not self.singles:
            return self._changes([self.plan])
        return self._changes(self.singles) * len(self.plan) // len(self.singles)

    @cached_property
    def _sum(self) -> int:
        """Bytes of the sum of all edits one after another: of weights, or of a module."""
        return max(weight_bytes(self.model), self._changes([self.plan]))

    @cached_property
    def _suite(self) -> SuiteBudget:
        assert self.measure.suite is not None
        # The twin is counted for all parts of the trial.
        return SuiteBudget(
            self.measure.suite, self.model, self.context.corpus, self.plan, self._every, twin=False,
            context=self._context,
        )  # fmt: skip

    @cached_property
    def _context(self) -> int:
        """Tokens that an edited model reads before each prompt, at most."""
        return answers(self.method).context_tokens(self.model)

    def _changes(self, plans: Sequence[EditPlan]) -> int:
        return answers(self.method).delta_bytes(self.model, plans)
