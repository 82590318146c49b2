import polars as pl
import pytest

from behemoth.evaluate import damage, damaged
from behemoth.evaluate.suites.suite import SuiteResult


def rows(group, known, right, must_change=False, stage="after", failure=None):
    frame = pl.DataFrame(
        {"stage": stage, "group": group, "known": known, "exact_match": right,
         "must_change": must_change}
    )  # fmt: skip
    return frame.with_columns(pl.lit(failure, pl.String).alias("failure"))


def test_only_what_was_known_and_should_stay_is_damage():
    frame = pl.concat(
        [
            rows("same_relation", [True] * 10 + [False] * 5, [True] * 7 + [False] * 8),
            rows("unrelated", [True] * 20, [True] * 19 + [False]),
            rows("edited", [True] * 4, [False] * 4, must_change=True),
            rows("subject_nested", [True] * 2, [False] * 2, must_change=True),
            rows("same_object", [True] * 3, [False] * 3, stage="before"),
            rows("retain", [False] * 3, [False] * 3),
        ]
    )
    found = damage(frame)
    assert found.rows() == [
        ("same_relation", 10, 3, pytest.approx(0.3)),
        ("unrelated", 20, 1, pytest.approx(0.05)),
    ]
    assert damaged(frame)["group"].to_list() == ["same_relation"]
    assert damaged(frame, 0.01).height == 2 and damaged(frame, 0.3).is_empty()
    assert damage(frame.filter(stage="before")).is_empty()


def test_an_edit_that_failed_could_lose_nothing():
    made = rows("unrelated", [True] * 4, [True, True, False, False])
    failed = rows("unrelated", [True] * 16, [True] * 16, failure="loss nan at step 3")
    assert damage(pl.concat([made, failed])).rows() == [("unrelated", 4, 2, 0.5)]
    assert damage(failed).is_empty()


def test_the_command_does_not_show_failed_edits_as_harmless(capsys):
    from behemoth.cli.evaluate import _note_failed, _show

    parts = [
        rows(group, [True] * 2, [True, right], must_change=group == "edited", failure=failure)
        .with_columns(edit=pl.Series([0, 0] if failure is None else [1, 1], dtype=pl.UInt32))
        for group in ("edited", "unrelated")
        for right, failure in ((False, None), (True, "loss nan at step 3"))
    ]  # fmt: skip
    frame = pl.concat(parts).with_row_index("probe")
    nothing = pl.DataFrame(schema={"metric": pl.String, "stage": pl.String, "filter": pl.String,
                                   "value": pl.Float64})  # fmt: skip
    _show(frame, nothing, "f.parquet")
    _note_failed(1, frame)
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()[-2:]] == [
        ["edited", "4", "0.250"], ["unrelated", "4", "0.500"]
    ]  # fmt: skip
    assert said.err.startswith("1 edit failed: 0 in success, and not measured where")
    _show(frame.filter(pl.col("failure").is_not_null()), nothing, "f.parquet")
    assert capsys.readouterr().out.splitlines()[-1].split() == ["unrelated", "2"]
    _note_failed(2, frame.filter(pl.col("failure").is_null()))  # within a batch
    assert capsys.readouterr().err == "2 edits failed\n"


def test_the_command_says_where_an_edit_does_damage(capsys):
    from behemoth.cli.evaluate import _show_suite, _warn

    frame = rows("same_relation", [True] * 100, [True] * 23 + [False] * 77)
    told = (
        "damage: same_relation: 77 of 100 facts that were known and should have stayed are gone "
        "(77%)\n"
    )
    _warn(damaged(frame))
    assert capsys.readouterr().err == told
    for suite, said in (("editing", told), ("unlearning", told), ("sequence", "")):
        _show_suite(SuiteResult(suite, "e", None, None, "after", None, (), 1.0, {}, frame), "out")
        assert capsys.readouterr().err == said
