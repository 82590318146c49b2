"""The part of a board's page about the number of edits: its figure, and why there is none."""

import runpy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.by_edits import by_edits
from behemoth.report.leader import provisos
from behemoth.report.leaderboard import render_leaderboard
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import boards
from behemoth.study.analysis.outcomes import OUTCOMES

ANALYSIS = Path(__file__).parents[1] / "study" / "analysis"
made = runpy.run_path(str(ANALYSIS / "test_by_exposures.py"))
suites_of, probes_of = made["suites_of"], made["probes_of"]
page_of = runpy.run_path(str(Path(__file__).parent / "test_leaderboard.py"))["page_of"]
LEGS = ("efficacy", "paraphrase", "neighbourhood", "damage_unrelated", "exact_efficacy")


def board_of(sizes, grammars=(None,), labels=("a <b>", "c"), measures=LEGS, suite="editing", **of):
    suites, probes = [], []
    for edits in sizes:
        for grammar in grammars:
            trials = {
                f"{label}-{seed}-{edits}-{grammar}": (label, "tuning", seed)
                for label in labels
                for seed in range(3)
            }
            suites += [
                suites_of(trials, suite, name, edits=edits, grammar=grammar, value=value, **of)
                for name, value in zip(measures, (0.9, 0.8, 0.7, 1 / edits, 0.6), strict=False)
            ]
            probes += [
                probes_of(trial, [16, 64], seed=place, plan=f"{edits}-{grammar}")
                for place, trial in enumerate(trials)
            ]
    [board] = boards(pl.concat(suites), probes=pl.concat(probes).lazy())
    return board


def html_of(board):
    return render_leaderboard(page_of(board))


@pytest.fixture(scope="module")
def board():
    return board_of([1, 1000, 10])


def test_a_method_has_a_point_for_each_number_of_edits_in_order(board):
    figure = by_edits(board)
    assert isinstance(figure, Figure)
    assert [name for name, _ in figure.legend] == ["1", "10", "1,000"]
    assert [panel.title for panel in figure.panels] == [
        "Score", "Known bystanders lost", "New answer generated",
    ]  # fmt: skip
    spec = figure.panels[1].chart.to_dict()
    points = next(layer for layer in spec["layer"] if layer.get("mark", {}).get("type") == "point")
    drawn = points["data"]["values"]
    assert [(row["label"], row["batch"]) for row in drawn] == [
        (label, batch) for label in board.table["label"] for batch in ("1", "10", "1,000")
    ]
    lost = [row["mean"] for row in drawn if row["label"] == "c"]
    assert lost == pytest.approx([1.0, 0.1, 0.001])
    assert figure.caption.startswith("Each point is the mean over 3 trials with plans of this many")
    assert {"grammar", "edits", "label", "measure", "mean", "low"} <= set(figure.frame.columns)


def test_each_kind_of_world_has_panels_of_its_own():
    figure = by_edits(board_of([3, 24], grammars=(None, "bios-en")))
    assert isinstance(figure, Figure)
    titles = [panel.title for panel in figure.panels]
    assert titles[:2] == ["Score, plain tokens", "Known bystanders lost, plain tokens"]
    assert titles[3:5] == ["Score, bios-en", "Known bystanders lost, bios-en"]


def caption_of(board):
    figure = by_edits(board)
    assert isinstance(figure, Figure)
    return figure.caption


def without(frame, label, edits, measure=None):
    gone = (pl.col("label") == label) & pl.col("edits").is_in(edits)
    return frame.filter(~(gone if measure is None else gone & (pl.col("measure") == measure)))


def less(board, label, edits, measure=None):
    """Return the board without the trials of a method, or without one of their measures."""
    trials, cells = (without(frame, label, edits, measure) for frame in (board.trials, board.cells))
    return replace(board, trials=trials, cells=cells)


def became(*rows):
    columns = ("label", "edits", "outcome")
    rows = [
        {"suite": "editing", "trials": 1, **dict(zip(columns, row, strict=True))} for row in rows
    ]
    return pl.DataFrame(rows, schema=OUTCOMES)


def test_a_chart_without_gaps_names_none(board):
    assert "missing" not in caption_of(board)


def test_a_method_that_was_not_run_with_a_number_of_edits_is_named(board):
    said = caption_of(less(less(board, "c", [1000]), "a <b>", [1, 10]))
    named = {"a <b>": "a <b> (1 and 10 edits)", "c": "c (1,000 edits)"}
    in_order = "; ".join(named[label] for label in board.table["label"])
    assert said.endswith(f" Points are missing where a method was not run: {in_order}.")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("c", 1000, "failed")], "all trials failed"),
        ([("c", 1000, "not run")], "no trial has been run yet"),
        ([("c", 10, "failed")], "a method was not run"),
        # Its plan was never compiled, so it may be that of 1,000 edits.
        ([("c", None, "failed")], "a method was not run, or all trials failed"),
        ([("c", None, "not run")], "no trial has been run yet"),
    ],
)
def test_points_of_trials_that_failed_are_told_from_those_that_were_not_run(board, rows, why):
    some = replace(less(board, "c", [1000]), outcomes=became(*rows))
    assert caption_of(some).endswith(f" Points are missing where {why}: c (1,000 edits).")


