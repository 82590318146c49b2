"""The suite of a trial: its edited model on the bench, beside the twin where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from behemoth.evaluate.suites.bench import CONTINUED, Bench
from behemoth.evaluate.suites.run import SUITES as ALL
from behemoth.evaluate.suites.suite import take
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.schemas import SUITES
from behemoth.train.run import Run

if TYPE_CHECKING:
    from transformers import GPTNeoXForCausalLM

    from behemoth.delta.delta import EditDelta

__all__ = ["bench_of", "suite_frame"]


def bench_of(
    run: Run,
    model: GPTNeoXForCausalLM,
    plan: EditPlan,
    deltas: Mapping[int | None, EditDelta],
    twin: Bench | None = None,
    *,
    frame: pl.DataFrame | None = None,
    continued: int = CONTINUED,
) -> Bench:
    """A bench with a model that is in memory already.

    Parameters
    ----------
    run : Run
        Whose corpus it is asked about.
    model : GPTNeoXForCausalLM
        Without the edits.
    plan : EditPlan
    deltas : mapping of int or None to EditDelta
        None of a twin.
    twin : Bench, optional
        What was worked out of it for one method is there for the next.
    frame : polars.DataFrame, optional
        What `evaluate_model` gave of these.
    continued : int
        As of `Bench`.
    """
    return Bench(
        run.directory, run, plan, deltas, lambda: model, None, twin,
        frame=frame, continued=continued,
    )  # fmt: skip


def suite_frame(suite: str, bench: Bench) -> pl.DataFrame:
    """Take a suite, and give one row a measure, columns as in `SUITES`."""
    table = take(ALL[suite], bench).table()
    grammar = bench.run.corpus.spec["corpus"].get("grammar")
    return table.with_columns(
        pl.lit(suite).alias("suite"),
        pl.lit(None if grammar is None else grammar["name"], pl.String).alias("grammar"),
        pl.lit(len(bench.plan)).alias("edits"),
    ).select(pl.col(name).cast(dtype) for name, dtype in SUITES.items())
