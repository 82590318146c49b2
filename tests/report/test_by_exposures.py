"""The part of a board's page about exposures: its figure, its table, and why there is none."""

import runpy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.by_exposures import by_exposures
from behemoth.report.leaderboard import render_leaderboard
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import boards

ANALYSIS = Path(__file__).parents[1] / "study" / "analysis"
made = runpy.run_path(str(ANALYSIS / "test_by_exposures.py"))
suites_of, probes_of = made["suites_of"], made["probes_of"]
page_of = runpy.run_path(str(Path(__file__).parent / "test_leaderboard.py"))["page_of"]
LEGS = ("efficacy", "paraphrase", "neighbourhood", "damage_unrelated")


def board_of(levels, suite="editing", measures=LEGS, labels=("a <b>", "c"), **columns):
    trials = {f"{label}{seed}": (label, "tuning", seed) for label in labels for seed in range(3)}
    suites = pl.concat(suites_of(trials, suite, name, **columns) for name in measures)
    probes = pl.concat(probes_of(trial, levels, seed=place) for place, trial in enumerate(trials))
    [board] = boards(suites, probes=probes.lazy())
    return board


def html_of(board):
    return render_leaderboard(page_of(board))


@pytest.fixture(scope="module")
def board():
    return board_of([16, 64, 64, 1024])


def test_the_figure_has_a_row_for_each_method_and_a_point_for_each_level(board):
    figure = by_exposures(board)
    assert isinstance(figure, Figure)
    assert [name for name, _ in figure.legend] == ["16", "64", "1,024"]
    assert len({figure.shapes[name] for name, _ in figure.legend}) == 3
    assert [panel.title for panel in figure.panels] == ["Score", "Known bystanders lost"]
    # The frame has what the panels draw and what they do not.
    assert set(figure.frame["measure"]) == set(board.exposures["measure"])
    spec = figure.panels[0].chart.to_dict()
    names = spec["layer"][-1]
    data = names.get("data") or names["layer"][0]["data"]
    assert [row["label"] for row in data["values"]] == board.table["label"].to_list()
    points = next(layer for layer in spec["layer"] if layer.get("mark", {}).get("type") == "point")
    rows = [row["row"] for row in points["data"]["values"]]
    assert len(set(rows)) == len(rows) == 6 and all(0 < row < 2 for row in rows)
    assert "Each point is the mean over up to 3 trials (3 to 6 edits, 3 clusters)" in figure.caption


def test_the_table_has_levels_and_the_difference_of_the_last_and_the_first(board):
    html = html_of(board)
    assert 'id="exposures-editing"' in html and "2. Editing by exposures" in html
    start = html.index('aria-label="Editing, by exposures"')
    table = html[start : html.index("</table>", start)]
    assert table.count("<tr>") == 1 + 2 * 4
    for said in ("16", "64", "1,024", "1,024 \u2212 16"):
        assert table.count(f'<td class="">{said}</td>') == 2, said
    assert table.count(">a &lt;b&gt;</a>") == 4 and "score with locality" in table
    assert "3<small>3 clusters</small>" in table
    first = board.exposures.filter(label="c", least=16, measure="score").row(0, named=True)
    assert f"{first['mean']:.3f}" in table


def test_one_level_is_a_sentence():
    board = board_of([16, 16])
    figure = by_exposures(board)
    assert isinstance(figure, Absent)
    assert figure.why == "All edited facts have the same exposures: 16."
    html = html_of(board)
    assert figure.why in html and 'id="exposures-editing"' not in html
    nothing = by_exposures(replace(board, exposures=board.exposures.clear()))
    assert isinstance(nothing, Absent) and "no probes" in nothing.why


def test_without_retraining_there_is_no_forgetting_by_exposures():
    board = board_of([16, 64], "unlearning", ("forget_probability", "model_utility"), twin=0.2)
    figure = by_exposures(board)
    assert isinstance(figure, Figure)
    assert [panel.title for panel in figure.panels] == ["Old answer generated"]
    assert "which are those of retrain on the board" in html_of(board)


def test_the_report_writes_the_frames(tmp_path, board):
    from behemoth.report import write

    write._write_leaderboard(page_of(board), tmp_path, "paper", figures=False)
    table = pl.read_parquet(tmp_path / "frames/editing_exposures.parquet")
    assert table.equals(board.exposures)
    assert (tmp_path / "charts/exposures-editing.pdf").stat().st_size > 1000
    drawn = pl.read_parquet(tmp_path / "frames/figure_exposures-editing.parquet")
    assert {"label", "exposures", "measure", "mean", "low", "high"} <= set(drawn.columns)
