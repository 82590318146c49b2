"""The axes of a grid: their values in each trial, and those over which the tables of a study pool.

A table of a study has a row for a method, a size or a number of exposures, and none for the other
names of a grid: its numbers are over all of their values. Which names these are is found here, so
that a study can say it before it runs, and its report beside the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from behemoth.study.records import TrialRow
from behemoth.support.text import listed_text

from .expand import Expansion
from .grid import ROTATION, rotated, value_at
from .identity import canonical
from .measurement import Measurement
from .swap import SWAP

__all__ = ["axes_frame", "axes_of", "pooled_axes", "pooled_beforehand", "pooled_text"]

# Worlds and initialisations are the clusters of all intervals, rotated and swapped worlds belong
# to theirs, sizes and exposures have rows of their own, and the number of facts is the load.
_KNOWN = {"world.seed", "train.seed", "corpus.exposures", "plan.exposures", ".".join(ROTATION),
          ".".join(SWAP)}  # fmt: skip
_KNOWN_TO_TABLES = {"train.model", "world.subjects"}
# A board is of one suite, and has numbers by kind of world and number of edits of a plan, but not
# by size or load. Nor has the page on metrics of unlearning.
_KNOWN_TO_BOARDS = {"measure.suite", "plan.edits", "corpus.grammar"}


def axes_of(
    names: Sequence[str], row: TrialRow, model: Mapping[str, Any], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that axes of the grid have in a trial.

    They are those of its model, plan and measurement: a method may set values of its own.

    Parameters
    ----------
    names : sequence of str
        Dotted names.
    row : TrialRow
    model : mapping
        `ModelUnit.to_dict` of the trial's model.
    request : mapping
        The request of its plan; empty if it is not known.

    Returns
    -------
    dict
        A value by name; None where neither the study nor a default sets one.
    """
    if not names:
        return {}
    corpus = {**model["corpus"]["corpus"], "rotation": row.rotation, "swap": row.swap}
    if row.rotation:  # the unit has the rotated levels
        corpus["exposures"] = rotated(corpus["exposures"], -row.rotation)
    tables = {
        "world": {"seed": 0, **model["corpus"]["world"]},
        "corpus": corpus,
        "train": model["config"],
        "plan": request,
        "measure": {**asdict(Measurement()), **row.measure},  # which omits what is not used
    }
    values = {name: value_at(tables, name) for name in names}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def axes_frame(
    axes: Mapping[str, Sequence[Any]], trials: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """Return one row per trial: its id, and a column for each axis.

    Parameters
    ----------
    axes : mapping of str to sequence
        Values of the points of the grid by name (`grid_axes`), which decide the types of columns.
    trials : mapping of str to mapping
        Values of `axes_of` by the id of a trial.

    Returns
    -------
    polars.DataFrame
        Columns trial and the names. Values that are lists or tables, or of several types, are JSON.
    """
    columns = [pl.Series("trial", list(trials), dtype=pl.String)]
    for name, listed in axes.items():
        values = [own[name] for own in trials.values()]
        kinds = {type(value) for value in [*listed, *values] if value is not None}
        kind = next((each for each in _TYPES if kinds <= each), None)
        if kind is None:
            values = [None if value is None else canonical(value) for value in values]
        columns.append(pl.Series(name, values, dtype=pl.String if kind is None else _TYPES[kind]))
    return pl.DataFrame(columns)


_TYPES: dict[frozenset[type], Any] = {
    frozenset((bool,)): pl.Boolean,
    frozenset((int,)): pl.Int64,
    frozenset((int, float)): pl.Float64,
    frozenset((str,)): pl.String,
}


def pooled_axes(
    trials: Iterable[tuple[TrialRow, str, Mapping[str, Any]]],
) -> dict[str, list[Any]]:
    """Return the axes whose values no table of a study separates, with the values.

    Parameters
    ----------
    trials : iterable of (TrialRow, str, mapping)
        Trials with the size of their model and the values of `axes_of`.

    Returns
    -------
    dict of str to list
        Values by name, of axes that have several ones within a method and size (on a board, within
        a method, suite and kind of world); None is a value that is not set.
    """
    found: dict[str, dict[str, Any]] = {}
    within: dict[tuple[str, ...], set[str]] = {}
    for row, size, values in trials:
        suite = row.measure.get("suite")
        known = _KNOWN | (_KNOWN_TO_BOARDS if suite else _KNOWN_TO_TABLES)
        apart = [row.label, *([suite, values.get("corpus.grammar")] if suite else [size])]
        for name, value in values.items():
            if name not in known:
                key = canonical(value)
                found.setdefault(name, {}).setdefault(key, value)
                within.setdefault((name, canonical(apart)), set()).add(key)
    several = {name for (name, _), keys in within.items() if len(keys) > 1}
    return {name: list(values.values()) for name, values in found.items() if name in several}


def pooled_beforehand(names: Sequence[str], expansion: Expansion) -> dict[str, list[Any]]:
    """Return the `pooled_axes` of a complete study that has not run, of axes with these names."""
    if not names:
        return {}
    models = {name: unit.to_dict() for name, unit in expansion.models.items()}
    rows = ((trial.row(), trial.plan.request) for trial in expansion.trials)
    return pooled_axes(
        (
            row,
            expansion.models[row.model].config.model,
            axes_of(names, row, models[row.model], request.to_dict()),
        )
        for row, request in rows
    )


def pooled_text(pooled: Mapping[str, Sequence[Any]]) -> str:
    """Return the pooled axes with their values, as in a sentence.

    Examples
    --------
    >>> pooled_text({"plan.repeats": [4, 8], "corpus.grammar": [None, "bios-en"]})
    'plan.repeats (4 and 8) and corpus.grammar (default and bios-en)'
    """
    return listed_text(
        [f"{name} ({listed_text([_said(value) for value in pooled[name]])})" for name in pooled]
    )


def _said(value: Any) -> str:
    if value is None:
        return "default"
    return value if isinstance(value, str) else json.dumps(value)
