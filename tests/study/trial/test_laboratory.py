"""Records of units: what a part that fails leaves of them, and the time they took."""

import weakref
from dataclasses import replace

import pytest
import torch

from behemoth.study.directory import StudyDirectory
from behemoth.study.results import Results
from behemoth.study.trial import laboratory, trial
from behemoth.study.trial.trial import Trial


@pytest.fixture
def small(tiny):
    """One model and one trial, of single edits."""
    head, _, rest = tiny.partition("[[method]]")
    own = f"{head}[[method]]{rest.partition('[[method]]')[0]}[grid]\n"
    return own.replace("[1, 4]", "[1]")


def test_a_cost_that_cannot_be_counted_leaves_the_trial(small, in_process, tmp_path, monkeypatch):
    def fails(self):
        raise RuntimeError("no formula\nfor this operation")

    monkeypatch.setattr(Trial, "cost", fails)
    result, _ = in_process(small, tmp_path / "s")
    assert (result.done, result.failures) == (1, [])
    results = Results.open(tmp_path / "s")
    [record] = [results.directory.trial_record(name) for name in results.done]
    assert record.flops is None and record.memory is None
    assert record.reason == (
        "cost: it could not be counted: RuntimeError: no formula for this operation"
    )
    assert results.edits.collect().height == record.edits == 4


def test_a_stack_without_memory_is_freed_before_a_smaller_one(
    small, in_process, tmp_path, monkeypatch
):
    own, failed, freed, stacks = trial.apply_method, [], [], []

    def none_left(method, model, plans, context):
        stacks.append(len(plans))
        if len(plans) > 1:
            activations = torch.zeros(8)
            failed.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(method, model, plans, context)

    monkeypatch.setattr(trial, "apply_method", none_left)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(failed[-1]() is None))
    result, _ = in_process(small, tmp_path / "s")
    assert (result.done, result.failures) == (1, [])
    assert freed and all(freed)
    assert stacks[len(freed) :] == [1] * 4 and max(stacks) <= 4
    assert Results.open(tmp_path / "s").edits.collect().height == 4


def test_failed_edits_within_a_batch_are_counted(tiny, in_process, tmp_path, monkeypatch):
    head, *methods = tiny.partition("[grid]")[0].split("[[method]]")
    own = trial.apply_method
    rows = [{"edit": 3, "failure": "no target"}] * 2  # one for each token of its answer

    def some_fail(*given):
        return [replace(delta, trace=[*delta.trace, *rows]) for delta in own(*given)]

    monkeypatch.setattr(trial, "apply_method", some_fail)
    result, _ = in_process(f"{head}[[method]]{methods[-1]}[grid]\n", tmp_path / "s")
    assert (result.done, result.failures) == (1, [])
    results = Results.open(tmp_path / "s")
    [record] = [results.directory.trial_record(name) for name in results.done]
    assert (record.status, record.edits, record.failed_edits) == ("done", 4, 1)


def test_a_cost_is_counted_with_the_first_initialisation_alone(small, in_process, tmp_path):
    """The others cost the same, and to count them takes longer than their edits."""
    in_process(small.replace("[grid]", '[grid]\n"train.seed" = [1, 0]'), tmp_path / "s")
    results = Results.open(tmp_path / "s")
    models = results.models.collect()
    seed_of = dict(zip(models["model"], models["seed"], strict=True))
    counted = {
        seed_of[results.directory.trial_record(name).model]: name in results.edit_costs
        for name in results.done
    }
    assert counted == {1: True, 0: False}


def test_the_time_of_a_resumed_training_is_that_of_all_its_steps(
    small, in_process, tmp_path, monkeypatch
):
    """The clock has the last session only."""
    own = laboratory.train

    def resumed(*args, **options):
        return replace(own(*args, **options), seconds=1e6)

    monkeypatch.setattr(laboratory, "train", resumed)
    in_process(small, tmp_path / "s")
    directory = StudyDirectory(tmp_path / "s")
    [model] = [row["id"] for row in directory.read().models]
    record = directory.model_record(model)
    assert record.training_seconds == 1e6
    assert record.seconds["train"] == pytest.approx(1e6)
    assert Results.open(tmp_path / "s").seconds["train"] == pytest.approx(1e6)
