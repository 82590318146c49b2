"""The page of a leaderboard: what it says of ties, of what is missing, and of each method."""

import runpy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.pareto import front, pareto
from behemoth.report.leaderboard import (
    Leaderboard,
    anchor,
    by_world,
    leader,
    render_leaderboard,
)
from behemoth.report.page import Table
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import boards

made = runpy.run_path(str(Path(__file__).parents[1] / "study" / "analysis" / "test_leaderboard.py"))
drawn, broken_in_the_first = made["drawn"], made["broken_in_the_first"]
LEGS = ("efficacy", "paraphrase", "neighbourhood", "damage_unrelated")
VALUES = {"ft </script>": [0.8, 0.82, 0.84], "b": [0.79, 0.84, 0.81], "c": [0.1, 0.1, 0.11],
          "retrain": [0.99, 0.98, 0.99]}  # fmt: skip


@pytest.fixture(scope="module")
def board():
    tuning = {"trials": 20, "seconds": 75.4}
    said = [{"label": "b", "whence": "tuned", "tuning": tuning}, {"label": "c", "whence": "given"},
            {"label": "ft </script>", "whence": "default"}]  # fmt: skip
    [board] = boards(drawn(VALUES, LEGS), failed={"c": 2}, methods=said)
    return board


@pytest.fixture(scope="module")
def html(board):
    page = Leaderboard(
        name="x", question="who?", made="today", state="", counts=[("trials", "3")],
        boards=[board], figures=[pareto(board)], settings={"b": '{"steps": 3}'},
        run=Table(("what", "~value"), []), failures=[("c", "m", "a <loss>")], study="name = 1",
        command="behemoth",
    )  # fmt: skip
    return render_leaderboard(page)


def test_the_front_is_what_nothing_beats():
    assert front([1, 2, 3], [3, 2, 1], less=True) == [True, False, False]
    assert front([1, 2, 3], [3, 2, 1], less=False) == [True, True, True]
    assert front([1, 1], [2, 2], less=True) == [True, True]


def test_ties_are_said(board):
    said = leader(board)
    assert said.startswith("of those that are ranked ft")
    assert said.endswith("1 of 1 others is tied with it: b. Not ranked: c.")  # of which two failed
    [alone] = boards(drawn({"a": [0.9, 0.9001], "b": [0.1, 0.1001]}, LEGS))
    assert leader(alone) == "a has the highest score, 0.90, and its interval lies above all others."
    [single] = boards(drawn({"a": [0.9], "b": [0.1]}, LEGS))
    assert "nothing is ranked" in leader(single)


def test_every_method_has_a_row_and_a_section(html):
    for label in VALUES:
        assert f'<section id="{anchor(label)}">' in html and f'href="#{anchor(label)}"' in html
    assert "1\u20132" in html and ">oracle<" in html and "2 failed" in html
    assert "settings tuned, 20 trials, 1 min 15 s: steps 3." in html
    assert "settings by hand: none." in html and "settings default: none." in html
    assert "a &lt;loss&gt;" in html
    assert "ft &lt;/script&gt;" in html and "kl_filler needs a filler" in html


def test_columns_that_say_nothing_are_sentences():
    said = [{"label": label, "whence": "default"} for label in VALUES]
    [even] = boards(drawn(VALUES, LEGS), methods=said)
    html = render_leaderboard(
        Leaderboard(
            name="x", question="who?", made="today", state="", counts=[], boards=[even],
            figures=[pareto(even)], settings={}, run=Table(("what", "~value"), []), failures=[],
            study="name = 1", command="behemoth",
        )
    )  # fmt: skip
    assert "All methods have the settings that they have by default. Each has 3 trials in" in html
    table = html[html.index("<table") : html.index("</table>")]
    assert (
        ">settings<" not in table and ">trials<" not in table and "the score by world" not in html
    )


def test_scores_by_world_stand_side_by_side(board):
    cells = [board.cells, board.cells.with_columns(pl.lit("bios-en").alias("grammar"))]
    two = replace(board, cells=pl.concat(cells).with_columns(pl.col("grammar").cast(pl.String)))
    parts = "".join(by_world(two))
    assert "tokens of its own, " in parts and "bios-en, " in parts
    assert parts.count('href="#method-') == len(VALUES)


def test_the_oracle_is_drawn_and_on_no_front(board):
    figure = pareto(board)
    assert isinstance(figure, Figure)
    rows = dict(figure.frame.select("label", "front").iter_rows())
    assert rows == {"ft </script>": True, "b": True, "retrain": False}
    [empty] = boards(drawn({"a": [0.5]}, ("efficacy",)))
    assert isinstance(pareto(empty), Absent)


def test_what_has_failed_or_gives_no_numbers_is_on_no_front(board):
    figure = pareto(board)
    assert isinstance(figure, Figure)
    assert figure.caption.endswith("Left out, as trials failed or have not both numbers: c.")
    values = {"a": [0.8, 0.8], "b": [0.7, 0.7]}
    whole = drawn(values, LEGS)
    lost = (pl.col("label") == "b") & (pl.col("measure") == "damage_unrelated")
    first = pl.col("world_seed") == 0
    [partly] = boards(
        whole.with_columns(
            pl.when(lost & first).then(float("nan")).otherwise("value").alias("value")
        )
    )
    figure = pareto(partly)
    assert isinstance(figure, Figure) and figure.frame["label"].to_list() == ["a"]
    assert figure.caption.endswith("numbers: b.")
    [entire] = boards(whole)
    figure = pareto(entire)
    assert isinstance(figure, Figure) and "Left out" not in figure.caption
    assert set(figure.frame["label"]) == {"a", "b"}


def test_a_number_that_is_not_of_all_trials_says_so(html):
    assert "not of all trials" not in html
    [board] = boards(broken_in_the_first({"kl_twin_retain"}))
    page = Leaderboard(
        name="x", question="who?", made="today", state="", counts=[], boards=[board],
        figures=[pareto(board)], settings={}, run=Table(("what", "~value"), []), failures=[],
        study="name = 1", command="behemoth",
    )  # fmt: skip
    html = render_leaderboard(page)
    assert "Each has 3 trials in 3 clusters. A trial whose model gives no numbers has 0" in html
    # In the table of the board, and in that of the method by world.
    assert html.count("2 of 3 trials") == 2


def test_a_study_of_suites_is_reported_as_a_leaderboard(tmp_path, monkeypatch):
    from behemoth.report import write_report
    from behemoth.study.directory import StudyDirectory
    from behemoth.study.records import StudyRecord, TrialRow

    row = TrialRow("t", "m", "p", "ft", {}, {"suite": "editing"}, "ft", 0, "fine-tuning")
    about = StudyRecord("board", "who?", None, (), (row,))
    StudyDirectory(tmp_path / "s").begin("name = 'board'", about)
    text = Path(write_report(tmp_path / "s")).read_text()
    assert "Behemoth leaderboard" in text and "1 of 1 trials have not been carried out" in text
    assert not pl.Series(list((tmp_path / "s" / "report").rglob("*.png"))).len()
