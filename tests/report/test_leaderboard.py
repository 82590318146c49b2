"""The page of a leaderboard: what it says of ties, of what is missing, and of each method."""

import re
import runpy
from dataclasses import replace
from html import escape
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.board_cells import mean_cell
from behemoth.report.charts.by_edits import by_edits
from behemoth.report.charts.by_exposures import by_exposures
from behemoth.report.charts.pareto import front, pareto
from behemoth.report.leader import leader, provisos
from behemoth.report.leaderboard import (
    Leaderboard,
    anchor,
    by_world,
    render_leaderboard,
)
from behemoth.report.page import About, Table
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import boards
from behemoth.study.analysis.learnt import LEARNT

made = runpy.run_path(str(Path(__file__).parents[1] / "study" / "analysis" / "test_leaderboard.py"))
drawn, broken_in_the_first = made["drawn"], made["broken_in_the_first"]
LEGS = ("efficacy", "paraphrase", "neighbourhood", "damage_unrelated")
VALUES = {"ft </script>": [0.8, 0.82, 0.84], "b": [0.79, 0.84, 0.81], "c": [0.1, 0.1, 0.11],
          "retrain": [0.99, 0.98, 0.99]}  # fmt: skip


def page_of(*boards, **others):
    plain = Leaderboard(
        about=About("x", "who?", "today", "", Table(("what", "~value"), []), "name = 1"),
        counts=[], boards=boards, figures=[pareto(board) for board in boards],
        exposures=[by_exposures(board) for board in boards],
        edits=[by_edits(board) for board in boards], settings={}, failures=[], places={}, worlds={},
        learnt=pl.DataFrame(schema=LEARNT),
    )  # fmt: skip
    return replace(plain, **others)


@pytest.fixture(scope="module")
def board():
    tuning = {"trials": 20, "seconds": 75.4}
    said = [{"label": "b", "whence": "tuned", "tuning": tuning}, {"label": "c", "whence": "given"},
            {"label": "ft </script>", "whence": "default"}]  # fmt: skip
    [board] = boards(drawn(VALUES, LEGS), failed={"editing": {"c": 2}}, methods=said)
    return board


@pytest.fixture(scope="module")
def html(board):
    page = page_of(board, counts=[("trials", "3")], settings={"b": '{"steps": 3}'},
                   failures=[("c", "m", "a <loss>")])  # fmt: skip
    return render_leaderboard(page)


def test_the_front_is_what_nothing_beats():
    assert front([1, 2, 3], [3, 2, 1], less=True) == [True, False, False]
    assert front([1, 2, 3], [3, 2, 1], less=False) == [True, True, True]
    assert front([1, 1], [2, 2], less=True) == [True, True]


def test_an_unedited_model_is_the_last_row(html):
    own = drawn(VALUES, LEGS).with_columns(
        pl.when(pl.col("measure") == "efficacy").then(0.125).alias("before"),
        pl.format("m-{}", "seed").alias("model"),
    )
    [board] = boards(own)
    with_row = render_leaderboard(page_of(board))
    table = with_row[with_row.index("Editing: the methods") :].split("</tbody>")[0]
    last = table.split("<tr")[-1]
    assert ">unedited<" in last and "0.125" in last
    assert "The last row, unedited, is 3 models without any edit" in with_row
    assert leader(board) == leader(boards(drawn(VALUES, LEGS))[0]) and "unedited" not in html


def test_ties_are_said(board):
    said = leader(board)
    assert said.startswith("ft </script> has the highest score of the ranked methods, 0.8")
    assert said.endswith("1 of 1 others is tied with it: b. Not ranked: c.")  # of which two failed
    apart = {"a": [0.9, 0.9001, 0.9], "b": [0.1, 0.1001, 0.1]}
    [first] = boards(drawn(apart, LEGS))
    assert leader(first) == "a has the highest score, 0.90, and its interval lies above all others."
    [single] = boards(drawn({"a": [0.9], "b": [0.1]}, LEGS))
    assert "no method is ranked" in leader(single)