def test_points_that_failed_for_all_methods_are_missing_too(board):
    rows = [(label, 5000, "failed") for label in ("a <b>", "c")]
    said = caption_of(replace(board, outcomes=became(*rows)))
    assert said.endswith(" Points are missing where all trials failed: all methods (5,000 edits).")
    one = replace(board_of([10]), outcomes=became(*rows, ("c", 10, "done")))
    figure = by_edits(one)
    assert isinstance(figure, Absent)
    assert figure.why.startswith("All plans with a value have the same number of edits: 10. Points")


def test_a_measure_that_no_trial_has_says_why(board):
    unknown = less(board, "c", [1], "damage")
    assert caption_of(unknown).endswith(
        " Known bystanders lost is missing where the models knew no bystander before the edit: "
        "c (1 edit)."
    )
    of_damage = (pl.col("label") == "c") & (pl.col("edits") == 1) & (pl.col("measure") == "damage")
    nan = pl.when(of_damage).then(float("nan")).otherwise("value").alias("value")
    broken = replace(unknown, trials=board.trials.with_columns(nan))
    said = " Known bystanders lost is missing where no trial has a finite value: c (1 edit)."
    assert caption_of(broken).endswith(said)
    other = less(board, "c", [1], "exact_efficacy")
    assert caption_of(other).endswith(
        " New answer generated is missing where no trial has it: c (1 edit)."
    )


def test_a_gap_in_one_of_several_worlds_names_the_world():
    board = board_of([3, 24], grammars=(None, "bios-en"))
    text = pl.col("grammar").eq_missing(pl.lit("bios-en")) & (pl.col("label") == "c")
    some = replace(board, trials=board.trials.filter(~text), cells=board.cells.filter(~text))
    said = caption_of(some)
    assert said.endswith(" where a method was not run: c (3 and 24 edits of bios-en).")
    assert caption_of(less(board, "c", [24])).endswith(" not run: c (24 edits).")


def test_unlearning_has_what_the_score_is_made_of():
    board = board_of([16, 160], suite="unlearning", twin=0.9,
                     measures=("forget_probability", "model_utility"))  # fmt: skip
    figure = by_edits(board)
    assert isinstance(figure, Figure)
    assert [panel.title for panel in figure.panels] == ["Score", "Forgetting", "Utility"]


def test_one_number_of_edits_is_a_sentence():
    board = board_of([1000])
    figure = by_edits(board)
    assert isinstance(figure, Absent)
    assert figure.why == "All plans have the same number of edits: 1,000."
    html = html_of(board)
    assert figure.why in html and 'id="edits-editing"' not in html
    nothing = by_edits(replace(board, cells=board.cells.clear()))
    assert isinstance(nothing, Absent) and nothing.why == "No trial has a value."


def test_the_page_has_the_figure_and_exposures_within_each_size(board):
    html = html_of(board)
    assert 'id="edits-editing"' in html and "2. Editing by the number of edits" in html
    assert "3. Editing by exposures" in html
    for said in ("Plans of 1 edit<", "Plans of 10 edits<", "Plans of 1,000 edits<"):
        assert html.count(said) == 1, said
    start = html.index('aria-label="Editing, by exposures, 1,000 edits"')
    table = html[start : html.index("</table>", start)]
    assert table.count("<tr>") == 1 + 2 * 3 and "3<small>3 clusters</small>" in table
    pooled = html[html.index('aria-label="Editing, by exposures"') :]
    assert "9<small>3 clusters</small>" in pooled[: pooled.index("</table>")]


def test_methods_that_were_not_run_at_every_size_are_not_compared_over_all(board):
    said = "methods differ in the numbers of edits of theirs: compare within a number."
    places = (pl.lit(place, pl.UInt32).alias(name) for name, place in (("first", 1), ("last", 2)))
    board = replace(board, table=board.table.with_columns(places))
    assert not any(said in each for each in provisos(board)) and said not in html_of(board)
    fewer = board.cells.filter((pl.col("label") != "c") | (pl.col("edits") < 1000))
    some = replace(board, cells=fewer)
    assert list(provisos(some))[-1].endswith(said) and said in html_of(some)


def test_the_report_writes_the_chart_and_its_frame(tmp_path, board):
    from behemoth.report import write

    write._write_leaderboard(page_of(board), tmp_path, "paper", figures=False)
    assert (tmp_path / "charts/edits-editing.pdf").stat().st_size > 1000
    drawn = pl.read_parquet(tmp_path / "frames/figure_edits-editing.parquet")
    assert drawn["edits"].unique().sort().to_list() == [1, 10, 1000]
