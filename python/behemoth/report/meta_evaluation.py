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

from .charts.meta_evaluation import meta_evaluation_figure
from .page import (
    COMMAND,
    Table,
    closing,
    counts_part,
    document,
    failures_part,
    figure_parts,
    opening,
    table_part,
)
from .style import Absent, Figure, number
from .tables import duration

__all__ = ["MetaEvaluationPage", "meta_evaluation_of", "render_meta_evaluation"]

_NOTHING = "\u2013"
_ABOUT = {
    "forgetting": "is it said",
    "privacy": "was it there",
    "undoing": "does it come back",
    "rest": "is the rest there",
    "twin": "how far from the twin",
    "whole": "all of it",
}
_COLUMNS = {
    "area": "told from the twin",
    "ranks": "ranks methods",
    "ranks_twin": "held to the twin",
    "doses": "ranks doses",
    "doses_twin": "held to the twin",
    "suppression": "fooled by refusal",
    "relearning": "by relearning",
    "rounding": "by rounding",
    "frequency": "per doubling",
}
_HOW = (
    "Told from the twin: an area, 1 where the retrained twin always has the better value, 0.5 "
    "where the metric cannot tell; of the rest 0.5 is right. Ranks: Kendall's tau with "
    "KL(twin || model) where answers begin, at the facts to forget or, of the rest, at those that "
    "stay; over pairs of different methods, or of one method at two settings; by the value as "
    "papers read it, or by its distance to the twin's. Fooled: the share called forgotten, that is "
    "nearer the twin's value than the trained model's (forget quality: p above 0.05), of models "
    "that refuse and are far from the twin (a KL above half of the trained model's), or that say "
    "no more of the facts than the twin, but relearn in fewer steps than it, or have a recall "
    "nearer the trained model's with rounded weights. Per doubling: how the twin's own value moves "
    "when the facts would have been written twice as often, as a share of its gap to the trained "
    "model; 0 is right. Below are 95 % intervals over (world, initialisation), none of one "
    "cluster, or where all say the same."
)


@dataclass(frozen=True)
class MetaEvaluationPage:
    """Contents of the page.

    Attributes
    ----------
    name, question, made, state, study, command : str
        See `behemoth.report.page.Page`.
    counts : sequence of (str, str)
    readings : polars.DataFrame
        Values of the metrics that were judged.
    found : MetaEvaluation
    figure : Figure or Absent
    run : Table
    failures : sequence of (str, str, str)
        Label, model and reason of trials that failed.
    """

    name: str
    question: str
    made: str
    state: str
    counts: Sequence[tuple[str, str]]
    readings: pl.DataFrame
    found: MetaEvaluation
    figure: Figure | Absent
    run: Table
    failures: Sequence[tuple[str, str, str]]
    study: str
    command: str


def meta_evaluation_of(
    results: Results, *, made: str, state: str, run: Table, study: str
) -> MetaEvaluationPage | None:
    """Return the contents of the page; None without both a trained model and a twin.

    Parameters
    ----------
    results : Results
        Results of a study whose trials run suites.
    made, state, study : str
    run : Table
        Description of the run.
    """
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
        ("time of work", duration(sum(results.seconds.values()))),
    ]
    return MetaEvaluationPage(
        name=results.about.name,
        question=results.about.question,
        made=made,
        state=state,
        counts=counts,
        readings=rows,
        found=found,
        figure=meta_evaluation_figure(found),
        run=run,
        failures=[(each.label, each.model, each.reason) for each in results.failures],
        study=study,
        command=COMMAND,
    )


def render_meta_evaluation(page: MetaEvaluationPage) -> str:
    """Return the complete HTML file."""
    drawn = [page.figure] if isinstance(page.figure, Figure) else []
    title, *details = findings(page.found)
    parts = [
        *opening(page, "study"),
        f'<div class="headline"><strong>{escape(title)}</strong>'
        f"{''.join(f'<p>{escape(said)}</p>' for said in details)}</div>",
        counts_part(page.counts),
        '<h2 id="metrics-table">The metrics, one by one</h2>',
        f"<p>{escape(_HOW)}</p>",
        table_part(metric_table(page.found), "The metrics, one by one"),
    ]
    if isinstance(page.figure, Figure):
        parts += figure_parts(1, page.figure)
    else:
        parts.append(f"<p>{escape(page.figure.title)}: {escape(page.figure.why)}</p>")
    parts += failures_part(page.failures)
    parts += closing(page)
    return document(f"{page.name}: a Behemoth study", parts, drawn)


def findings(found: MetaEvaluation) -> list[str]:
    """Return the findings as sentences with their numbers; the first is the headline."""
    alone = [name for name, judged in JUDGED.items() if judged.alone and judged.about != "rest"]
    table = found.table.filter(pl.col("measure").is_in(alone))
    ranked = table.filter(pl.col("ranks").is_not_null() & pl.col("ranks_twin").is_not_null())
    if ranked.is_empty():
        return ["No finished trial says yet how a metric ranks methods."]
    right = [_above(ranked, which) for which in ("ranks", "ranks_twin")]
    middle = [ranked[which].median() for which in ("ranks", "ranks_twin")]
    said = [
        f"As papers read them, {right[0]} of {ranked.height} metrics of forgetting rank methods as "
        f"the distance to the twin does; held to the twin's value, {right[1]} do.",
        f"The medians of Kendall's tau are {number(middle[0], 2)} and {number(middle[1], 2)}; a "  # type: ignore[arg-type]
        "metric counts where its interval lies above 0, or where all clusters that have an answer, "
        "two at least, say the same.",
    ]
    best = ranked.sort("ranks_twin", descending=True).row(0, named=True)
    said.append(
        f"Nearest to the distance, held to the twin, is {best['measure']}: "
        f"{_between(best, 'ranks_twin')}."
    )
    for question, what in (
        ("suppression", "refuse and are far from the twin"),
        ("relearning", "say no more of the facts than the twin and relearn faster than it"),
        ("rounding", "say no more of the facts than the twin until their weights are rounded"),
    ):
        tried = table.filter(pl.col(question).is_not_null())
        if tried.is_empty():
            continue
        models = tried[f"{question}_count"].max()
        fooled = tried.filter(pl.col(question) > 0.5).height
        said.append(
            f"Of {models} models that {what}, more than half are called forgotten by {fooled} of "
            f"{tried.height} metrics."
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
    return Table(("metric", "asks", *(f"#{_COLUMNS[name]}" for name in shown)), rows)


def _between(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return _NOTHING
    # A mean of taus that cancel is 0 except for rounding errors.
    value = round(value, 12)
    if low is None or high is None:
        return number(value, 2)
    return f"{number(value, 2)} ({number(low, 2)} to {number(high, 2)})"
