"""Tuning: what is searched, that it goes on after a stop, and what it leaves."""

import json
import math
import shutil
import tomllib
from dataclasses import replace
from os import fspath
from pathlib import Path

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError, CorpusError
from behemoth.edit.protocol import answers
from behemoth.edit.registry import get_method
from behemoth.edit.search import Choice
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.score import Reading
from behemoth.support.digests import unchecked
from behemoth.support.locks import lock
from behemoth.train.errors import TrainError
from behemoth.train.run import RunRecord, read_record, world_id
from behemoth.tune import tune
from behemoth.tune.asked import twin_config
from behemoth.tune.choose import _why_undecided
from behemoth.tune.record import Tried

pytest.importorskip("optuna", reason="the extra tune is not installed")
FEW = {"trials": 3, "edits": 2, "rows": 32}


@pytest.fixture(scope="module")
def tuned(ran, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "ft"
    return tune("ft", ran, out, **FEW), out


def test_the_defaults_are_the_first_trial_and_the_best_is_no_worse(tuned):
    done, out = tuned
    assert (done.trials, done.carried_out, done.objective) == (3, 3, "editing")
    first = json.loads((out / "trials" / "0000.json").read_text())
    default = get_method("ft")
    assert first["settings"]["learning_rate"] == default.learning_rate
    assert first["settings"]["steps"] == 2  # 32 rows by 16 a step
    assert first["score"] == done.default_score <= done.score
    curve = pl.read_parquet(out / "curve.parquet")
    assert curve["trial"].to_list() == [0, 1, 2]
    assert curve["best"].to_list() == curve["score"].cum_max().to_list()
    assert curve["best"][-1] == done.score


def test_weights_that_are_no_numbers_are_refused_before_anything_is_written(ran, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(ran, tmp_path / "run")
    file = tmp_path / "run" / "model.safetensors"
    tensors = load_file(file)
    tensors["gpt_neox.final_layer_norm.bias"][0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    with unchecked(), pytest.raises(CorpusError, match="contains NaN or infinity"):
        tune("ft", tmp_path / "run", tmp_path / "out", **FEW)
    assert not (tmp_path / "out").exists()


def test_what_was_chosen_is_a_file_that_edits_and_studies_take(tuned, ran, tmp_path, run):
    done, out = tuned
    table = tomllib.loads((out / "best.toml").read_text())
    seconds = round(done.seconds, 3)
    assert table == {
        "name": "ft",
        "settings": done.settings,
        "tuning": {"objective": "editing", "trials": 3, "seconds": seconds, "rows": 32,
                   "score": done.score, "default_score": done.default_score, "default_steps": 2,
                   "spec_hash": bh.load(ran).corpus.spec_hash,
                   "world_id": world_id(bh.load(ran).corpus), "world_seed": 5,
                   "plan_hash": bh.EditPlan.load(out / "plan").plan_hash},
    }  # fmt: skip
    plan = bh.plan(ran, edits=2, repeats=2, probes=1)
    edited = bh.edit(ran, plan, "ft", tmp_path / "edit", settings=done)
    assert edited.settings["learning_rate"] == done.settings["learning_rate"]
    with pytest.raises(ArgumentError, match=r"settings': got .*best\.toml, of 'ft', allowed: of"):
        bh.edit(ran, plan, "lora", tmp_path / "other", settings=out / "best.toml")
    plan.save(tmp_path / "plan")
    # TOML has no null value.
    file, text = tmp_path / "none.toml", (out / "best.toml").read_text()
    file.write_text(text.replace("[settings]\n", '[settings]\nlayers = "none"\n'))
    words = ("--plan", tmp_path / "plan", "--method", "ft", "--set", file)
    report = run("edit", fspath(ran), *words, "--out", tmp_path / "cli", "--json").json()
    assert report["settings"]["steps"] == done.settings["steps"]
    assert report["settings"]["layers"] is None


def test_the_default_score_states_the_steps_it_was_obtained_with(tuned, ran, run):
    _, out = tuned
    words = ("tune", "ft", "--on", fspath(ran), "--out", out, "--trials", 3, "--edits", 2)
    assert " by default at 2 steps, " in run(*words, "--rows", 32).out
    assert tune("ft", ran, out, **FEW).default_steps == 2


def test_defaults_that_fit_state_no_steps(ran, tmp_path):
    done = tune("ft", ran, tmp_path / "t", trials=1, edits=2, rows=10_000)
    assert done.default_steps is None and done.most_steps is None
    assert "default_steps" not in (tmp_path / "t" / "best.toml").read_text()


def test_a_search_of_another_seed_may_have_the_same_plan(tuned, ran, tmp_path):
    _, out = tuned
    options = {**FEW, "trials": 2}
    other = tune("ft", ran, tmp_path / "t", **options, seed=1, plan_seed=0)
    plans = [bh.EditPlan.load(Path(place) / "plan").plan_hash for place in (out, other.out)]
    assert plans[0] == plans[1]
    files = [Path(place) / "trials" / "0001.json" for place in (out, other.out)]
    first, second = (json.loads(file.read_text())["settings"] for file in files)
    assert first != second
    moved = tune("ft", ran, tmp_path / "other", **{**FEW, "trials": 1}, plan_seed=1)
    assert bh.EditPlan.load(Path(moved.out) / "plan").plan_hash != plans[0]


def test_a_tuning_that_was_stopped_goes_on_to_the_same(tuned, ran, tmp_path):
    _, whole = tuned

    def stop(moment):
        if moment.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune("ft", ran, tmp_path / "ft", **FEW, progress=stop)
    assert len(list((tmp_path / "ft" / "trials").iterdir())) == 1
    again = tune("ft", ran, tmp_path / "ft", **FEW)
    assert (again.carried_out, again.trials) == (2, 3)
    for number in range(3):
        one, other = (
            json.loads((place / "trials" / f"{number:04}.json").read_text())
            for place in (whole, tmp_path / "ft")
        )
        assert one["settings"] == other["settings"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
    assert tune("ft", ran, tmp_path / "ft", **FEW).carried_out == 0
    assert tune("ft", ran, tmp_path / "ft", **{**FEW, "trials": 4}).carried_out == 1


def test_a_tuning_beside_another_is_refused_with_the_process(ran, tmp_path, who):
    out = tmp_path / "out"
    said = rf"another process is tuning in {out}: {who}"
    with lock(out / ".lock"), pytest.raises(CorpusError, match=said):
        tune("ft", ran, out, **FEW)
    assert [entry.name for entry in out.iterdir()] == [".lock"]


@pytest.mark.parametrize("method", ["grace", "wise", "mend"])
def test_memories_and_learned_updates_are_tuned_as_well(ran, tmp_path, method, monkeypatch):
    import behemoth.tune.asked as module

    def quick(name):
        """`mend` trains for minutes at its defaults."""
        short = {"training_steps": 2, "training_batch": 2, "rank": 4} if name == "mend" else {}
        return replace(get_method(name), **short)

    monkeypatch.setattr(module, "get_method", quick)
    done = tune(method, ran, tmp_path / "t", **{**FEW, "trials": 2})
    trials = [json.loads(file.read_text()) for file in sorted((tmp_path / "t/trials").iterdir())]
    assert [trial["failure"] for trial in trials] == [None, None]
    assert set(done.settings) == set(answers(get_method(method)).searched())
    assert all(trial["settings"].get("steps", 1) <= 8 for trial in trials)  # 32 rows


def test_no_trial_of_mend_trains_longer_than_its_defaults():
    """A ceiling of rows is on an edit, and this is before it."""
    default = get_method("mend")
    for name, one in answers(default).searched().items():
        for value in one.values if isinstance(one, Choice) else (one.low, one.high):
            effort = answers(replace(default, **{name: value})).effort()
            assert effort.prepared <= answers(default).effort().prepared


def test_unlearning_is_tuned_against_a_twin(ran, tmp_path):
    done = tune("grad_diff", ran, tmp_path / "t", **{**FEW, "trials": 2})
    assert done.objective == "unlearning" and (tmp_path / "t" / "twin" / "run.json").is_file()
    trial = json.loads((tmp_path / "t" / "trials" / "0000.json").read_text())
    assert set(trial["legs"]) == {"forgetting", "utility", "privacy"}
    legs = [leg for leg in trial["legs"].values() if leg is not None]
    assert trial["score"] == pytest.approx(len(legs) / sum(1 / leg for leg in legs))


def test_a_twin_is_trained_on_the_device_that_is_asked_for(ran, tmp_path):
    few = {**FEW, "trials": 1}
    tune("npo", ran, tmp_path / "t", **few, device="cpu")
    assert bh.load(ran).config.device == "auto"
    assert bh.load(tmp_path / "t/twin").config == replace(bh.load(ran).config, device="cpu")
    # One that was begun stays as it is, whatever is asked for later.
    tune("npo", ran, tmp_path / "other", **few)
    done = tune("npo", ran, tmp_path / "other", **{**few, "trials": 2}, device="cpu")
    assert done.carried_out == 1 and bh.load(tmp_path / "other/twin").config.device == "auto"


def test_a_twin_on_another_kind_of_device_has_the_shapes_of_the_run(ran, tmp_path):
    """The usual multiple that the vocabulary is padded to depends on the device."""
    run = bh.load(ran)
    there = replace(run, record=replace(run.record, device="cuda:0", vocabulary_padded=192))
    assert twin_config(there, tmp_path, "cpu").vocabulary_multiple == 192
    assert twin_config(run, tmp_path, "cpu").vocabulary_multiple == 0
    # By default the device is "auto", which here is another one than the run's.
    assert twin_config(there, tmp_path, None).vocabulary_multiple == 192
    assert twin_config(run, tmp_path, None) == run.config


def test_a_twin_serves_all_tunings_with_its_plan(ran, tmp_path):
    few = {**FEW, "trials": 1}
    own = tune("npo", ran, tmp_path / "first", **few)
    twin = tmp_path / "first/twin"
    assert tune("npo", ran, tmp_path / "same", **few, twin=twin).legs == own.legs
    assert tune("rmu", ran, tmp_path / "other", **few, twin=twin).trials == 1
    assert not (tmp_path / "same/twin").exists() and not (tmp_path / "other/twin").exists()
    assert tune("rmu", ran, tmp_path / "other", **few, twin=twin).carried_out == 0
    with pytest.raises(ArgumentError, match="a tuning with another twin, or with one of its own, "):
        tune("rmu", ran, tmp_path / "other", **few)
    large = replace(bh.load(ran).config, model="nano", steps=1)
    large = bh.train(bh.load(twin).corpus, out=tmp_path / "large", config=large)
    with pytest.raises(ArgumentError, match=r"'twin': got .*large, a model of another size, allow"):
        tune("npo", ran, tmp_path / "t", **few, twin=large)
    with pytest.raises(ArgumentError, match="first/twin, trained on another corpus, allowed: a "):
        tune("npo", ran, tmp_path / "t", **few, seed=1, twin=twin)
    replace(read_record(twin), start_corpora=[bh.load(ran).corpus.spec]).write(twin)
    with pytest.raises(ArgumentError, match=r"'twin': got .*first/twin, whose start has read \d+ "):
        tune("npo", ran, tmp_path / "t", **few, twin=twin)


def test_an_own_twin_begins_from_a_start_as_it_was_without_the_facts(ran, tmp_path, monkeypatch):
    run = shutil.copytree(ran, tmp_path / "run")
    record = read_record(run)
    few = {**FEW, "trials": 1}

    def refused(said):
        with pytest.raises(ArgumentError, match=f"argument 'on': got .*run, whose start {said}"):
            tune("npo", run, tmp_path / "t", **few)
        assert not (tmp_path / "t").exists()

    replace(record, start_corpora=[bh.load(ran).corpus.spec]).write(run)
    refused("has read 2 of the 2 facts of the plan")
    record.write(run)
    monkeypatch.setattr(RunRecord, "start_changed", True)
    refused("None has other weights now, allowed: ")
    assert tune("ft", run, tmp_path / "t", **few).trials == 1, "which needs no twin"


def test_facts_of_a_plan_are_left_alone(ran, tmp_path):
    other = bh.plan(ran, edits=20, distinct=False, repeats=2, probes=1)
    other.save(tmp_path / "other")
    tune("ft", ran, tmp_path / "t", **{**FEW, "trials": 1}, apart=tmp_path / "other")
    mine = bh.EditPlan.load(tmp_path / "t" / "plan")
    for table in (mine.edits, mine.training, mine.probes):
        assert table.height and not set(table["fact"]) & set(other.edits["fact"])


def test_a_tuning_on_another_model_of_the_corpus_is_another_one(ran, tmp_path):
    tune("ft", ran, tmp_path / "t", **{**FEW, "trials": 1})
    config = replace(bh.load(ran).config, seed=1)
    other = bh.train(bh.load(ran).corpus, out=tmp_path / "other", config=config)
    with pytest.raises(ArgumentError, match="on a run with other weights, allowed: one on"):
        tune("ft", other, tmp_path / "t", **{**FEW, "trials": 1})


def test_what_bystanders_keep_can_be_an_objective(ran, tmp_path):
    done = tune("ft", ran, tmp_path / "t", objective="editing-locality", **FEW)
    assert list(done.legs) == ["efficacy", "paraphrase", "neighbourhood", "locality"]
    assert "editing-locality" in (tmp_path / "t" / "best.toml").read_text()
    with pytest.raises(ArgumentError, match="objective 'editing-locality', allowed"):
        tune("ft", ran, tmp_path / "t", **FEW)


def test_an_objective_without_its_own_leg_is_refused(ran, tmp_path, monkeypatch):
    """Without known bystanders the score with locality is the score: something else is tuned."""
    import behemoth.tune.choose as module

    monkeypatch.setattr(module, "_readings", lambda *_: {
        "efficacy": Reading(0.0), "paraphrase": Reading(0.5), "neighbourhood": Reading(0.5),
    })  # fmt: skip
    with pytest.raises(ArgumentError, match=r"a run whose plan has a score \(locality\)"):
        tune("ft", ran, tmp_path / "t", objective="editing-locality", **FEW)


def test_an_edit_that_breaks_down_scores_nothing(ran, tmp_path, monkeypatch):
    import behemoth.tune.choose as module

    monkeypatch.setattr(module, "suggested", lambda *_: {"learning_rate": 1e30, "steps": 2})
    done = tune("ft", ran, tmp_path / "t", **{**FEW, "trials": 2})
    broken = json.loads((tmp_path / "t" / "trials" / "0001.json").read_text())
    assert broken["score"] == 0 and "loss" in broken["failure"] and done.trial == 0
    assert done.flat is None or done.flat.startswith("all 2 trials score 0.000, as ")


def test_settings_that_a_method_refuses_score_nothing(ran, tmp_path, monkeypatch):
    import behemoth.tune.choose as module

    monkeypatch.setattr(module, "suggested", lambda *_: {"learning_rate": -1.0, "steps": 2})
    done = tune("ft", ran, tmp_path / "t", **{**FEW, "trials": 2})
    refused = json.loads((tmp_path / "t" / "trials" / "0001.json").read_text())
    assert refused["failure"] == "argument 'learning_rate': got -1.0, allowed: above 0"
    assert refused["score"] == 0 and refused["settings"]["learning_rate"] == -1.0
    assert done.trial == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("singular"), "method ft failed: RuntimeError: singular"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
        (TrainError("the loss diverged"), "the loss diverged"),
    ],
)
def test_an_edit_that_ends_with_an_error_scores_nothing(ran, tmp_path, monkeypatch, error, said):
    """Its settings follow from the trials before, so every resumption would end there, too."""
    kind, calls = type(get_method("ft")), []
    own = kind.apply

    def apply(self, model, plans, context):
        calls.append(model)
        if len(calls) == 2:
            with torch.no_grad():
                next(model.parameters()).add_(1.0)
            raise error
        return own(self, model, plans, context)

    monkeypatch.setattr(kind, "apply", apply)
    done = tune("ft", ran, tmp_path / "t", **FEW)
    first, failed, last = (
        json.loads((tmp_path / "t" / "trials" / f"{number:04}.json").read_text())
        for number in range(3)
    )
    assert done.carried_out == 3 and failed["failure"] == said
    assert (failed["score"], failed["legs"]) == (0, {}) and failed["settings"]["steps"] == 2
    assert pl.read_parquet(tmp_path / "t" / "curve.parquet")["failure"].to_list() == [
        None, said, None,
    ]  # fmt: skip
    # The model, which the method left changed, is read again.
    assert calls[0] is calls[1]
    assert all(map(torch.equal, calls[2].parameters(), bh.load(ran).model.parameters()))
    assert first["failure"] is last["failure"] is None


def test_an_evaluation_that_runs_out_of_memory_scores_nothing(ran, tmp_path, monkeypatch):
    import behemoth.tune.choose as module

    read, calls = module._readings, []

    def readings(*given):
        calls.append(given)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(*given)

    monkeypatch.setattr(module, "_readings", readings)
    assert tune("ft", ran, tmp_path / "t", **FEW).carried_out == 3
    failed = json.loads((tmp_path / "t" / "trials" / "0001.json").read_text())
    assert failed["failure"] == "OutOfMemoryError: CUDA out of memory" and failed["score"] == 0
    models = [measured.model for _, measured in calls]
    assert models[0] is models[1] is not models[2]


def test_an_error_of_a_file_ends_a_tuning(ran, tmp_path, monkeypatch):
    """The next resumption makes the trial, so that it does not count against its settings."""
    kind = type(get_method("ft"))
    own = kind.apply

    def apply(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(kind, "apply", apply)
    with pytest.raises(OSError, match="no space left"):
        tune("ft", ran, tmp_path / "t", **FEW)
    monkeypatch.setattr(kind, "apply", own)
    assert tune("ft", ran, tmp_path / "t", **FEW).carried_out == 3


def test_what_an_evaluation_refuses_ends_the_tuning_whatever_the_settings(
    ran, tmp_path, monkeypatch
):
    def refuse(*_):
        raise ArgumentError("plan", "p", "another")

    monkeypatch.setattr("behemoth.tune.choose._readings", refuse)
    with pytest.raises(ArgumentError, match=r"^argument 'plan': got p, allowed: another$"):
        tune("ft", ran, tmp_path / "t", **FEW)
    assert not list((tmp_path / "t" / "trials").glob("*.json"))


def test_a_trial_takes_readings_as_a_suite_does(ran, tmp_path, monkeypatch):
    """A twin is asked once for all trials, and the unedited model not at all."""
    import behemoth.tune.choose as module

    seen, asked = [], []
    read, find = module._readings, MeasuredModel.membership.func

    def readings(objective, measured):
        found = read(objective, measured)
        seen.append((measured, found))
        return found

    def membership(measured):
        asked.append(measured)
        return find(measured)

    monkeypatch.setattr(module, "_readings", readings)
    monkeypatch.setattr(MeasuredModel.membership, "func", membership)
    tune("grad_diff", ran, tmp_path / "t", **{**FEW, "trials": 2})
    (first, found), (second, _) = seen
    assert first.in_trial and first.before is None and first.twin is second.twin
    assert asked.count(first.twin) <= 1 and set(asked) <= {first, second, first.twin}
    own = found["forget_probability"]
    assert own.twin == first.twin._taken["forget_probability"].value != own.value


def tried(*scores, legs=None, failure=None):
    return [
        Tried(number, {}, score, {} if failure else dict(legs or {"utility": score}), 1.0, failure)
        for number, score in enumerate(scores)
    ]


def test_a_flat_objective_says_why():
    assert _why_undecided(tried(0.2, 0.3)) is None and _why_undecided(tried(0.5)) is None
    legs = {"forgetting": 0.9, "utility": 0.0, "privacy": None}
    said = "all 3 trials score 0.000, as utility is 0 in each, and so is a harmonic mean with it"
    assert _why_undecided(tried(0.0, 0.0, 0.0, legs=legs)) == said
    assert _why_undecided(tried(0.0, legs=legs)).startswith(
        "one trial scores 0.000, as utility is 0"
    )
    assert _why_undecided(tried(0.7, 0.7)) == "all 2 trials score 0.700"
    other = [*tried(0.0, legs=legs), *tried(0.0, legs={**legs, "utility": 0.2, "forgetting": 0.0})]
    assert _why_undecided(other) == (
        "all 2 trials score 0.000, as some leg is 0 in each, and so is a harmonic mean with it"
    )
    said = "all 2 trials score 0.000, because every trial failed: the loss is nan"
    assert _why_undecided(tried(0.0, 0.0, failure="the loss is nan")) == said


def test_an_edit_that_leaves_no_numbers_scores_nothing(ran, tmp_path, monkeypatch):
    import behemoth.tune.choose as module

    own, calls = module._readings, []

    def readings(objective, measured):
        calls.append(objective)
        found = own(objective, measured)
        return {**found, "neighbourhood": Reading(math.nan)} if len(calls) == 2 else found

    monkeypatch.setattr(module, "_readings", readings)
    done = tune("ft", ran, tmp_path / "t", **FEW)
    file = tmp_path / "t" / "trials" / "0001.json"
    broken = json.loads(file.read_text())
    assert (broken["score"], broken["failure"]) == (0, "neighbourhood is no number")
    assert done.carried_out == 3 and pl.read_parquet(tmp_path / "t" / "curve.parquet").height == 3
    # A tuning that stopped at such a trial, as they were written once, goes on.
    del broken["blake3"]
    file.write_text(json.dumps({**broken, "score": math.nan, "failure": None}))
    assert tune("ft", ran, tmp_path / "t", **{**FEW, "trials": 4}).carried_out == 1
    assert "nan" in pl.read_parquet(tmp_path / "t" / "curve.parquet")["failure"][1]


def test_a_tuning_with_other_settings_of_what_is_not_searched_is_another_one(tuned, ran, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tuned[1], copy)
    asked = json.loads((copy / "tuning.json").read_text())
    del asked["blake3"], asked["files"]  # so that it is taken as it is
    other = {**asked, "settings": {**asked["settings"], "clip": 2.0}}
    (copy / "tuning.json").write_text(json.dumps(other))
    with pytest.raises(
        ArgumentError, match=r"a tuning with settings\.clip 2\.0, allowed: one with"
    ):
        tune("ft", ran, copy, **FEW)
    del other["settings"]  # as in earlier versions
    (copy / "tuning.json").write_text(json.dumps(other))
    assert tune("ft", ran, copy, **FEW).carried_out == 0


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("fft", {}, r"method': got fft \(did you mean ft\?\), allowed: "),
        ("retrain", {}, r"got retrain, allowed: one with a search .*: ft, ft_l, .*task_vector$"),
        (
            "ft",
            {"objective": "speed"},
            "objective': got speed, allowed: editing, editing-locality, unlearning",
        ),
        ("npo", {"objective": "editing", "trials": 0}, "trials': got 0"),
        ("ft", {"edits": 500}, "edits': got 500, allowed: up to"),
        ("ft", {"twin": "x"}, "twin': got x, allowed: none with the objective editing"),
        ("npo", {"twin": "x"}, "twin': got x, which does not exist, allowed: "),
    ],
)
def test_refusals(method, options, said, ran, tmp_path):
    with pytest.raises(ArgumentError, match=said):
        tune(method, ran, tmp_path / "t", **{**FEW, **options})
    assert not (tmp_path / "t").exists()


def test_a_directory_of_something_else_is_refused(tuned, ran, tmp_path):
    with pytest.raises(ArgumentError, match=r"out': got .*, a tuning with method 'ft'"):
        tune("lora", ran, tuned[1], **FEW)
    with pytest.raises(ArgumentError, match="a tuning of other edits, allowed: one with the same"):
        tune("ft", ran, tuned[1], **{**FEW, "edits": 3})
    with pytest.raises(ArgumentError, match="a tuning with seed 0, allowed: one with seed 1, or a"):
        tune("ft", ran, tuned[1], **FEW, seed=1)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(
        ArgumentError, match=r"out': got .*, which holds something else \(mine.txt\)"
    ):
        tune("ft", ran, tmp_path, **FEW)
    assert not (tmp_path / ".lock").exists()
    copy = tmp_path / "copy"
    shutil.copytree(tuned[1], copy)
    (copy / "trials" / "0001.json").write_text("{}")
    with pytest.raises(CorpusError, match=r"0001\.json is damaged"):
        tune("ft", ran, copy, **FEW)


def test_the_command_says_what_it_chose(ran, tmp_path, run):
    words = (
        "--on",
        fspath(ran),
        "--trials",
        2,
        "--edits",
        2,
        "--rows",
        16,
        "--out",
        tmp_path / "t",
    )
    said = run("tune", "ft_l", *words)
    assert said.code == 0 and "ft_l, 2 trials (2 in this run), score" in said.out
    report = run("tune", "ft_l", *words, "--json").json()
    assert (report["carried_out"], report["most_steps"]) == (0, 1)
    legs = report["legs"]
    assert set(legs) == {"efficacy", "paraphrase", "neighbourhood"}
    shown = [f"{name} {'not taken' if one is None else f'{one:.3f}'}" for name, one in legs.items()]
    assert f"  harmonic mean of {', '.join(shown)}" in said.out
    for name, one in answers(get_method("ft_l")).searched().items():
        value = report["settings"][name]
        value = f"{value:.3g}" if isinstance(value, float) else value
        # 16 rows are one step, below the fewest that are searched.
        lowered = "; --rows allows up to 1" if name == "steps" else ""
        assert f"  {name} = {value} (searched: {one.low:g} to {one.high:g}{lowered})\n" in said.out
    assert ("nothing to choose by: " in said.err) == (report["flat"] is not None)
    assert "argument '--on': got nothing" in run("tune", "ft_l", "--out", "x").refused()
