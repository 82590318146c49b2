"""What became of the trials of a board, finished or not, by world and number of edits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import polars as pl

from behemoth.study.results import Results

__all__ = ["OUTCOMES", "outcomes"]

OUTCOMES = {
    "suite": pl.String,
    "label": pl.String,
    "grammar": pl.String,
    "edits": pl.UInt32,
    "outcome": pl.String,
    "trials": pl.UInt32,
}
"""Columns of `outcomes`."""


def outcomes(results: Results, suites: pl.DataFrame) -> pl.DataFrame:
    """Return the number of trials that are done, have failed, or have not been run.

    Parameters
    ----------
    results : Results
    suites : polars.DataFrame
        `Results.suites`, collected.

    Returns
    -------
    polars.DataFrame
        Columns as in `OUTCOMES`. grammar: null for a corpus of templates; edits: of the plan, null
        if no trial has compiled it; outcome: ``done``, ``failed`` or ``not run``.
    """
    failed = {each.trial for each in results.failures}
    unrun = set(results.missing)
    worlds = dict(suites.select("model", "grammar").unique("model").iter_rows())
    given = {each["id"]: _grammar(each) for each in results.about.models}
    # A file of a grammar may be called otherwise than the grammar; a finished trial has its name.
    names = {given[model]: name for model, name in worlds.items() if given.get(model) is not None}

    def world_of(model: str) -> str | None:
        grammar = given.get(model)
        return worlds.get(model, names.get(grammar, _stem(grammar)))

    sizes = results.plan_sizes
    rows = [
        (
            trial.measure.get("suite"),
            trial.label,
            world_of(trial.model),
            sizes.get(trial.plan),
            "failed" if trial.id in failed else "not run" if trial.id in unrun else "done",
        )
        for trial in results.about.trials
    ]
    schema = {name: dtype for name, dtype in OUTCOMES.items() if name != "trials"}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    counted = frame.group_by(list(schema), maintain_order=True).agg(
        pl.len().cast(pl.UInt32).alias("trials")
    )
    return counted.select(list(OUTCOMES))


def _grammar(model: Mapping[str, Any]) -> str | None:
    """Return the name or the file of a model's grammar, as its corpus has it."""
    value = model.get("corpus", {}).get("corpus", {}).get("grammar")
    if isinstance(value, Mapping):  # beside a tokenizer of its own
        value = value.get("file", value.get("name"))
    return value if isinstance(value, str) else None


def _stem(grammar: str | None) -> str | None:
    return None if grammar is None else PurePath(grammar).stem
