import json
from dataclasses import replace

import polars as pl
import pytest

from behemoth.cli.evaluate import _note_unknown, _report, _told
from behemoth.delta.delta import EditDelta
from behemoth.edit.record import FailedEdit, read_edit
from behemoth.evaluate.frame import evaluate
from behemoth.evaluate.schema import SCHEMA


def edited(run, trained, plan, out, *others):
    words = ("--method", "lora", "--set", "steps=2", "--set", "learning_rate=0.05")
    run("edit", trained, "--plan", plan, *words, "--out", out, "--json", *others).json()
    return out


def test_single_edits(run, trained, plan, tmp_path):
    edit = edited(run, trained, plan, tmp_path / "e", "--single")
    out = tmp_path / "frames" / "f.parquet"
    report = run("evaluate", edit, "--plan", plan, "--out", out, "--json").json()
    assert list(report) == [
        "out", "rows", "edits", "failed_edits", "stages", "seconds", "metrics", "damaged"
    ]  # fmt: skip
    assert report["failed_edits"] == 0
    frame = pl.read_parquet(out)
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame.height == report["rows"]
    assert report["edits"] == 2
    assert report["stages"] == ["before", "after"]
    assert frame["run"].unique().to_list() == ["small"]
    assert frame["seed"].unique().to_list() == [5]
    assert frame["method"].unique().to_list() == ["lora"]
    assert frame.filter(stage="after")["kl"].max() > 0
    keys = frame.select("edit", "probe", "stage")
    assert keys.is_unique().all()
    metrics = {(row["metric"], row["stage"], row["filter"]) for row in report["metrics"]}
    assert ("efficacy", "after", "all") in metrics
    # The same from Python, whatever the batches are.
    again = evaluate(edit, plan, stack=1, batch_size=16)
    assert again.select(keys.columns).sort(keys.columns).equals(keys.sort(keys.columns))


def test_a_frame_of_another_edit_is_replaced_only_by_force(run, trained, plan, tmp_path):
    one = edited(run, trained, plan, tmp_path / "one", "--single")
    two = edited(run, trained, plan, tmp_path / "two", "--single", "--seed", 9)
    out = tmp_path / "f.parquet"
    words = ("--plan", plan, "--out", out)
    run("evaluate", one, *words, "--json").json()
    before = out.read_bytes()
    for other in (two, trained):
        message = run("evaluate", other, *words).refused(2)
        assert "which holds an evaluation of another model, edit or plan, allowed: ano" in message
    message = run("facts", trained, "--out", out).refused(2)
    assert "which holds an evaluation, allowed: another file, or --force" in message
    assert out.read_bytes() == before
    run("evaluate", one, *words, "--stack", 1, "--json").json()
    run("evaluate", two, *words, "--force", "--json").json()
    assert out.read_bytes() != before
    assert "which holds an evaluation of ano" in run("evaluate", one, *words).refused(2)


def test_a_batch(run, trained, plan, tmp_path):
    edit = edited(run, trained, plan, tmp_path / "e")
    ran = run("evaluate", edit, "--plan", plan, "--out", tmp_path / "f.parquet")
    assert ran.code == 0
    assert "before" in ran.out and "after" in ran.out
    for word in ("efficacy", "exact_specificity", "same_relation", "unrelated"):
        assert word in ran.out
    assert "-0.000" not in ran.out


def test_edits_of_facts_that_the_model_does_not_know_are_counted(capsys):
    frame = pl.DataFrame(
        {"edit": [0, 0, 1, 2, None], "edit_known": [True, True, False, True, None]}
    )
    _note_unknown(frame)
    assert "before: the model generated 2 of 3 edited facts; " in capsys.readouterr().err
    _note_unknown(frame, alone=True)
    said = capsys.readouterr().err
    assert "2 of 3 edited facts; this is the measured model" in said and "if known" not in said
    _note_unknown(frame.filter("edit_known"))
    _note_unknown(frame.filter(pl.col("edit").is_null()))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("stages", "alone", "told"),
    [
        (["before", "after"], False, ["kl all", "kl known", "score all", "score known"]),
        (["before"], False, ["score all", "score known"]),  # a run as it was trained
        (["before"], True, ["score all"]),
    ],
)
def test_only_an_edit_has_a_divergence_and_a_model_by_itself_no_facts_known_before(
    stages, alone, told
):
    rows = [{"metric": metric, "filter": kept}
            for metric in ("kl", "score") for kept in ("all", "known")]  # fmt: skip
    found = _told(pl.DataFrame(rows), pl.DataFrame({"stage": stages}), alone=alone)
    assert [f"{metric} {kept}" for metric, kept in found.iter_rows()] == told