def test_a_method_is_tied_with_the_leader_if_their_intervals_overlap():
    """That it may not be the first, because of a third one, is no difference from the leader."""
    some = {"a": [0.5, 0.7, 0.9], "b": [0.63, 0.64, 0.65], "c": [0.3, 0.31, 0.32]}
    [board] = boards(drawn(some, LEGS[:3]))
    assert dict(board.table.select("label", "first").iter_rows()) == {"a": 1, "b": 1, "c": 2}
    assert leader(board) == "a has the highest score, 0.70; 2 of 2 others are tied with it: b, c."


def test_a_score_is_said_to_be_of_the_legs_that_it_has():
    some = {"a": [0.8, 0.82, 0.84], "b": [0.1, 0.11, 0.1]}
    rows = drawn(some, ("efficacy", "neighbourhood"))
    gone = rows.filter(measure="kl_filler").with_columns(measure=pl.lit("paraphrase"))
    [board] = boards(pl.concat([rows, gone]))
    html = render_leaderboard(page_of(board))
    assert "of efficacy (p(new) &gt; p(old) on the edit&#x27;s prompt); neighbourhood (" in html
    assert set(board.missing["measure"]) == {"kl_filler", "paraphrase"}


def test_one_trial_is_not_several():
    [board] = boards(drawn({"a": [0.9], "b": [0.1]}, LEGS))
    assert "Each has 1 trial in 1 cluster." in render_leaderboard(page_of(board))


def test_methods_that_share_the_highest_score_are_all_named():
    some = {"a": [0.8, 0.9, 0.82], "b": [0.8, 0.9, 0.82], "c": [0.7, 0.9, 0.81], "d": [0.1, 0.2, 0]}
    [board] = boards(drawn(some, LEGS[:3]))
    said = "a and b have the highest score, 0.84; 1 of 2 others is tied with them: c."
    assert leader(board) == said
    low = {"c": [0.1, 0.11, 0.1]}
    [apart] = boards(drawn({name: some[name] for name in "ab"} | low, LEGS[:3]))
    said = "a and b have the highest score, 0.84, and their intervals lie above all others."
    assert leader(apart) == said
    [same] = boards(drawn({name: some[name] for name in "ab"}, LEGS[:3]))
    assert leader(same) == "a and b have the highest score, 0.84."
    [ends] = boards(drawn({"a": [1.0] * 3, "b": [1.0] * 3, **low}, LEGS[:3]))
    assert leader(ends) == "a and b have the highest score, 1.0, and no other is tied with them."
    [single] = boards(drawn({"a": [0.5], "b": [0.5]}, LEGS[:3]))
    said = "a and b have the highest score, 0.50; without intervals no method is ranked."
    assert leader(single) == said


def test_the_leader_is_not_named_without_its_damage_and_its_worlds(board):
    [apart] = boards(drawn({"a": [0.9, 0.91, 0.9], "b": [0.1, 0.11, 0.1]}, LEGS))

    def losing(share):
        lost = pl.when(measure="damage").then(share).otherwise("mean").alias("mean")
        return replace(apart, measures=apart.measures.with_columns(lost))

    assert list(provisos(losing(0.05))) == []
    text = apart.cells.filter(measure="score").with_columns(
        pl.lit("bios-en").alias("grammar"), (1 - pl.col("mean")).alias("mean")
    )
    mixed = replace(losing(0.26), cells=pl.concat([apart.cells, text], how="vertical_relaxed"))
    assert list(provisos(mixed)) == [
        "a loses 0.26 of the other facts that the models knew.",
        "By kind of world, the highest are a for plain tokens (0.90) and b for bios-en (0.90).",
    ]
    assert "a loses 0.26" in render_leaderboard(page_of(mixed))
    same = text.with_columns((1 - pl.col("mean")).alias("mean"))
    alike = replace(losing(0.05), cells=pl.concat([apart.cells, same], how="vertical_relaxed"))
    assert list(provisos(alike)) == [], "one method leads in both worlds"
    [shared] = boards(drawn({"a": [0.9, 0.91, 0.9], "b": [0.9, 0.91, 0.9], "c": [0.1] * 3}, LEGS))
    lost = pl.col("label").replace_strict({"a": 0.05, "b": 0.26, "c": 0.9}, return_dtype=pl.Float64)
    lost = pl.when(measure="damage").then(lost).otherwise("mean").alias("mean")
    shared = replace(shared, measures=shared.measures.with_columns(lost))
    assert leader(shared).startswith("a and b have the highest score")
    assert list(provisos(shared)) == ["b loses 0.26 of the other facts that the models knew."]
    [single] = boards(drawn({"a": [0.9], "b": [0.1]}, LEGS))
    lost = pl.when(measure="damage").then(0.5).otherwise("mean").alias("mean")
    single = replace(single, measures=single.measures.with_columns(lost))
    assert "no method is ranked" in leader(single)
    assert list(provisos(single)) == ["a loses 0.50 of the other facts that the models knew."]


