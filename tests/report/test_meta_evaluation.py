"""The page of metrics: its table, its figure, what it says, and when there is one."""

import json
import math
import runpy
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.meta_evaluation import SERIES, meta_evaluation_figure
from behemoth.report.meta_evaluation import (
    MetaEvaluationPage,
    findings,
    metric_table,
    render_meta_evaluation,
)
from behemoth.report.page import About, Table
from behemoth.report.render import exported
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.meta_evaluation import READINGS, MetaEvaluation, judge

drawn = runpy.run_path(
    str(Path(__file__).parents[1] / "study" / "analysis" / "test_meta_evaluation.py")
)["drawn"]


@pytest.fixture(scope="module")
def rows():
    def recall(role, far, cluster, level, label):
        return 0.0 if label in ("a, 0", "a, 1") else far / 4 + 0.01 * cluster

    def steps(role, far, *_):
        return math.inf if role == "twin" else 40 - 9 * far

    measures = {"forget_recall": recall, "relearning_steps": steps,
                "linear_probe": lambda role, far, *_: far}  # fmt: skip
    return drawn(measures, refusing=("a, 0", "a, 1"), levels=(16, 64))


@pytest.fixture(scope="module")
def found(rows):
    return judge(rows)


def test_the_headline_counts_metrics_and_models(found):
    title, *details = findings(found)
    assert "of 3 metrics of forgetting rank methods" in title
    assert any(said.startswith("1 of 3 metrics call") and said.endswith("(up to 20 models).")
               for said in details)  # fmt: skip
    assert findings(judge(pl.DataFrame(schema=READINGS))) == [
        "No finished trial shows yet how a metric ranks methods."
    ]


def test_a_metric_that_ranks_in_one_cluster_alone_is_not_counted():
    """Elsewhere it is the same for all methods, which is no rank; the study has five clusters."""

    def leaks(role, far, cluster, *_):
        return far if cluster == 0 or role == "trained" else 0.0

    one = judge(drawn({"leak_at_64": leaks}))
    row = one.table.row(0, named=True)
    assert (row["ranks"], row["ranks_clusters"], row["clusters"]) == (1, 1, 5)
    assert findings(one)[0].startswith("As papers interpret them, 0 of 1 metrics")
    every = judge(drawn({"leak_at_64": lambda role, far, *_: far}))
    assert every.table.row(0, named=True)["ranks_low"] is None
    assert findings(every)[0].startswith("As papers interpret them, 1 of 1 metrics")


def test_metrics_that_share_the_largest_tau_are_all_named():
    equal = dict.fromkeys(("forget_probability", "linear_probe"), lambda role, far, *_: far)
    said = findings(judge(drawn(equal)))
    assert any(
        "the metrics with the largest tau, 1.0, are forget_probability and linear_probe." in each
        for each in said
    )


def test_the_table_has_a_row_a_metric_and_columns_with_answers(found):
    table = metric_table(found)
    assert [row[0] for row in table.rows] == ["forget_recall", "linear_probe", "relearning_steps"]
    assert "#fooled by refusal" in table.columns
    assert "#fooled by rounding" not in table.columns
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert any("\n" in cell for cell in table.rows[0])  # intervals stand below


def test_the_figure_has_the_numbers_of_the_table(found):
    figure = meta_evaluation_figure(found)
    assert isinstance(figure, Figure) and len(figure.panels) == 4
    series = "distance to the twin's"
    asked = figure.frame.filter(measure="linear_probe", series=series)["value"].item()
    assert asked == found.table.filter(measure="linear_probe")["ranks_twin"].item() == 1
    assert {name for name, _ in figure.legend} == set(SERIES) - {"rounding"}
    assert isinstance(meta_evaluation_figure(judge(pl.DataFrame(schema=READINGS))), Absent)


def test_the_page_escapes_and_says_failures(rows, found):
    page = MetaEvaluationPage(
        about=About("x", "<which>?", "today", "half", Table(("what", "~value"), []), "name = 1"),
        counts=[("metrics", "3")], readings=rows, found=found,
        figure=meta_evaluation_figure(found),
        missing=pl.DataFrame({"measure": ["perplexity_filler"], "missing": ["a <filler>"]}),
        failures=[("c", "m", "a <loss>")],
    )  # fmt: skip
    html = render_meta_evaluation(page)
    assert "&lt;which&gt;" in html and "a &lt;loss&gt;" in html and "half" in html
    assert "Measured in no trial: perplexity_filler needs a &lt;filler&gt;." in html
    assert "spec-metrics-3" in html and ">linear_probe<" in html


def test_the_legend_in_a_file_has_no_series_without_a_point(found):
    table = found.table.with_columns(pl.lit(None, pl.Float64).alias("rounding"))
    figure = meta_evaluation_figure(MetaEvaluation(table, found.levels, found.parts))
    spec = json.dumps(exported(figure))
    assert "rounding" not in dict(figure.legend)
    assert '"refusal"' in spec and '"domain": ["raw value", "distance to the twin\'s"' in spec
    assert '"rounding"' not in spec
