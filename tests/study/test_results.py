import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from behemoth import ArgumentError, CorpusError
from behemoth.evaluate.schema import SCHEMA
from behemoth.study.directory import StudyDirectory
from behemoth.study.results import INDEX, MODELS, Results
from behemoth.study.schemas import EDITS, PROBES, RECALL, RETENTION, SHAPES, TRACES


@pytest.fixture(scope="module")
def results(finished):
    return Results.open(finished[0])


def test_probes_are_the_evaluation_frame():
    assert {**SCHEMA, **PROBES} == SCHEMA
    assert SCHEMA.keys() - PROBES.keys() == {"run", "method", "world", "seed"}


@pytest.mark.parametrize(
    ("name", "schema"),
    [("edits", EDITS), ("probes", PROBES), ("geometry", SHAPES), ("retention", RETENTION),
     ("traces", TRACES)],
)  # fmt: skip
def test_every_frame_says_which_trial_it_is_of(results, name, schema):
    frame = getattr(results, name).collect()
    clash = {column for column in INDEX if column in schema}
    wanted = {**schema, **{f"method_{c}" if c in clash else c: t for c, t in INDEX.items()}}
    assert dict(frame.schema) == wanted
    assert frame["trial"].n_unique() == 8 and frame["label"].null_count() == 0


def test_trials_of_earlier_versions_lack_columns(finished, tmp_path, monkeypatch):
    place = shutil.copytree(finished[0], tmp_path / "s")
    file = sorted((place / "trials").glob("*/traces.parquet"))[0]
    old = "log_probability_old_weakest"
    pl.read_parquet(file).drop(old).write_parquet(file)
    monkeypatch.setattr(Results, "_check", lambda *_: None)  # it is not what was recorded
    frame = Results.open(place).traces.collect()
    whole = Results.open(finished[0]).traces.collect()
    assert frame.schema == whole.schema and frame.drop(old).equals(whole.drop(old))
    assert frame[old].null_count() >= whole[old].null_count()


def test_a_notebook_shows_what_was_done(results):
    shown = results._repr_html_()
    for name, value in (("trials", 8), ("done", 8), ("failed", 0)):
        assert f"<th>{name}</th><td>{value}</td>" in shown
    assert "LoRA, rank 1, LoRA, rank 4, ascent, batch" in shown


def test_every_frame_of_trials_joins_the_axes_of_the_grid(results):
    grid = results.grid.collect()
    assert grid.schema == {"trial": pl.String, "corpus.rotation": pl.Int64}
    assert grid["trial"].to_list() == results.done and results.pooled == {}
    joined = results.edits.join(results.grid, on="trial", how="left").collect()
    assert joined["corpus.rotation"].to_list() == joined["rotation"].to_list()


def test_axes_of_plans_are_those_of_the_compiled_plans(tiny, in_process, tmp_path):
    text = tiny[: tiny.index('[[method]]\nname = "grad_ascent"')]
    in_process(f'{text}[grid]\n"plan.repeats" = [2, 3]\n"train.steps" = [5, 6]', tmp_path / "s")
    results = Results.open(tmp_path / "s")
    assert results.pooled == {"plan.repeats": [2, 3], "train.steps": [5, 6]}
    axes = ["plan.repeats", "train.steps"]
    split = results.edits.join(results.grid, on="trial").group_by("label", *axes).len().collect()
    assert split.height == 8 and set(split["plan.repeats"]) == {2, 3}


def test_axes_of_plans_of_twins_are_those_of_the_study(tiny, in_process, tmp_path):
    """A twin's plan is compiled from a table: its request has neither a number nor exposures."""
    text = tiny[: tiny.index('[[method]]\nname = "grad_ascent"')].replace(
        "rank = [1, 4]", "rank = [1]"
    )
    in_process(f'{text}[grid]\n"plan.edits" = [1, 2]\n"corpus.rotation" = [0, 1]', tmp_path / "s")
    results = Results.open(tmp_path / "s")
    grid = results.grid.collect()
    assert sorted(grid.select("plan.edits", "corpus.rotation").rows()) == [
        (1, 0), (1, 1), (2, 0), (2, 1),
    ]  # fmt: skip
    assert results.pooled == {"plan.edits": [1, 2]}
    earlier = Results(results.directory, replace(results.about, requests={}))
    assert sorted(earlier.grid.collect()["plan.edits"].drop_nulls()) == [1, 2]


