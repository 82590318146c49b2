"""The suite of a trial: measures of its edited model, compared with a twin if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from behemoth.evaluate.suites.measured_model import CONTINUED, MeasuredModel
from behemoth.evaluate.suites.run import SUITES as ALL
from behemoth.evaluate.suites.suite import take
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.schemas import SUITES
from behemoth.train.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import EditRecord
    from behemoth.evaluate.unedited import Unedited

__all__ = ["measured_in_trial", "suite_frame"]


def measured_in_trial(
    run: Run,
    model: PreTrainedModel,
    plan: EditPlan,
    deltas: Mapping[int | None, EditDelta],
    twin: MeasuredModel | None = None,
    edit: EditRecord | None = None,
    *,
    frame: pl.DataFrame | None = None,
    continued: int = CONTINUED,
    added: bool = False,
    batch_size: int | None = None,
    findings: Unedited | None = None,
    reference: MeasuredModel | None = None,
    together: bool | None = None,
) -> MeasuredModel:
    """Return what a trial measures: a model that is already in memory.

    Parameters
    ----------
    run : Run
        Run whose corpus the model is evaluated on.
    model : PreTrainedModel
        The unedited model.
    plan : EditPlan
    deltas : mapping of int or None to EditDelta
        Edits of the model; empty for a twin, and for the unedited model.
    twin : MeasuredModel, optional
        The twin; values computed for one method are reused for the next.
    edit : EditRecord, optional
        Record of edits made one after another, for suite ``sequence``.
    frame : polars.DataFrame, optional
        Frame returned by `evaluate_model` for these deltas.
    continued, added, batch_size, findings, reference, together
        See `MeasuredModel`.
    """
    return MeasuredModel(
        run.directory, run, plan, deltas, lambda: model, edit, twin,
        frame=frame, continued=continued, batch_size=batch_size, in_trial=True, added=added,
        findings=findings, reference=reference, together=together,
    )  # fmt: skip


def suite_frame(suite: str, measured: MeasuredModel) -> pl.DataFrame:
    """Run a suite and return one row per measure, columns as in `SUITES`."""
    table = take(ALL[suite], measured).table()
    grammar = measured.run.corpus.spec["corpus"].get("grammar")
    return table.with_columns(
        pl.lit(suite).alias("suite"),
        pl.lit(None if grammar is None else grammar["name"], pl.String).alias("grammar"),
        pl.lit(len(measured.plan)).alias("edits"),
    ).select(pl.col(name).cast(dtype) for name, dtype in SUITES.items())