def test_places_over_other_worlds_are_said_to_be_so(board):
    """b is better in plain worlds, and is the only one that was also run in harder ones."""
    plain = drawn({"a": [0.8, 0.81, 0.82, 0.8], "b": [0.9, 0.91, 0.92, 0.9]}, LEGS[:3])
    hard = drawn({"b": [0.5, 0.51, 0.52, 0.5]}, LEGS[:3]).with_columns(
        pl.lit("bios-en").alias("grammar"), pl.format("{}-text", "trial").alias("trial")
    )
    said = "methods differ in the worlds, initialisations or plans of theirs"
    [same] = boards(plain)
    assert not any(said in each for each in provisos(same))
    [some] = boards(pl.concat([plain, hard]))
    assert any(said in each for each in provisos(some))
    [fewer] = boards(plain.filter((pl.col("label") == "a") | (pl.col("seed") > 0)))
    assert any(said in each for each in provisos(fewer))


@pytest.mark.parametrize(
    ("tokens", "text", "said"),
    [
        ((0.9, 0.9, 0.1), (0.1, 0.2, 0.3),
         "the highest are a and b for plain tokens (0.90) and c for bios-en (0.30)"),
        ((0.9, 0.5, 0.1), (0.0, 0.0, 0.0),
         "the highest is a for plain tokens (0.90); all compared methods have 0 for bios-en"),
        ((0.9, 0.9, 0.1), (0.0, 0.0, 0.0),
         "the highest are a and b for plain tokens (0.90); all compared methods have 0 for "
         "bios-en"),
        ((0.9, 0.5, 0.1), (None, 0.3, None),
         "the highest is a for plain tokens (0.90); b is the only one for bios-en (0.30)"),
        ((0.0, 0.0, 0.0), (0.4, 0.4, 0.4), None),
        ((0.9, 0.9, 0.1), (0.4, 0.4, 0.3), None),
    ],
)  # fmt: skip
def test_ties_within_a_kind_of_world_have_no_winner(tokens, text, said):
    [board] = boards(
        drawn({"a": [0.9, 0.91, 0.9], "b": [0.8, 0.81, 0.8], "c": [0.7, 0.71, 0.7]}, LEGS)
    )
    rows = [
        {
            "label": label,
            "measure": "score",
            "grammar": grammar,
            "mean": score,
            "rows": 3,
            "edits": 4,
        }
        for grammar, scores in ((None, tokens), ("bios-en", text))
        for label, score in zip("abc", scores, strict=True)
        if score is not None
    ]
    worlds = replace(board, cells=pl.DataFrame(rows, infer_schema_length=None))
    every = [each for each in provisos(worlds) if each.startswith("By kind of world")]
    assert every == ([] if said is None else [f"By kind of world, {said}."])