def test_probes_that_belong_to_no_edit_are_not_counted_as_one():
    frame = pl.DataFrame({"edit": [0, 1, 1, None], "stage": ["before"] * 4})
    columns = ("stage", "metric", "version", "filter", "value", "rows", "edits")
    metrics = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    assert _report(frame, metrics, "f.parquet", 1.0, 0)["edits"] == 2
    assert _report(frame.tail(1), metrics, "f.parquet", 1.0, 0)["edits"] == 0


def test_edits_that_failed_are_counted_alone_and_within_a_batch(run, trained, plan, tmp_path):
    for name, words in (("s", ("--single",)), ("b", ())):
        edit = edited(run, trained, plan, tmp_path / name, *words)
        place = edit / ("deltas/00001" if words else "delta")
        delta = EditDelta.load(place)
        row = {"edit": 1, "failure": "no target"}
        broken = {"changes": {}, "failure": "no target"} if words else {"trace": [row, row]}
        replace(delta, **broken).save(place)
        replace(read_edit(edit), failed=(FailedEdit(1, "no target"),)).write()
        out = tmp_path / f"{name}.parquet"
        ran = run("evaluate", edit, "--plan", plan, "--out", out, "--json")
        assert ran.json()["failed_edits"] == 1, name
        ran = run("evaluate", edit, "--plan", plan, "--out", tmp_path / f"{name}-2.parquet")
        said = "1 edit failed: 0 in success, and not" if words else "1 edit failed\n"
        assert said in ran.err, name


def test_all_edits_of_a_batch_that_failed_as_a_whole_are_counted(run, trained, plan, tmp_path):
    edit, words = tmp_path / "e", ("--method", "ft", "--set", "learning_rate=1e30")
    ran = run("edit", trained, "--plan", plan, *words, "--out", edit)
    assert ran.code == 1 and "the batch failed: loss" in ran.err
    assert repr(read_edit(edit).failed).startswith("(FailedEdit(edit=None, ")
    assert run("inspect", edit, "--json").json()["failed"] == 2
    words = ("evaluate", edit, "--plan", plan, "--out")
    assert run(*words, tmp_path / "f.parquet", "--json").json()["failed_edits"] == 2
    ran = run(*words, tmp_path / "g.parquet")
    assert "2 edits failed: 0 in success, and not" in ran.err


def test_a_run_has_the_stage_before_only(run, trained, plan, tmp_path):
    out = tmp_path / "f.parquet"
    report = run("evaluate", trained, "--plan", plan, "--out", out, "--json").json()
    assert report["stages"] == ["before"]
    assert "kl" not in {row["metric"] for row in report["metrics"]}
    frame = pl.read_parquet(out)
    assert frame["kl"].eq(0).all()
    assert frame["method"].is_null().all()


def test_recall_needs_no_plan_and_says_which_facts_may_be_edited(run, trained, plan, tmp_path):
    out, other = tmp_path / "all", tmp_path / "some"
    report = run("evaluate", trained, "--suite", "recall", "--out", out, "--json").json()
    assert report["plan_hash"] is None
    frame = pl.read_parquet(out / "frame.parquet")
    assert frame["fact"].n_unique() == 360
    assert report["measures"][0]["count"] == frame.filter(~pl.col("held_out"))["subject"].n_unique()
    with_plan = ("--plan", plan, "--facts", "all", "--out", other)
    run("evaluate", trained, "--suite", "recall", *with_plan, "--json").json()
    assert pl.read_parquet(other / "frame.parquet").equals(frame)

    # A model with random weights knows nothing of what is asked here.
    known = frame.with_columns(exact_match=pl.col("fact") % 2 == 0)
    known.write_parquet(out / "frame.parquet")
    words = ("--edits", 3, "--any-objects", "--known", out / "frame.parquet", "--out")
    ran = run("plan", trained, *words, tmp_path / "p")
    assert ran.code == 0 and "facts" not in ran.err
    edits = pl.read_parquet(tmp_path / "p" / "edits.parquet")
    assert (edits["fact"] % 2 == 0).all()


