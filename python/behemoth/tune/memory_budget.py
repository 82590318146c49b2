"""Memory budget of a tuning: how many rows go through a pass, and whether it fits, beforehand.

A tuning trains a twin if it needs one, then makes edits with settings of the search space and
scores each. The estimates are those of `train`, `edit` and of suites, of which it needs the largest
(tests/tune/test_memory_budget.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.edit.memory_budget import edit_bytes
from behemoth.edit.protocol import EditContext, EditMethod, answers
from behemoth.edit.search import Choice, Searched
from behemoth.evaluate.membership import MEMBERSHIP_ROWS
from behemoth.evaluate.suites.memory_budget import SuiteBudget
from behemoth.evaluate.suites.score import OBJECTIVES
from behemoth.model.device import find_device
from behemoth.model.memory import LOADED, weight_bytes
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import halves, limit_of, limit_text
from behemoth.support.text import bytes_text
from behemoth.train.memory_budget import require_room
from behemoth.train.run import Run, read_record

if TYPE_CHECKING:
    import torch
    from torch import nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.train.config import TrainConfig

__all__ = ["TuneBudget", "fitting_rows", "is_trained", "require_twin"]


@dataclass(frozen=True)
class TuneBudget:
    """What the memory of a trial depends on.

    Parameters
    ----------
    model : nn.Module
        The model, or its shapes on the device meta.
    run : Run
        The run that is edited.
    plan : EditPlan
    method : EditMethod
    searched : Searched
        The search space of the method.
    objective : str
        The score that is maximised (`behemoth.evaluate.suites.score.OBJECTIVES`).
    twin : bool
        Whether a twin is in memory.
    """

    model: nn.Module
    run: Run
    plan: EditPlan
    method: EditMethod
    searched: Searched
    objective: str
    twin: bool

    @classmethod
    def of(
        cls, run: Run, plan: EditPlan, method: EditMethod, searched: Searched, objective: str
    ) -> TuneBudget:
        """Return the budget of a tuning whose models are not loaded yet."""
        from behemoth.model.build import shape_of

        words = run.record.vocabulary_padded
        model = shape_of(run.config.size, words, run.config.block_length)
        return cls(model, run, plan, method, searched, objective, objective == "unlearning")

    def edits_bytes(self) -> int:
        """Return the estimated peak of the edits, in bytes, with the settings that need most."""
        twin = LOADED * weight_bytes(self.model) if self.twin else 0
        return self._edit_bytes(self._largest) + twin

    def score_bytes(self, rows: int) -> int:
        """Return the estimated peak of a score in bytes, with so many rows per pass."""
        changes = context = 0
        with suppress(ArgumentError):  # every trial fails with this, without a score
            said = answers(self._largest)
            changes = said.delta_bytes(self.model, [self.plan])
            context = said.context_tokens(self.model)
        objective = OBJECTIVES[self.objective]
        measures = {name for leg in objective.legs for name in leg.measures}
        suite = SuiteBudget(
            objective.suite, self.model, self.run.corpus, self.plan, changes, self.twin,
            measures=measures, context=context,
        )  # fmt: skip
        return suite.bytes_of(rows, changes)

    @cached_property
    def _largest(self) -> EditMethod:
        """The method with those values of its search space that need most memory."""
        found = self.method
        for name, one in self.searched.items():
            found = max([found, *self._with(found, name, one)], key=self._edit_bytes)
        return found

    def _with(self, method: EditMethod, name: str, one: Any) -> Iterator[EditMethod]:
        """Yield the method with the extreme values of a setting."""
        for value in one.values if isinstance(one, Choice) else (one.low, one.high):
            with suppress(ArgumentError):  # the trial fails with this
                own: EditMethod = replace(method, **{name: value})  # type: ignore[type-var]
                yield own

    def _edit_bytes(self, method: EditMethod) -> int:
        """Return the estimated peak of an edit; 0 for settings that are not for this model."""
        context = EditContext(self.run.corpus, run=self.run.directory)
        with suppress(ArgumentError):
            return edit_bytes(method, self.model, [self.plan], context)
        return 0


def is_trained(twin: Path) -> bool:
    """Return whether a directory holds a finished run."""
    record = read_record(twin)
    return record is not None and record.status == "finished"


def require_twin(run: Run, config: TrainConfig, corpus: Corpus, memory: int | None) -> None:
    """Refuse a twin whose training is estimated to need more memory than is available.

    Parameters
    ----------
    run : Run
        The run that is tuned on.
    config : TrainConfig
        How the twin is trained.
    corpus : Corpus
        The corpus of the twin.
    memory : int, optional
        Bytes that may be used; by default what the machine or the container has free.

    Raises
    ------
    ArgumentError
    """
    if find_device(config.device).type != "cpu":
        return
    try:
        require_room(config, corpus.vocabulary_size, memory=memory)
    except ArgumentError as error:
        raise ArgumentError(
            "on",
            f"{fspath(run.directory)}, whose twin is trained with {'.'.join(map(str, error.path))} "
            f"{error.got}",
            "what fits: a twin that is trained already (twin), or a smaller model",
        ) from None


def fitting_rows(
    run: Run,
    plan: EditPlan,
    method: EditMethod,
    searched: Searched,
    objective: str,
    device: torch.device | str | None = None,
    memory: int | None = None,
) -> int | None:
    """Return the number of rows per pass of a score that fit; None for each measure's own.

    Parameters
    ----------
    run, plan, method, searched, objective
        See `TuneBudget`.
    device : optional
        Device of the models; on a GPU nothing is estimated.
    memory : int, optional
        Bytes that may be used, with those of the model; by default what the machine or the
        container has free.

    Raises
    ------
    ArgumentError
        If the edits do not fit, or a score does not with one row per pass.
    """
    free = limit_of(memory)
    if free is None or find_device(device).type != "cpu":
        return None
    own = TuneBudget.of(run, plan, method, searched, objective)
    there = limit_text(free, memory)
    if own.edits_bytes() > free:
        raise ArgumentError(
            "method",
            f"{own.method.info.name}, whose search needs up to about "
            f"{bytes_text(own.edits_bytes())} of memory while {there}",
            "what fits: a smaller model (on), or a method that needs less",
        )
    fits = (rows for rows in halves(MEMBERSHIP_ROWS) if own.score_bytes(rows) <= free)
    rows = next(fits, None)
    if rows is None:
        raise ArgumentError(
            "on",
            f"{fspath(own.run.directory)}, whose score needs about "
            f"{bytes_text(own.score_bytes(1))} of memory while {there}",
            "what fits: a smaller model",
        )
    return None if rows >= MEMBERSHIP_ROWS else rows