def test_the_highest_in_a_world_is_that_over_its_trials():
    """Of cells with fewer trials, as some failed, each trial counts as much as of others."""
    [board] = boards(drawn({"a": [0.9], "b": [0.1]}, LEGS))
    cells = [
        ("a", None, 1, 0.9, 1), ("a", None, 4, 0.1, 3), ("b", None, 1, 0.4, 3),
        ("b", None, 4, 0.4, 3), ("a", "bios-en", 1, 0.5, 3), ("b", "bios-en", 1, 0.2, 3),
    ]  # fmt: skip
    names = ["label", "grammar", "edits", "mean", "rows"]
    frame = pl.DataFrame(cells, schema=names, orient="row").with_columns(measure=pl.lit("score"))
    [said] = [each for each in provisos(replace(board, cells=frame)) if "kind of world" in each]
    highest = "b for plain tokens (0.40) and a for bios-en (0.50)"
    assert said == f"By kind of world, the highest are {highest}."


def test_a_field_of_one_is_not_won():
    values = {"a": [0.9, 0.9001, 0.9], "retrain": [1.0, 0.99, 1.0]}
    for own in (values, {"a": values["a"]}):
        [alone] = boards(drawn(own, LEGS))
        said = leader(alone)
        assert said == "a is the only method with a score (0.90)."
        html = render_leaderboard(page_of(alone))
        assert said in html and 'class="primary"' not in html
    [ranked] = boards(
        drawn({**values, "b": [0.95, 0.94, 0.95]}, LEGS), failed={"editing": {"b": 1}}
    )
    assert leader(ranked) == "a is the only ranked method, with a score of 0.90. Not ranked: b."
    assert 'class="primary"' not in render_leaderboard(page_of(ranked))


def test_what_was_not_learnt_is_said_aloud(board):
    columns = {"suite": "editing", "edits": 6, "models": 2, "recall": 0.1}
    rows = [{**columns, "grammar": None, "known": 11, "facts": 12, "share": 11 / 12},
            {**columns, "grammar": "bios-en", "known": 2, "facts": 12, "share": 1 / 6}]  # fmt: skip
    html = render_leaderboard(page_of(board, learnt=pl.DataFrame(rows, schema=LEARNT)))
    said = re.findall(r'<p class="state" role="status">(.*?)</p>', html)
    assert len(said) == 1
    assert said[0].startswith("Editing, bios-en, 6 edits: the models knew only 2 of the 12 ")
    assert "edited facts before the edit (17%)" in said[0]
    assert html.index(said[0]) < html.index("<table")
    assert "11 of 12" in html and "Editing: what the models knew before" in html
    well = pl.DataFrame(rows[:1], schema=LEARNT)
    assert 'class="state"' not in render_leaderboard(page_of(board, learnt=well))
    assert "knew before" not in render_leaderboard(page_of(board))


def test_ranges_say_what_they_are_cut_to(html):
    assert (
        "clipped to the range of the measure; there is none with fewer than 3 clusters, or" in html
    )


def test_damage_above_the_bound_is_marked():
    values = {"mild": [0.05, 0.06, 0.05], "harsh": [0.25, 0.26, 0.27]}
    [board] = boards(drawn(values, LEGS))
    html = render_leaderboard(page_of(board))
    assert "a method is marked if it is above 0.1, which does not change its score" in html
    assert html.count("<small>above 0.1</small>") == 1
    row = next(row for row in html.split("<tr") if "<small>above 0.1" in row)
    assert "harsh" in row
    [without] = boards(drawn(values, LEGS[:3]))
    assert "above 0.1" not in render_leaderboard(page_of(without))


def test_every_method_has_a_row_and_a_section(board, html):
    order = board.table["label"].to_list()
    for label in VALUES:
        own = anchor("editing", order.index(label))
        assert f'<section id="{own}"><h3>{escape(label)}<' in html and f'href="#{own}"' in html
    assert "1\u20132" in html and ">oracle<" in html and "2 failed" in html
    assert "settings (tuned, 20 trials, 1 min 15 s): steps = 3." in html
    assert "settings (by hand): none." in html and "settings (default): none." in html
    assert "a &lt;loss&gt;" in html
    assert "ft &lt;/script&gt;" in html and "kl_filler needs a filler" in html