def test_a_sample_of_what_is_known_is_said_to_be_one(run, trained, tmp_path):
    out = tmp_path / "some"
    words = ("--suite", "recall", "--facts", 40, "--out", out)
    assert run("evaluate", trained, *words, "--json").code == 0
    frame = pl.read_parquet(out / "frame.parquet")
    assert frame["fact"].n_unique() == 40
    frame.with_columns(exact_match=True).write_parquet(out / "frame.parquet")
    words = ("--edits", 1, "--known", out / "frame.parquet", "--out", tmp_path / "p")
    ran = run("plan", trained, *words)
    said = f"{out / 'frame.parquet'} covers 40 of 360 facts: none of the others is edited\n"
    assert said in ran.err


def test_the_plan_must_be_the_one_it_was_made_with(run, trained, plan, tmp_path):
    edit = edited(run, trained, plan, tmp_path / "e")
    other = tmp_path / "other"
    run("plan", trained, "--edits", 3, "--seed", 4, "--out", other, "--json").json()
    out = tmp_path / "f.parquet"
    message = run("evaluate", edit, "--plan", other, "--out", out).refused(2)
    assert "argument '--plan': got plan" in message and "allowed: the edit's own" in message
    (tmp_path / "world.toml").write_text("[world]\nsubjects = 90\nrelations = 2\nobjects = 9\n")
    run("plan", tmp_path / "world.toml", "--edits", 1, "--out", tmp_path / "w", "--json").json()
    message = run("evaluate", trained, "--plan", tmp_path / "w", "--out", out).refused(2)
    assert "got a plan of another corpus" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out f", "argument '--plan': got nothing, allowed: a plan directory"),
        ("--plan PLAN", "argument '--out': got nothing, allowed: a Parquet file to write"),
        (
            "--plan PLAN --out .",
            "argument '--out': got ., which is a directory, allowed: a file name",
        ),
        ("--plan PLAN --out f --stack 0", "argument '--stack': got 0, allowed"),
        ("--plan PLAN --out f --batch-size x", "argument '--batch-size': got x, allowed"),
        (
            "--plan nothing --out f",
            "argument '--plan': got nothing, which does not exist, allowed: a plan directory",
        ),
    ],
)
def test_errors(run, trained, plan, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(plan) if word == "PLAN" else word for word in words.split()]
    assert message in run("evaluate", trained, *given).refused(2)
    assert not (tmp_path / "f").exists()


def test_what_is_neither_run_nor_edit(run, plan, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "f.parquet"
    message = run("evaluate", tmp_path / "empty", "--plan", plan, "--out", out).refused(2)
    assert "allowed: an edit, a training run" in message


def test_an_edit_whose_run_is_gone(run, trained, plan, tmp_path):
    edit = edited(run, trained, plan, tmp_path / "e")
    record = json.loads((edit / "edit.json").read_text())
    del record["blake3"], record["files"]  # so that it is taken as it is
    (edit / "edit.json").write_text(json.dumps({**record, "run": "../gone"}))
    message = run("evaluate", edit, "--plan", plan, "--out", tmp_path / "f.parquet").refused(2)
    assert "argument 'RUN_OR_EDIT': got" in message and "gone" in message


def test_names_of_measures_are_whole_in_a_narrow_terminal(
    run, trained, plan, monkeypatch, tmp_path
):
    monkeypatch.setenv("COLUMNS", "60")
    ran = run("evaluate", trained, "--plan", plan, "--suite", "editing", "--out", tmp_path / "s")
    assert "neighbourhood_magnitude (v2)" in ran.out and "…" not in ran.out
