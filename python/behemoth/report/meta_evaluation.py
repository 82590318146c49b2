"""The page of a study that evaluates metrics of unlearning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from behemoth.study.analysis.judged import JUDGED
from behemoth.study.analysis.meta_evaluation import MetaEvaluation, judge, readings
from behemoth.study.results import Results
from behemoth.support.text import interval_text, listed_text

from .charts.meta_evaluation import meta_evaluation_figure
from .contents import Heading
from .page import (
    About,
    Table,
    absent_part,
    closing,
    counts_part,
    document,
    failures_part,
    figure_part,
    opening,
    table_part,
)
from .style import NOTHING, Absent, Figure, number
from .tables import duration

__all__ = ["MetaEvaluationPage", "meta_evaluation_of", "render_meta_evaluation"]

_ABOUT = {
    "forgetting": "forgetting",
    "privacy": "membership",
    "undoing": "relearning",
    "rest": "retained facts",
    "twin": "distance to the twin",
    "whole": "combined score",
}
_COLUMNS = {
    "area": "distinguishes the twin",
    "ranks": "ranks methods",
    "ranks_twin": "ranks methods, distance to the twin's",
    "doses": "ranks doses",
    "doses_twin": "ranks doses, distance to the twin's",
    "suppression": "fooled by refusal",
    "relearning": "fooled by relearning",
    "rounding": "fooled by rounding",
    "frequency": "per doubling",
}
_HOW = (
    "Distinguishes the twin: an area, 1 if the retrained twin always has a better value than the "
    "trained model, 0.5 if the metric cannot distinguish them; for metrics of retained facts 0.5 "
    "is right. Ranks: Kendall's tau with KL(twin || model) at the first token of answers, over the "
    "facts to forget or, for metrics of retained facts, over those; over pairs of different "
    "methods, or of one method at two settings (doses); by the value as papers interpret it, or "
    "by its distance to the twin's value. Fooled: the share called forgotten, that is with a value "
    "closer to the twin's than to the trained model's (forget quality: p above 0.05), among models "
    "that refuse and are far from the twin (a KL above half of the trained model's), and among "
    "models that give no more of the facts than the twin, but relearn in fewer steps, or have a "
    "recall closer to the trained model's with rounded weights. Per doubling: the change of the "
    "twin's value if the facts had been written twice as often, relative to its gap to the "
    "trained model; 0 is right, and above 0 the value rises, whichever way is better. Ranges below "
    "a number are 95% intervals over (world, initialisation): Newcombe's score interval for the "
    "area, the cluster jackknife for all others, which has none with one cluster, if leaving out a "
    "cluster changes nothing, or if the estimate needs one of the clusters. That per doubling is "
    "of the change alone: it takes the gap as known, and is too narrow where clusters differ in "
    "their gaps."
)


@dataclass(frozen=True)
class MetaEvaluationPage:
    """Contents of the page.

    Attributes
    ----------
    about : About
    counts : sequence of (str, str)
    readings : polars.DataFrame
        Values of the metrics that were judged.
    found : MetaEvaluation
    figure : Figure or Absent
    missing : polars.DataFrame
        Columns measure, missing: metrics that no trial has, and so are not judged, and why.
    failures : sequence of (str, str, str)
        Label, model and reason of trials that failed, or failed in part.
    """

    about: About
    counts: Sequence[tuple[str, str]]
    readings: pl.DataFrame
    found: MetaEvaluation
    figure: Figure | Absent
    missing: pl.DataFrame
    failures: Sequence[tuple[str, str, str]]


def meta_evaluation_of(results: Results, about: About) -> MetaEvaluationPage | None:
    """Return the contents of the page; None without both a trained model and a twin."""
    rows = readings(results)
    if not {"twin", "trained"} <= set(rows["role"]):
        return None
    found = judge(rows)
    methods = rows.filter(role="method")
    clusters = rows.select("world_seed", "seed").unique().height
    counts = [
        ("metrics judged", str(found.table.height)),
        ("clusters (world, init)", str(clusters)),
        ("plans on models", str(rows["block"].n_unique())),
        ("methods", str(methods["method"].n_unique())),
        ("unlearned models", f"{methods['trial'].n_unique():,}"),
        ("working time", duration(sum(results.seconds.values()))),
    ]
    return MetaEvaluationPage(
        about=about,
        counts=counts,
        readings=rows,
        found=found,
        figure=meta_evaluation_figure(found),
        missing=_missing(results, rows),
        failures=results.reasons,
    )


def _missing(results: Results, rows: pl.DataFrame) -> pl.DataFrame:
    unread = [name for name in JUDGED if name not in set(rows["measure"])]
    return (
        results.suites.filter(pl.col("measure").is_in(unread), suite="unlearning")
        .group_by("measure", maintain_order=True)
        .agg(pl.col("missing").drop_nulls().first())
        .drop_nulls()
        .collect()
    )


def render_meta_evaluation(page: MetaEvaluationPage) -> str:
    """Return the complete HTML file."""
    drawn = [page.figure] if isinstance(page.figure, Figure) else []
    title, *details = findings(page.found)
    parts: list[str | Heading] = [
        *opening(page.about, "study"),
        f'<div class="headline"><strong>{escape(title)}</strong>'
        f"{''.join(f'<p>{escape(said)}</p>' for said in details)}</div>",
        counts_part(page.counts),
        Heading("Each metric", "metrics-table"),
        f"<p>{escape(_HOW)}</p>",
        table_part(metric_table(page.found), "Each metric", whole=True),
        *absent_part(page.missing),
        figure_part(page.figure, 1),
    ]
    parts += failures_part(page.failures)
    parts += closing(page.about)
    return document(f"{page.about.name}: a Behemoth study", parts, drawn)


def findings(found: MetaEvaluation) -> list[str]:
    """Return the findings as sentences with their numbers; the first is the headline."""
    alone = [name for name, judged in JUDGED.items() if judged.alone and judged.about != "rest"]
    table = found.table.filter(pl.col("measure").is_in(alone))
    ranked = table.filter(pl.col("ranks").is_not_null() & pl.col("ranks_twin").is_not_null())
    if ranked.is_empty():
        return ["No finished trial shows yet how a metric ranks methods."]
    right = [_above(ranked, which) for which in ("ranks", "ranks_twin")]
    middle = [ranked[which].median() for which in ("ranks", "ranks_twin")]
    said = [
        f"As papers interpret them, {right[0]} of {ranked.height} metrics of forgetting rank "
        f"methods like the distance to the twin; by their distance to the twin's value, {right[1]} "
        "do.",
        f"The medians of Kendall's tau are {number(middle[0], 2)} and {number(middle[1], 2)}. A "  # type: ignore[arg-type]
        "metric counts if its interval lies above 0, or if two or more clusters all have the same "
        "tau above 0.",
    ]
    tau = pl.col("ranks_twin").round(12)
    shared = ranked.filter(tau == tau.max())
    best = (
        f"metrics with the largest tau, {number(shared['ranks_twin'][0], 2)}, are "
        f"{listed_text(shared['measure'].to_list())}"
        if shared.height > 1
        else f"metric with the largest tau is {shared['measure'][0]}: "
        f"{_between(shared.row(0, named=True), 'ranks_twin')}"
    )
    said.append(f"By distance to the twin's value, the {best}.")
    for question, what in (
        ("suppression", "refuse and are far from the twin"),
        ("relearning", "give no more of the facts than the twin and relearn faster than it"),
        ("rounding", "give no more of the facts than the twin until their weights are rounded"),
    ):
        tried = table.filter(pl.col(question).is_not_null())
        if tried.is_empty():
            continue
        models = tried[f"{question}_count"].max()
        fooled = tried.filter(pl.col(question) > 0.5).height
        said.append(
            f"{fooled} of {tried.height} metrics call forgotten more than half of the models that "
            f"{what} (up to {models} models)."
        )
    return said


def _above(table: pl.DataFrame, which: str) -> int:
    """Return the number of metrics above 0: by the interval, or by one value in all clusters.

    The latter needs two clusters or more; clusters in which a metric ranked nothing do not count.
    """
    several = pl.col(f"{which}_clusters") > 1
    same = pl.col(f"{which}_low").is_null() & several & (pl.col(which) > 0)
    return table.filter((pl.col(f"{which}_low") > 0) | same).height


def metric_table(found: MetaEvaluation) -> Table:
    """Return a table with one row per metric, and a column for each question with answers."""
    shown = [name for name in _COLUMNS if found.table[name].is_not_null().any()]
    rows = [
        [
            row["measure"],
            _ABOUT[row["about"]],
            *(_between(row, name).replace(" (", "\n").rstrip(")") for name in shown),
        ]
        for row in found.table.iter_rows(named=True)
    ]
    return Table(("metric", "about", *(f"#{_COLUMNS[name]}" for name in shown)), rows)


def _between(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return NOTHING
    # A mean of taus that cancel is 0 except for rounding errors.
    value = round(value, 12)
    if low is None or high is None:
        return number(value, 2)
    return f"{number(value, 2)} ({interval_text(low, high, number, 2)})"