def test_the_index_is_in_the_order_of_the_study(tmp_path):
    """That of a join changes with the threads at work: a merged study would have another one."""
    made = runpy.run_path(str(Path(__file__).parent / "synthetic.py"))
    frames = made["draw"](worlds=40, labels=("a", "b"), edits=1, probes=0, levels=(1,))
    frames.probes = frames.retention
    made["write"](tmp_path, frames, primary={"measure": "ed50", "method": "a"})
    results = Results.open(tmp_path)
    trials = [row.id for row in results.about.trials]
    for _ in range(20):
        assert results.index.collect()["trial"].to_list() == trials


def test_frames_of_models(results):
    models = results.models.collect()
    assert dict(models.schema) == MODELS and models["rotation"].to_list() == [0, 1]
    assert models["world"].n_unique() == 1 and models["tokens"].to_list() == [640, 640]
    recall = results.recall.collect()
    assert recall.height == 2 * 40 and set(RECALL) <= set(recall.columns)
    share = recall.group_by("model", maintain_order=True).agg(pl.col("exact_match").mean())
    assert share["exact_match"].to_list() == models["recall"].to_list()
    assert models["load"].to_list() == (models["bits"] / models["parameters"] / 2).to_list()


def test_twins_have_the_same_edits_at_other_exposures(results):
    edits = results.edits.filter(pl.col("label") == "LoRA, rank 1").collect()
    first, second = (edits.filter(pl.col("rotation") == turn).sort("fact") for turn in (0, 1))
    same = ["fact", "old_object", "new_object"]
    assert first.select(same).equals(second.select(same))
    assert (first["exposures"] + second["exposures"]).to_list() == [9] * 4
    assert first["exposures"].to_list() != second["exposures"].to_list()


def test_edits_that_failed_have_no_success(finished, tmp_path):
    """The unedited model may not generate the old answer, which is no success of unlearning."""
    results = copied(finished, tmp_path)
    for trial in results.done:
        place = results.directory.trial(trial)
        failed = pl.when(edit=0).then(pl.lit("loss nan")).alias("failure")
        seeming = [pl.lit(1.0).alias(name) for name in ("efficacy", "success")]
        edits = pl.read_parquet(place / "edits.parquet").with_columns(failed, *seeming)
        edits.write_parquet(place / "edits.parquet")
        record = json.loads((place / "trial.json").read_text())
        del record["files"], record["blake3"]  # so that it is taken as it is
        (place / "trial.json").write_text(json.dumps(record))
    edits = Results.open(results).edits.collect()
    assert edits["failure"].count() == 8 < edits.height
    for name in ("efficacy", "success"):
        assert edits[name].to_list() == edits["failure"].is_null().cast(pl.Float64).to_list()


def test_labels_are_those_of_the_study_now(finished, tmp_path):
    import shutil

    place = tmp_path / "s"
    shutil.copytree(finished[0], place)
    about = json.loads((place / "study.json").read_text())
    del about["blake3"]  # so that it is taken as it is
    for trial in about["trials"]:
        trial["label"] = trial["label"].upper()
    (place / "study.json").write_text(json.dumps(about))
    labels = Results.open(place).edits.select("label").unique().collect()["label"]
    assert set(labels) == {"LORA, RANK 1", "LORA, RANK 4", "ASCENT", "BATCH"}


def test_a_study_that_has_only_begun_has_empty_frames(finished, tmp_path):
    StudyDirectory(tmp_path / "s").begin("", StudyDirectory(finished[0]).read())
    results = Results.open(tmp_path / "s")
    assert results.done == [] and len(results.missing) == 8 and results.failures == []
    for name in (
        "models",
        "index",
        "grid",
        "edits",
        "probes",
        "geometry",
        "retention",
        "traces",
        "recall",
    ):
        assert getattr(results, name).collect().height == 0
    full = Results.open(finished[0])
    for name in ("edits", "probes", "geometry", "retention", "traces", "recall", "models", "grid"):
        assert getattr(results, name).collect_schema() == getattr(full, name).collect_schema()


