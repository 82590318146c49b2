"""Suite sequence: which edits are asked, and how long they hold."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError
from behemoth.delta.delta import Dense, EditDelta
from behemoth.edit import edit
from behemoth.evaluate import evaluate_suite, scores
from behemoth.evaluate.suites import sequence
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.sequence import half_life, sampled_edits
from behemoth.evaluate.suites.suite import MissingError, SuiteResult


def test_the_half_life_lies_between_the_ages_around_a_half():
    rows = [
        {"place": place, "after": after, "exact_match": after - place - 1 < 8}
        for place in range(4)
        for after in (4, 8, 16, 32)
    ]
    found = half_life(pl.DataFrame(rows))
    assert 4 < found < 12
    # Edits that were looked at but once held by choice: they say nothing of how long one holds.
    once = [{"place": 4 + n, "after": 32, "exact_match": True} for n in range(28)]
    assert half_life(pl.DataFrame(rows + once)) == found
    held = pl.DataFrame(rows).with_columns(exact_match=pl.lit(True))
    assert half_life(held) is None


def test_a_sample_of_a_long_sequence_has_its_first_edits():
    assert sampled_edits(10).tolist() == list(range(10))
    long = sampled_edits(10_000)
    assert len(long) <= 256 and long[0] == 0 and long[-1] == 9_999
    assert set(range(5)) <= set(long.tolist())
    assert (np.diff(long) > 0).all() and np.diff(long).max() < 100


def test_the_half_life_is_interpolated_on_the_logarithm():
    """All hold one edit later and none three later: a half at 2 ** 1.5 - 1."""
    rows = [
        {"place": place, "after": place + age, "exact_match": age < 4}
        for place in range(5)
        for age in (1, 2, 4)
    ]
    assert half_life(pl.DataFrame(rows)) == pytest.approx(2**1.5 - 1)


def test_measures_of_a_sequence_are_of_one_checkpoint():
    """After 2 of 4 edits, of which the first checkpoint was after one."""

    def row(group, after, place, **columns):
        return {"group": group, "after": after, "place": place, "known": True,
                "must_change": False, "exact_match": False, "kl": 1.0, "stage": "after",
                "failure": None, "link": False, "subject": place,
                "old_match": False, "edit_known": True,
                "log_probability_true": 0.0, "log_probability_old": 0.0, **columns}  # fmt: skip

    rows = [
        row("edited", 2, 0, exact_match=True, log_probability_true=1.0),
        row("edited", 2, 1, log_probability_old=1.0),
        row("edited", 2, 2, exact_match=True, log_probability_true=1.0),  # not made yet
        row("edited", 1, 1, exact_match=True),
        *(row("unrelated", 2, 0, exact_match=right, kl=kl)
          for right, kl in ((True, 0.1), (True, 0.2), (True, 0.3), (False, 0.4))),
        row("unrelated", 2, 0, known=False, kl=0.0),
        row("unrelated", 1, 0, kl=9.0),
        row("subject_nested", 2, 0, must_change=True, kl=9.0),
    ]  # fmt: skip
    measured = SimpleNamespace(
        sequence=pl.DataFrame(rows, schema_overrides={"failure": pl.String}),
        edit=SimpleNamespace(checkpoints=(1, 2, 4)),
        mean=lambda *given, **options: MeasuredModel.mean(measured, *given, **options).value,
    )  # fmt: skip
    assert sequence._hold(measured, 2) == 0.5 and sequence._efficacy(measured, 2) == 0.5
    assert sequence._first(measured, 2) == 1.0
    assert sequence._lost(measured, 2) == 0.25
    assert sequence._kl(measured, 2) == pytest.approx(0.2)
    measured.sequence = measured.sequence.with_columns(
        failure=pl.lit("loss nan"), stage=pl.lit("after")
    )
    for find in (sequence._lost, sequence._kl):
        with pytest.raises(MissingError, match=r"^edits that did not fail$"):
            find(measured, 2)
        with pytest.raises(MissingError, match=r"^bystanders "):
            find(measured, 3)


def test_an_edit_holds_in_all_of_its_wordings_or_not():
    """Three edits in two wordings each; the second holds in one of them, at one checkpoint."""

    def row(after, place, wording, right):
        return {"group": "edited", "stage": "after", "after": after, "place": place, "known": True,
                "must_change": True, "exact_match": right, "failure": None, "link": False,
                "old_match": not right, "edit_known": place > 0,
                "subject": place, "wording": wording, "log_probability_old": -1.0,
                "log_probability_true": 0.0 if right else -2.0}  # fmt: skip

    rows = [row(after, place, wording, not (place == 1 and wording == 1 and after == 4))
            for after in (2, 4) for place in range(3) for wording in (0, 1)]  # fmt: skip
    taken = []

    def mean(rows, value, _):
        taken.append(rows)
        return rows.select(value.cast(pl.Float64).mean()).item()

    measured = SimpleNamespace(
        sequence=pl.DataFrame(rows, schema_overrides={"failure": pl.String}),
        edit=SimpleNamespace(checkpoints=(2, 4)), mean=mean,
    )  # fmt: skip
    assert sequence._hold(measured, 4) == pytest.approx(2 / 3)
    assert sequence._efficacy(measured, 4) == pytest.approx(5 / 6)
    assert sequence._first(measured, 4) == 0.5 and sequence._first(measured, 2) == 1.0
    assert [rows.height for rows in taken] == [3, 3, 2, 2], "an edit counts once"
    # The old object is still said in one wording of the second; of the first it was not known.
    assert sequence._forgotten(measured, 4) == 0.5 and sequence._forgotten(measured, 2) == 1.0
    # The half-life is of the same edits that hold: one of the two that are seen again is lost.
    found = sequence._half_life(measured)
    assert (found.value, found.count) == (pytest.approx(2.0), 2)


@pytest.mark.parametrize(
    ("method", "new_object", "answers", "forgets"),
    [
        ("ft", 3, True, False),
        ("ft", None, True, False),
        ("npo", 3, False, True),
        ("dpo_refusal", None, True, True),
        ("retrain", 3, True, False),
        ("retrain", None, False, True),
        ("of_another_package", None, True, False),
    ],
)
def test_a_sequence_is_asked_what_its_edits_were_made_for(method, new_object, answers, forgets):
    edit = SimpleNamespace(method=method, checkpoints=(2,))
    measured = SimpleNamespace(edit=edit, plan=SimpleNamespace(nameless=new_object is None))
    found = {name: sequence._find(measured, name, lambda: True) if taken else None
             for name, taken in (("hold", answers), ("half_life", answers),
                                 ("forgotten", forgets), ("lost", True))}  # fmt: skip
    assert all(value in (True, None) for value in found.values())
    for name, taken, said in (
        ("efficacy", answers, f"edits to new answers: {method} forgets old ones"),
        ("forgotten", forgets, f"edits that forget: {method} gives new answers"),
    ):
        if not taken:
            with pytest.raises(MissingError, match=f"^{said}$"):
                sequence._find(measured, name, lambda: True)


def test_the_unedited_model_is_asked_once_for_all_checkpoints(edited_run, tmp_path, monkeypatch):
    run, _, plan, _ = edited_run
    out = edit(
        run, plan, "ft", tmp_path / "e", settings={"steps": 1}, sequential=True,
        checkpoint_at=(1, 2),
    )  # fmt: skip
    measured = MeasuredModel.open(out, plan)
    passes, own = [], scores._score_pass
    monkeypatch.setattr(scores, "_score_pass", lambda *at, **by: passes.append(1) or own(*at, **by))
    assert set(sequence.sequence_frame(measured)["after"]) == {0, 1, 2, 6}
    every = len(passes)
    monkeypatch.setattr(sequence, "Unedited", lambda: None)
    passes.clear()
    sequence.sequence_frame(measured)
    assert every and len(passes) == 3 * every


def test_a_stopped_evaluation_goes_on_at_its_checkpoint(edited_run, tmp_path, monkeypatch):
    run, _, plan, _ = edited_run
    made = {
        name: edit(
            run, plan, "ft", tmp_path / name, settings={"steps": steps}, sequential=True,
            checkpoint_at="all",
        )
        for name, steps in (("e", 1), ("other", 2))
    }  # fmt: skip
    whole = evaluate_suite(made["e"], "sequence", plan, out=tmp_path / "whole")
    count, own = len(plan), sequence.evaluate_model
    calls: list[int] = []

    def stopping(*given, **named):
        calls.append(1)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return own(*given, **named)

    monkeypatch.setattr(sequence, "evaluate_model", stopping)
    out, stop = tmp_path / "out", 3
    with pytest.raises(KeyboardInterrupt):
        evaluate_suite(made["e"], "sequence", plan, out=out)
    parts = sorted(path.name for path in (out / "parts").iterdir())
    assert parts == ["00000001.json", "00000001.parquet", "00000002.json", "00000002.parquet"]
    (out / "parts" / "00000001.parquet").write_bytes(b"damaged")
    calls.clear()
    stop = 0
    again = evaluate_suite(made["e"], "sequence", plan, out=out)
    assert len(calls) == count - 1, "all but the second, of which the rows are there"
    assert again.frame.equals(whole.frame, null_equal=True)
    assert sorted(path.name for path in out.iterdir()) == ["frame.parquet", "suite.json"]
    # Of another edit nothing is taken.
    stop, out = count, tmp_path / "second"
    (out / "parts").mkdir(parents=True)
    with pytest.raises(ArgumentError, match=r"something else \(parts\)"):
        evaluate_suite(made["other"], "editing", plan, out=out)
    (out / "parts").rmdir()
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        evaluate_suite(made["other"], "sequence", plan, out=out)
    (out / "parts/notes.txt").touch()  # somebody's own, which stays
    calls.clear()
    stop = 0
    evaluate_suite(made["e"], "sequence", plan, out=out)
    assert len(calls) == count and [path.name for path in (out / "parts").iterdir()] == [
        "notes.txt"
    ]


def test_a_full_disk_at_the_end_leaves_the_parts(edited_run, tmp_path, monkeypatch):
    run, _, plan, _ = edited_run
    made = edit(run, plan, "ft", tmp_path / "e", settings={"steps": 1}, sequential=True)
    monkeypatch.setattr(SuiteResult, "to_dict", lambda _: 1 / 0)
    for _ in range(2):  # the second is not refused
        with pytest.raises(ZeroDivisionError):
            evaluate_suite(made, "sequence", plan, out=tmp_path / "out")
        assert {path.name for path in (tmp_path / "out").iterdir()} == {".unfinished", "parts"}


def test_no_half_life_is_told_from_no_edit_that_is_seen_again():
    def measured(rows):
        base = {"group": "edited", "stage": "after", "failure": None}
        rows = [base | {"place": place, "after": after, "exact_match": right}
                for place, after, right in rows]  # fmt: skip
        frame = pl.DataFrame(rows, schema_overrides={"failure": pl.String})
        return SimpleNamespace(sequence=frame)

    with pytest.raises(MissingError, match=r"of which half are lost by the last checkpoint"):
        sequence._half_life(measured([(0, 1, True), (0, 2, True)]))
    for rows in ([(0, 2, True), (1, 2, True)], [(0, 1, False), (0, 2, True)]):
        with pytest.raises(MissingError, match=r"^edits that held at one checkpoint and are seen"):
            sequence._half_life(measured(rows))


def test_the_norm_of_a_sum_is_relative_to_that_of_what_it_changes(tmp_path):
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2, bias=False) for _ in range(3)))
    with torch.no_grad():
        for number, module in enumerate(model):
            module.weight.fill_(number + 1)
    changes = {"0.weight": Dense(torch.ones(2, 2)), "1.weight": Dense(torch.full((2, 2), 2.0))}
    EditDelta(changes, "by hand", {}, "", 0).save(tmp_path)
    edit = SimpleNamespace(checkpoint_place=lambda edits: tmp_path)
    assert sequence._norm(SimpleNamespace(edit=edit, model=model), 2).value == pytest.approx(1.0)
    EditDelta({"1.weight": Dense(torch.ones(2, 2))}, "by hand", {}, "", 0).save(tmp_path)
    half = sequence._norm(SimpleNamespace(edit=edit, model=model), 2).value
    assert half == pytest.approx(0.5)
