"""A trial's edits one after another, and what is left of each of them at the checkpoints.

They are those of `behemoth edit --sequential`, in a folder of the trial: one that was killed goes
on at the last checkpoint or point to resume from, to the same bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.delta.delta import EditDelta
from behemoth.edit.protocol import EditContext, EditMethod, settings_of
from behemoth.edit.record import EditRecord, failures_within
from behemoth.edit.sequential import carry_out_in_sequence, checkpoints_of
from behemoth.evaluate.suites.sequence import outcomes
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.schemas import SEQUENCE
from behemoth.support.errors import CorpusError
from behemoth.support.progress import Advance
from behemoth.train.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["InSequence", "edits_in_order", "make_in_sequence", "sequence_rows"]


@dataclass(frozen=True)
class InSequence:
    """Edits made one after another.

    Attributes
    ----------
    record : EditRecord
        Of the folder, in which the sums at the checkpoints are.
    resumed : bool
        Whether some of them were made in an earlier session.
    """

    record: EditRecord
    resumed: bool


def edits_in_order(plan: EditPlan, corpus: Corpus) -> list[EditPlan]:
    """Return the plans of the single edits, without rows that retain what other edits change."""
    return (plan.as_batch(corpus) if plan.request.independent else plan).singles()


def make_in_sequence(
    place: Path,
    run: Run,
    model: PreTrainedModel,
    method: EditMethod,
    plan: EditPlan,
    ordered: Sequence[EditPlan],
    context: EditContext,
    checkpoint_at: Sequence[int] | None,
    step: Advance,
    together: int,
) -> tuple[InSequence, EditDelta]:
    """Make the edits of a plan one after another, or those that are missing.

    Parameters
    ----------
    place : Path
        Folder of the sums; those that are there are of the same trial.
    run : Run
    model : PreTrainedModel
        The unedited model, which is not changed.
    method : EditMethod
    plan : EditPlan
    ordered : sequence of EditPlan
        Plans of its edits; see `edits_in_order`.
    context : EditContext
    checkpoint_at
        See `checkpoints_of`.
    step : callable
        Called with (edits made, edits).
    together : int
        See `carry_out_in_sequence`.

    Returns
    -------
    tuple of InSequence and EditDelta
        What was made, and the sum of all changes.
    """
    record = EditRecord(
        directory=place,
        run=run.directory,
        spec_hash=run.corpus.spec_hash,
        plan_hash=plan.plan_hash,
        method=method.info.name,
        settings=settings_of(method),
        seed=context.seed,
        weights=run.weights_digest(),
        single=False,
        edits=tuple(plan.edits["edit"]),
        checkpoints=checkpoints_of(checkpoint_at, len(plan)),
    )
    if place.is_dir() and not _is_usable(record):
        shutil.rmtree(place)
    is_left = place.is_dir()
    try:
        return _made(record, model, method, ordered, context, step, together)
    except CorpusError:
        if not is_left:
            raise
        shutil.rmtree(place)  # a point to resume from is damaged
        return _made(record, model, method, ordered, context, step, together)


def _is_usable(record: EditRecord) -> bool:
    """Return whether what an earlier session left is of the same edits, and whole as far as told.

    Once all edits are made, nothing but the checkpoints is read.
    """
    try:
        left = EditRecord.read(record.directory)
        if left is None or record.differs(left) is not None:
            return False
        if record.is_there(None):
            for _ in record.sums():
                pass
    except CorpusError:
        return False
    return True


def _made(
    record: EditRecord,
    model: PreTrainedModel,
    method: EditMethod,
    ordered: Sequence[EditPlan],
    context: EditContext,
    step: Advance,
    together: int,
) -> tuple[InSequence, EditDelta]:
    before = len(ordered)
    if not record.is_there(None):  # else it was killed while it was measured
        _, before = carry_out_in_sequence(model, method, ordered, context, record, step, together)
    delta = EditDelta.load(record.delta_place(None))
    failed = tuple(failures_within(delta))
    return InSequence(replace(record, failed=failed), before > 0), delta


def sequence_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Return what is left of each edit at each checkpoint, columns as in `SEQUENCE`.

    Parameters
    ----------
    frame : polars.DataFrame
        The frame of `behemoth.evaluate.suites.sequence.sequence_frame`.
    """
    rows = outcomes(frame.filter(stage="after"))
    rows = rows.rename({"edit_exposures": "exposures", "edit_known": "known"})
    return rows.select(pl.col(name).cast(dtype) for name, dtype in SEQUENCE.items())