def test_a_damaged_record_is_no_trial_that_is_missing(finished, tmp_path):
    import shutil

    place = tmp_path / "s"
    shutil.copytree(finished[0], place)
    file = next((place / "trials").glob("*/trial.json"))
    file.write_text("{")
    with pytest.raises(CorpusError, match=f"{file} is damaged"):
        _ = Results.open(place).missing


def copied(finished, tmp_path):
    import shutil

    return Results.open(shutil.copytree(finished[0], tmp_path / "s"))


def test_a_trial_without_its_model_is_in_no_frame(finished, tmp_path):
    """Frames have columns of the model: its rows would be of no method, world or seed."""
    results = copied(finished, tmp_path)
    gone = next(row["id"] for row in results.about.models)
    (results.directory.model(gone) / "model.json").unlink()
    results = Results.open(results)
    lost = {row.id for row in results.about.trials if row.model == gone}
    assert len(lost) == 4 and set(results.without_model) == lost
    assert len(results.done) == 4 and not results.missing and not results.failures
    edits = results.edits.collect()
    assert not set(edits["trial"]) & lost
    assert edits["label"].null_count() == edits["world_seed"].null_count() == 0


def test_settings_of_other_types_are_in_no_column_of_their_own(finished, tmp_path):
    """Methods of plugins choose the types of their settings."""
    results = copied(finished, tmp_path)
    about = json.loads((results.path / "study.json").read_text())
    del about["blake3"]
    odd = [{"rank": "auto"}, {"rank": 0.5}, {"part": ["mlp"]}, {"rank": True}]
    odd += [{"rank": 3, "learning_rate": 1, "part": "mlp"}] * 4
    for trial, settings in zip(about["trials"], odd, strict=True):
        trial["settings"] = settings
    (results.path / "study.json").write_text(json.dumps(about))
    index = Results.open(results).index.collect()
    found = dict(index.select("trial", pl.struct("rank", "part", "learning_rate")).iter_rows())
    rows = [found[trial["id"]] for trial in about["trials"]]
    assert rows[:4] == [{"rank": None, "part": None, "learning_rate": None}] * 4
    assert rows[4:] == [{"rank": 3, "part": "mlp", "learning_rate": 1.0}] * 4
    settings = dict(index.select("trial", "settings").iter_rows())
    assert json.loads(settings[about["trials"][2]["id"]]) == {"part": ["mlp"]}


def test_what_failed_in_part_is_listed(finished, tmp_path):
    results = copied(finished, tmp_path)
    assert results.incomplete == [] and results.without_retention == []
    trial = results.done[0]
    file = results.directory.trial(trial) / "trial.json"
    record = json.loads(file.read_text())
    del record["blake3"], record["files"]
    file.write_text(json.dumps({**record, "reason": "durability: the batch broke down: NaN"}))
    frame = results.directory.trial(trial) / "retention.parquet"
    pl.read_parquet(frame).clear().write_parquet(frame)
    results = Results.open(results)
    [only] = results.incomplete
    assert (only.trial, only.reason) == (trial, "durability: the batch broke down: NaN")
    assert results.without_retention == [trial] and len(results.done) == 8
    # With the label that its method has now.
    about = results.about
    trials = [replace(row, label=row.label.upper()) for row in about.trials]
    results.directory.begin(results.directory.text(), replace(about, trials=tuple(trials)))
    [only] = Results.open(results).incomplete
    assert only.label == next(row.label for row in trials if row.id == trial)


def test_no_study(tmp_path):
    with pytest.raises(ArgumentError, match=r"argument 'path': got .*study\.json"):
        Results.open(tmp_path)


def test_results_need_no_torch(finished):
    import subprocess
    import sys

    script = (
        "import sys; from behemoth.study import Results;"
        f"Results.open({str(finished[0])!r}).edits.collect();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
