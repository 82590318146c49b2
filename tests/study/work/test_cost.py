"""What a study is estimated to take: what is in it beside operations."""

import pytest
import torch

from behemoth.study.file.spec import Study
from behemoth.study.trial.laboratory import compile_unit
from behemoth.study.work.cost import START, Estimator
from behemoth.study.work.estimate import estimate

SUITES = """
[measure]
suite = "editing"
[[method]]
name = "npo"
label = "npo"
settings = { steps = 2 }
plan = { kind = "refusal" }
measure = { suite = "unlearning" }
"""


@pytest.fixture(scope="module")
def plain(tiny):
    return tiny.replace("independent = true", "distinct = false").replace(
        "independent = false, ", ""
    )


def costs(text):
    """The seconds of each trial, by label, in their order."""
    found, costs = Study.parse(text).expand(), Estimator()
    seconds: dict[str, list[float]] = {}
    for unit in found.trials:
        cost = costs.trial(unit, found.models[unit.model])
        seconds.setdefault(unit.choice.label, []).append(cost.seconds)
    return seconds


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_operations_of_a_kind_of_edits_are_counted_once(plain, device):
    text = plain.replace("steps = 5", f'steps = 5\ndevice = "{device}"')
    for label, (first, second) in costs(text).items():
        assert first > second, label


def test_a_study_is_estimated_on_the_device_that_it_names(plain, monkeypatch):
    on_cpu = Study.parse(plain.replace("steps = 5", 'steps = 5\ndevice = "cpu"'))
    before = estimate(on_cpu)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: 7)
        assert estimate(on_cpu) == before
        with_gpu = estimate(Study.parse(plain))
    assert (with_gpu.workers, with_gpu.memory) == (7, None) and before.memory is not None


def test_a_suite_takes_what_it_takes_whatever_the_model(plain):
    without = costs(plain)
    taken = costs(plain.replace("[grid]", f"{SUITES}[grid]"))
    for label, seconds in without.items():
        for one, other in zip(seconds, taken[label], strict=True):
            assert other - one > 0.5
    assert min(taken["npo"]) > max(taken["batch"]) + 1


def test_steps_take_time_beside_their_operations(plain):
    short, long = (
        costs(plain),
        costs(plain.replace("settings = { steps = 3 }", "settings = { steps = 203 }")),
    )
    label = "LoRA, rank 1"
    assert long[label][1] - short[label][1] > 200 * 0.005


def test_only_swapped_facts_count_as_edits_of_a_swap_twin(tiny):
    study = Study.parse(tiny.replace('"corpus.rotation" = [0, 1]', '"corpus.swap" = [0, 2]'))
    found, estimator = study.expand(), Estimator()
    for unit in found.trials:
        edits = estimator.trial(unit, found.models[unit.model]).edits
        made = len(compile_unit(unit.plan, found.models[unit.model].corpus.make()))
        assert edits == made == (2 if unit.swap else 4), unit.choice.label


def test_a_corpus_is_counted_once_for_models_that_differ_in_training(tiny):
    text = tiny.replace(
        '"corpus.rotation" = [0, 1]', '"train.seed" = [0, 1]\n"world.seed" = [0, 1]'
    )
    models, estimator = Study.parse(text).expand().models.values(), Estimator()
    assert len(models) == 4
    assert len({id(estimator.corpus(unit)) for unit in models}) == 2


def test_workers_are_started_where_there_is_work(tiny, finished):
    some = [estimate(Study.parse(tiny), workers=workers).seconds - START for workers in (1, 4)]
    assert some[0] == pytest.approx(4 * some[1])
    done = Study.parse((finished[0] / "study.toml").read_text())
    assert estimate(done, finished[0]).seconds == 0
