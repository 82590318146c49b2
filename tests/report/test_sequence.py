"""Edits one after another on a page: tables, half-lives, figures, and beside boards."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")
pytest.importorskip("vl_convert", reason="the report's packages are not installed")

from behemoth.report import write_report
from behemoth.report.charts.sequence import by_checkpoints, retention_matrix
from behemoth.report.page import About, Table
from behemoth.report.render import exported
from behemoth.report.sequence import (
    SequencePage,
    SequencePart,
    checkpoint_tables,
    half_life_table,
    headline,
    render_sequences,
)
from behemoth.report.style import SCREEN, Absent
from behemoth.study.analysis.sequence import sequences_of
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.work import run as runs

drawn = runpy.run_path(str(Path(__file__).parents[1] / "study" / "analysis" / "test_sequence.py"))[
    "drawn"
]
LIVES = {"a <b>": (2, 3, 6), "ever": (99, 99, 99), "npo": (99, 99, 99)}
TEXT = """
name = "sequences"
question = "Do they hold?"
[world]
subjects = 40
relations = 2
objects = 5
[corpus]
exposures = 8
[train]
model = "pico"
steps = 4
block_length = 32
batch_size = 4
[plan]
edits = 4
distinct = false
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 1
[measure]
sequential = true
suite = "sequence"
checkpoint_at = [2]
[[method]]
name = "ft"
label = "ft"
settings = { steps = 2 }
"""
BOARD = '[[method]]\nname = "lora"\nlabel = "lora"\nsettings = { steps = 2 }\n'
BOARD += 'measure = { sequential = false, suite = "editing", checkpoint_at = [] }\n'


def part_of(lives=LIVES, forgets=("npo",), **others):
    found = sequences_of(*drawn(lives, forgets=forgets))
    figures = [by_checkpoints(found), retention_matrix(found)]
    plain = SequencePart(found, figures, dict.fromkeys(lives, 3), {}, {"ever": 0.5})
    return replace(plain, **others)


@pytest.fixture(scope="module")
def part():
    return part_of()


def cells(table):
    return [list(row) for row in table.rows]


def test_the_table_has_a_row_for_each_method_and_number_of_edits(part):
    [(name, table)] = checkpoint_tables(part)
    assert name == ""
    assert table.columns == ("method", "#edits made", "#held", "#forgotten",
                             "#known bystanders lost", "#trials", "#clusters")  # fmt: skip
    rows = cells(table)
    assert [row[:2] for row in rows[:3]] == [["a <b>", "1"], ["a <b>", "4"], ["a <b>", "16"]]
    assert rows[1][2].startswith("0.750\n") and " to " in rows[1][2]
    assert rows[0][2] == "1.00" and rows[0][3] == "\u2013", "the same in every trial"
    assert rows[1][4].endswith("above 0.1") and rows[1][5:] == ["3", "3"]
    assert rows[-1][0] == "npo" and rows[-1][2] == "\u2013" and rows[-1][3] == "1.00"


def test_half_lives_are_bounded_where_more_than_half_always_hold(part):
    rows = {row[0]: row[1:] for row in cells(half_life_table(replace(part, failed={"gone": 2})))}
    assert " to " in rows["a <b>"][0] and rows["a <b>"][2] == "\u2013"
    assert rows["ever"][0] == "> 15" and rows["ever"][2:] == ["0.50", "3"]
    assert rows["npo"][:2] == ["\u2013", "\u2013"]
    assert rows["gone"][-1] == "0\n2 failed"


def test_the_headline_names_both_ends(part):
    said = headline(part.found)
    assert said.startswith(
        "After 16 edits made one after another: edits that hold 1.0 (ever) to 0.2"
    )
    assert "; old answers forgotten 1.0 (npo); known bystanders lost 0.25 (a <b>, ever" in said
    assert said.endswith("Means over up to 3 clusters.")
    alone = headline(sequences_of(*drawn({"a": (2,)}, clusters=1)))
    assert alone.endswith("One cluster: no intervals.")
    assert headline(sequences_of(*(each.clear() for each in drawn(LIVES)))).startswith("No trial")


def test_the_figure_has_a_panel_for_each_measure(part):
    figure = part.figures[0]
    assert [panel.title for panel in figure.panels] == [
        "Edits that hold", "Old answers forgotten", "Known bystanders lost",
    ]  # fmt: skip
    assert [label for label, _ in figure.legend] == list(LIVES)
    assert "3 trials in up to 3 clusters" in figure.caption
    assert figure.frame.columns == part.found.checkpoints.columns
    exported(figure, SCREEN)


def test_amounts_are_on_a_logarithmic_axis_without_what_is_nothing():
    suites, frame = drawn({"a": (2, 3, 6)})
    suites = suites.with_columns(
        pl.col("measure").str.replace("first", "kl"),
        value=pl.when(pl.col("measure").str.starts_with("first"))
        .then(pl.col("measure").replace_strict({"first_after_1": 0.0, "first_after_4": 0.01},
                                               default=2.0))
        .otherwise("value"),
    )  # fmt: skip
    figure = by_checkpoints(sequences_of(suites, frame))
    panel = next(panel for panel in figure.panels if panel.title == "KL on bystanders")
    text = panel.chart.to_json()
    assert '"type": "log"' in text
    assert set(re.findall(r'"after": (\d+)', text)) == {"4", "16"}


def test_the_matrix_has_a_heat_map_for_each_method(part):
    figure = part.figures[1]
    assert [panel.title for panel in figure.panels] == list(LIVES)
    text = figure.panels[0].chart.to_json()
    assert '"2 to 4"' in text and '"5 to 16"' in text
    exported(figure, SCREEN)


def test_without_rows_figures_say_why():
    empty = sequences_of(*(each.clear() for each in drawn(LIVES)))
    assert [type(draw(empty)) for draw in (by_checkpoints, retention_matrix)] == [Absent] * 2


def test_worlds_and_plans_have_tables_of_their_own():
    suites, frame = drawn({"a": (2, 3, 6)})
    other = suites.with_columns(
        edits=pl.lit(8, pl.UInt32), grammar=pl.lit("bios-en"), trial=pl.col("trial") + "b"
    )
    suites = pl.concat([suites.with_columns(grammar=pl.lit(None, pl.String)), other])
    found = sequences_of(
        suites, pl.concat([frame, frame.with_columns(trial=pl.col("trial") + "b")])
    )
    part = SequencePart(found, [], {"a": 6}, {}, {})
    names = [name for name, _ in checkpoint_tables(part)]
    assert names == ["plain tokens, 16 edits", "bios-en, 8 edits"]
    assert [row[:2] for row in cells(half_life_table(part))] == [["a", name] for name in names]
    titles = [panel.title for panel in by_checkpoints(found).panels]
    assert titles[0] == "Edits that hold, plain tokens, 16 edits"


def test_a_page_is_complete_and_escaped(part):
    about = About("x", "who?", "today", "", Table(("what", "~value"), []), "name = 1")
    html = render_sequences(SequencePage(about, [("trials", "9")], part, {}, [("c", "m", "a <l>")]))
    assert "a &lt;b&gt;" in html and "<b>," not in html and "a &lt;l&gt;" in html
    assert html.count("<figure ") == 2 and 'href="#sequence"' in html
    assert html.index("1. Retention and damage") < html.index("2. Which edits hold")


@pytest.fixture
def made(in_process_engine, monkeypatch, tmp_path):
    def made(text):
        monkeypatch.setattr(runs, "_engine", lambda name, path, *_: in_process_engine(path))
        runs.run_study(Study.parse(text), tmp_path / "study")
        return Results.open(tmp_path / "study")

    return made


def test_a_study_of_sequences_has_a_page_of_its_own(made):
    results = made(TEXT)
    html = write_report(results).read_text()
    place = results.path / "report"
    assert {file.name for file in (place / "charts").iterdir()} == {
        f"{name}.{end}" for name in ("sequence", "sequence-matrix") for end in ("png", "svg")
    }
    for name in ("checkpoints", "half_lives", "matrix"):
        assert pl.read_parquet(place / "frames" / f"sequence_{name}.parquet").columns[2] == "label"
    assert "Edits one after another" in html and "settings of ft" in html
    assert '<td class="number">4</td>' in html
    assert write_report(results, results.path / "other", figures=True).is_dir()
    assert not (results.path / "other" / "report.html").exists()


def test_beside_boards_sequences_have_a_section(made):
    results = made(TEXT + BOARD)
    html = write_report(results).read_text()
    assert "Behemoth leaderboard" in html
    assert html.index('id="editing"') < html.index('id="sequence"') < html.index('id="methods"')
    numbers = [int(each) for each in re.findall(r"<h3>(\d+)\. ", html)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 3
    frames = results.path / "report" / "frames"
    assert (frames / "sequence_matrix.parquet").is_file()
    table = pl.read_parquet(frames / "editing_table.parquet")
    assert table["label"].to_list() == ["lora"], "no board has what was made one after another"
    # The part of each method of a board has its settings.
    assert "settings of ft" in html and "settings of lora" not in html