def test_settings_by_kind_of_world_are_one_row_and_both_are_listed():
    def tuned(steps, trials):
        return {"settings": {"steps": steps}, "whence": "tuned",
                "tuning": {"trials": trials, "seconds": 30.0}}  # fmt: skip

    worlds = {"tokens": tuned(3, 16), "text": tuned(5, 20)}
    half = {"tokens": {"settings": {}, "whence": "default"}, "text": worlds["text"]}
    said = [{"label": label, "whence": "tuned", "worlds": own} for label, own in
            (("b", worlds), ("c", half))]  # fmt: skip
    [board] = boards(drawn(VALUES, LEGS), methods=said)
    html = render_leaderboard(page_of(board, worlds={"b": worlds, "c": half}))
    html = html.replace("&#x27;", "'")
    on = "tuned<small>behemoth's, on"
    assert f"{on} tokens, text</small><small>36 trials, 1 min</small>" in html
    assert f"{on} text</small><small>20 trials, 30 s</small>" in html
    assert (
        "settings on tokens (tuned, behemoth's, 16 trials, 30 s): steps = 3; "
        "settings on text (tuned, behemoth's, 20 trials, 30 s): steps = 5." in html
    )
    assert "settings on tokens (default): none; settings on text (tuned" in html
    assert "(tuned:world) each trial has those for the kind of its world, and the numbers" in html
    [other] = boards(drawn(VALUES, LEGS), methods=[{"label": "c", "whence": "given"}])
    assert "tuned:world" not in render_leaderboard(page_of(other))


def test_a_method_whose_trials_all_failed_has_a_row_and_a_section():
    [board] = boards(drawn(VALUES, LEGS), failed={"editing": {"gone": 3}})
    html = render_leaderboard(page_of(board))
    assert "<h3>gone</h3>\n<p>All trials failed (3).</p></section>" in html
    assert "0<small>0 clusters, 3 failed</small>" in html


def test_a_score_with_locality_says_in_how_many_trials_it_has_that_leg():
    legs = drawn({"a": [0.9, 0.8, 0.85], "b": [0.3, 0.35, 0.3]}, LEGS[:3])
    lost = drawn({"a": [0.2, 0.1], "b": [0.3, 0.2]}, LEGS[3:])
    [board] = boards(pl.concat([legs, lost]))
    html = render_leaderboard(page_of(board))
    # In the row of the board, and in the section of the method.
    assert html.count("<small>locality in 2 of 3 trials</small>") == 2 * 2
    assert html.count("<small>2 of 3 trials</small>") == 2 * 2
    assert "In trials whose model knew no bystander it is the score without that leg" in html
    [whole] = boards(drawn({"a": [0.9, 0.8, 0.85], "b": [0.3, 0.35, 0.3]}, LEGS))
    html = render_leaderboard(page_of(whole))
    assert "locality in" not in html and "knew no bystander" not in html


def test_settings_of_the_package_are_not_taken_for_a_tuning_of_the_study():
    tuning = {"trials": 16, "seconds": 75.4}
    methods = [{"label": "b", "whence": "tuned", "world": "text", "tuning": tuning}]
    [board] = boards(drawn(VALUES, LEGS), methods=methods)
    html = render_leaderboard(page_of(board)).replace("&#x27;", "'")
    assert "tuned<small>behemoth's, on text</small><small>16 trials, 1 min 15 s</small>" in html
    assert "settings (tuned, behemoth's, on text, 16 trials, 1 min 15 s): none." in html
    assert "were tuned once, on another world of each kind that is named" in html
    [own] = boards(drawn(VALUES, LEGS), methods=[{**methods[0], "world": None}])
    assert "behemoth&#x27;s" not in render_leaderboard(page_of(own))


