"""Suites of several models or edits, measure by measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import polars as pl

from behemoth.store.source import at_hand
from behemoth.support.errors import ArgumentError, renamed

from .suite import SuiteResult, check_names

__all__ = ["compare"]

_ALLOWED = "two or more suites (what `evaluate --suite` writes)"
_SUITE = "the directory of a suite (`evaluate --suite NAME --out SUITE`)"

Suites = (
    Mapping[str, SuiteResult | str | PathLike[str]] | Sequence[SuiteResult | str | PathLike[str]]
)


def compare(suites: Suites, *, measures: Sequence[str] | None = None) -> pl.DataFrame:
    """Set suites side by side.

    The intervals are those of each suite alone, over the subjects of one model. Those of two edits
    of one model by one plan are over the same subjects, so a difference can be real although they
    overlap. What holds for other models, a study tells (`behemoth study run leaderboard`).

    Parameters
    ----------
    suites : sequence or mapping
        Results or directories of one suite, such as ``["rome", "lora"]``; by name, or named as they
        were given, results by their source.
    measures : sequence of str, optional
        Only these measures, in this order; by default all that one of the suites has.

    Returns
    -------
    polars.DataFrame
        A row for each measure and suite: columns measure, name, source and plan_hash (of the
        suite), and the others of `SuiteResult.table`. A suite that has not taken a measure has no
        value; ``missing`` states what it needs, if the suite asked for it.

    Raises
    ------
    ArgumentError
        When there are fewer than two, they are of different suites, have one name, or lack a
        measure, or one of the measures has several versions, whose values cannot be compared.
    CorpusError
        When the directory of one is damaged.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, repeats=2, probes=1)
    >>> found = {"before": bh.evaluate_suite("run", "editing", plan)}
    >>> for method in ("ft", "memit"):
    ...     edited = bh.edit("run", plan, method, out=method)
    ...     found[method] = bh.evaluate_suite(edited, "editing", plan)
    >>> bh.compare(found, measures=["efficacy"])["name"].to_list()
    ['before', 'ft', 'memit']
    """
    found = _named(suites)
    own = list(found.values())
    for name, result in found.items():
        if result.suite != own[0].suite:
            got = f"suite {own[0].suite} and, in {name}, {result.suite}"
            raise ArgumentError("suites", got, "results of one suite")
    tables = [
        result.table().with_columns(
            name=pl.lit(name),
            source=pl.lit(result.source),
            plan_hash=pl.lit(result.plan_hash, pl.String),
        )
        for name, result in found.items()
    ]
    both = pl.concat(tables)
    taken = both["measure"].unique(maintain_order=True).to_list()
    if measures is not None:
        check_names(measures)
    chosen = taken if measures is None else list(measures)
    for measure in chosen:
        if measure not in taken:
            raise ArgumentError.unknown("measures", measure, taken)
    of = both.select("name", "source", "plan_hash").unique(maintain_order=True)
    rows = pl.DataFrame({"measure": chosen}).join(of, how="cross", maintain_order="left_right")
    rows = rows.join(
        both.drop("source", "plan_hash"), on=["measure", "name"], how="left", maintain_order="left"
    )
    _check_versions(rows)
    return rows


def _named(suites: Suites) -> dict[str, SuiteResult]:
    """Return the results by name, read from their directories."""
    several = isinstance(suites, Mapping | Sequence) and not isinstance(suites, str)
    if not several or len(suites) < 2:
        got = next(iter(suites)) if several and suites else suites
        raise ArgumentError("suites", got, _ALLOWED)
    pairs = (
        suites.items()
        if isinstance(suites, Mapping)
        else [(one.source if isinstance(one, SuiteResult) else str(one), one) for one in suites]
    )
    found: dict[str, SuiteResult] = {}
    for name, one in pairs:
        if name in found:
            raise ArgumentError("suites", f"{name} twice", "suites of different names")
        found[name] = one if isinstance(one, SuiteResult) else _load(one)
    return found


def _load(place: str | PathLike[str]) -> SuiteResult:
    with renamed(directory="suites"):
        return SuiteResult.load(at_hand("directory", place, _SUITE))


def _check_versions(rows: pl.DataFrame) -> None:
    """Refuse a measure whose values were computed in several ways."""
    versions = rows.drop_nulls("value").group_by("measure", maintain_order=True)
    for (measure,), own in versions:
        if own["version"].n_unique() > 1:
            pairs = zip(own["version"], own["name"], strict=True)
            got = f"{measure} in " + " and ".join(f"version {v} ({name})" for v, name in pairs)
            raise ArgumentError(
                "suites", got, "suites of one version of behemoth, or other measures"
            )