@pytest.mark.parametrize(
    ("score", "place", "said"), [(0.0, "3", "shares the last"), (1.0, "1", "shares the first")]
)
def test_a_method_whose_score_is_always_at_an_end_has_a_place(score, place, said):
    values = {"a": [0.8, 0.82, 0.84], "b": [0.3, 0.35, 0.3], "always": [score] * 3}
    [board] = boards(drawn(values, LEGS[:3]))
    html = render_leaderboard(page_of(board))
    row = next(row for row in html.split("<tr") if ">always</a>" in row)
    assert f'<td class="number">{place}</td>' in row
    assert f"score is {score:.0f} in every trial has no interval and {said} places" in html
    if score == 0:
        assert leader(board).startswith("a has the highest score, 0.82, and its interval lies ab")
    [without] = boards(drawn({name: values[name] for name in "ab"}, LEGS[:3]))
    assert "in every trial" not in render_leaderboard(page_of(without))


def test_sections_of_two_boards_have_ids_of_their_own():
    """Labels need not differ in letters alone, and a label may be on both boards."""
    values = {"lora, rank 1": [0.8, 0.82, 0.84], "lora  rank-1": [0.7, 0.71, 0.7]}
    both = [drawn(values, LEGS), drawn(values, ("forget_recall",), "unlearning")]
    html = render_leaderboard(page_of(*boards(pl.concat(both))))
    ids = re.findall(r'<section id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) == 4
    assert set(re.findall(r'href="#(method-[^"]+)"', html)) == set(ids)


def test_columns_that_say_nothing_are_sentences():
    said = [{"label": label, "whence": "default"} for label in VALUES]
    [even] = boards(drawn(VALUES, LEGS), methods=said)
    html = render_leaderboard(page_of(even))
    assert "were their defaults when the trials were run. Each has 3 trials in" in html
    table = html[html.index("<table") : html.index("</table>")]
    assert (
        ">settings<" not in table and ">trials<" not in table and "the score by world" not in html
    )


def test_scores_by_world_stand_side_by_side(board):
    cells = [board.cells, board.cells.with_columns(pl.lit("bios-en").alias("grammar"))]
    two = replace(board, cells=pl.concat(cells).with_columns(pl.col("grammar").cast(pl.String)))
    parts = "".join(by_world(two))
    assert "plain tokens, " in parts and "bios-en, " in parts
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
    assert figure.caption.endswith("Not drawn, because not all trials have both numbers: c.")
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
    assert isinstance(figure, Figure) and "Not drawn" not in figure.caption
    assert set(figure.frame["label"]) == {"a", "b"}


def test_a_number_that_is_not_of_all_trials_says_so(html):
    assert "from how many trials" not in html
    [board] = boards(broken_in_the_first({"kl_twin_retain"}))
    html = render_leaderboard(page_of(board))
    assert "Each has 3 trials in 3 clusters. If a model has no finite value, the score" in html
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
    assert "Behemoth leaderboard" in text and "1 of 1 trials have not been run" in text
    assert not pl.Series(list((tmp_path / "s" / "report").rglob("*.png"))).len()


def test_a_point_says_of_how_many_trials_and_clusters_it_is(board):
    figure = pareto(board)
    assert isinstance(figure, Figure)
    assert "the mean over 3 trials, 3 clusters." in figure.caption
    assert "a point without a bar has fewer than 3 clusters, or the same value" in figure.caption


def test_settings_are_written_as_in_a_study(board):
    settings = {"b": '{"follow": false, "rank": 1, "scale": null}'}
    html = render_leaderboard(page_of(board, settings=settings))
    assert "follow = false, rank = 1." in html


def test_rounding_is_not_written_as_a_number(board):
    assert mean_cell(1.9e-13, 1.6e-13, 2.3e-13) == "< 10\u207b\u2079"
    assert mean_cell(0.0, None, None) == "0"
    assert mean_cell(0.5, 0.4, 0.6) == "0.500\n0.40 to 0.60"
    assert mean_cell(0.0494, None, None) == "0.049"
