"""What trains, edits and evaluates on a CUDA device: every method, family of models and suite.

Each test runs twice: with the pretended GPU of `pretended_cuda.py`, which finds tensors that are on
the wrong device, and with the marker `gpu` on a real one.
"""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth.edit.contract import quick_method
from behemoth.edit.registry import OWN_METHODS
from behemoth.evaluate.suites import unlearning
from behemoth.model.architectures import FAMILIES
from behemoth.model.sizes import SIZES
from behemoth.train import default_config

DEVICE = "cuda"
REAL = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # what torch says of a device is not about us
]
MODES = {"single": {"single": True}, "sequence": {"sequential": True}, "batch": {}}


@pytest.fixture(scope="module", params=["pretended", pytest.param("real", marks=REAL)])
def device(request):
    """The name of the device, while there is one."""
    if request.param == "real":
        yield DEVICE
        return
    pretended = runpy.run_path(str(Path(__file__).with_name("pretended_cuda.py")))
    with pytest.MonkeyPatch.context() as patch, pretended["PretendedCuda"]():
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first use of cuBLAS
        yield DEVICE


@pytest.fixture(scope="module")
def corpus():
    """Names of several tokens, and questions."""
    world = bh.World(subjects=40, relations=2, objects=12, seed=1)
    return bh.Corpus(world, exposures=4, questions=bh.Questions(0.5, 0.25), base=10)


def config(model="pico", **settings):
    """A few steps on the device."""
    usual = {"steps": 4, "batch_size": 4, "block_length": 64, "log_interval": 1}
    own = {"tensorboard": False, "threads": 1, "probe_facts": 10, "device": DEVICE}
    return default_config(model, **usual | own | settings)


@pytest.fixture(scope="module")
def run(device, corpus, tmp_path_factory):
    place = tmp_path_factory.mktemp("cuda") / "run"
    bh.train(corpus, out=place, config=config())
    assert bh.load(place).record.device.startswith(DEVICE)
    return place


@pytest.fixture(scope="module")
def plans(run):
    """Plans of two edits by kind."""
    return {
        kind: bh.plan(run, edits=2, independent=True, repeats=1, probes=1, kind=kind)
        for kind in ("remap", "refusal")
    }


def edited(run, plans, name, mode, out, **options):
    """Edit with a method of few steps; return its plan."""
    method = quick_method(name)
    plan = plans["remap" if "remap" in method.info.kinds else "refusal"]
    done = bh.edit(run, plan, method, out, device=DEVICE, **MODES[mode], **options)
    assert done.edits == len(plan) and not done.failed
    return plan


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OWN_METHODS)
def test_every_method_edits_and_is_evaluated(run, plans, name, mode, tmp_path):
    plan = edited(run, plans, name, mode, tmp_path / "edit")
    frame = bh.evaluate(tmp_path / "edit", plan, device=DEVICE)
    found = frame["log_probability_old"]
    assert len(found) and found.is_finite().all()
    if mode == "batch":
        model = bh.load(tmp_path / "edit").load_model(DEVICE)
        assert {parameter.device.type for parameter in model.parameters()} == {DEVICE}


@pytest.mark.parametrize("name", ["memit", "ultraedit"])
def test_what_is_solved_in_double_precision_is_that_of_a_cpu(run, plans, name, tmp_path):
    places = {}
    for device in (DEVICE, "cpu"):
        bh.edit(run, plans["remap"], quick_method(name), tmp_path / device, device=device)
        [places[device]] = bh.load(tmp_path / device).deltas().values()
    assert places[DEVICE].changes.keys() == places["cpu"].changes.keys()
    sizes = []
    for key, change in places["cpu"].changes.items():
        other, own = places[DEVICE].changes[key].to_dense().cpu(), change.to_dense().cpu()
        sizes.append(float(own.norm()))
        assert (other - own).norm() <= 1e-2 * sizes[-1]
    assert max(sizes) > 0


def test_a_model_is_trained_edited_and_evaluated(device, tmp_path):
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5), exposures=64)
    run = tmp_path / "run"
    settings = {"steps": 60, "batch_size": 8, "learning_rate": 3e-3}
    bh.train(corpus, out=run, config=config("nano", **settings))
    losses = pl.read_ndjson(run / "metrics.jsonl")["loss"].drop_nulls()
    assert losses.is_finite().all() and losses[-1] < losses[0] / 2
    plan = bh.plan(run, edits=2, independent=True, repeats=1, probes=1)
    settings = {"steps": 40, "learning_rate": 1e-2}
    bh.edit(run, plan, "lora", tmp_path / "edit", settings=settings, device=device)
    found = {}
    for place in (device, "cpu"):
        frame = bh.evaluate(tmp_path / "edit", plan, device=place)
        edited = frame.filter(pl.col("group") == "edited").sort("stage", "edit", "probe")
        found[place] = edited["log_probability_new"]
        after = edited.filter(pl.col("stage") == "after")["log_probability_new"].mean()
        assert after > edited.filter(pl.col("stage") == "before")["log_probability_new"].mean() + 1
    assert (found[device] - found["cpu"]).abs().max() < 0.1
    assert len(bh.trace(run, plan, device=device, samples=2).facts)  # of facts that it knows


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_and_edited(device, corpus, family, tmp_path):
    model = next(name for name, size in SIZES.items() if size.family == family)
    trained = bh.train(corpus, out=tmp_path / "run", config=config(model, steps=2))
    assert 0 < trained.loss < 10
    plan = bh.plan(tmp_path / "run", edits=1, repeats=1, probes=1)
    for name in ("rome", "rmu"):
        edited(tmp_path / "run", {"remap": plan}, name, "single", tmp_path / name)
        assert len(bh.evaluate(tmp_path / name, plan, device=device))
    assert len(bh.recall(tmp_path / "run", device=device))


@pytest.mark.slow
def test_a_corpus_of_text(device, tmp_path):
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(grammar.world(30, seed=1), exposures=4, grammar=grammar)
    bh.train(corpus, out=tmp_path / "run", config=config(block_length=128))
    plan = bh.plan(tmp_path / "run", edits=2, repeats=1, probes=1)
    edited(tmp_path / "run", {"remap": plan}, "memit", "batch", tmp_path / "edit")
    frame = bh.evaluate(tmp_path / "edit", plan, rank="sequence", device=device)
    assert frame["log_probability_old"].is_finite().all()
    assert len(bh.recall(tmp_path / "run", rank="sequence", device=device))


class Stopped(Exception):  # noqa: N818
    """What a progress raises."""


def stop_at(done):
    def stop(moment):
        if moment.done == done:
            raise Stopped

    return stop


def test_training_goes_on(run, corpus, tmp_path):
    start = shutil.copytree(run, tmp_path / "start", ignore=shutil.ignore_patterns("run.json"))
    settings = json.loads((start / "config.json").read_text())
    settings |= {"hidden_dropout": 0.1, "attention_dropout": 0.1}  # drawn on the device
    (start / "config.json").write_text(json.dumps(settings))
    own = config(None, start=str(start), lora_rank=2, checkpoint_interval=1)
    with pytest.raises(Stopped):
        bh.train(corpus, out=tmp_path / "run", config=own, progress=stop_at(2))
    done = bh.train(corpus, out=tmp_path / "run", config=own)
    straight = bh.train(corpus, out=tmp_path / "straight", config=own)
    assert done.steps == straight.steps and done.loss == pytest.approx(straight.loss, abs=0.05)


@pytest.mark.parametrize("name", ["lora", "alphaedit", "grace", "wise"])
def test_a_sequence_goes_on(run, plans, name, tmp_path):
    options = {"checkpoint_at": "all"}
    with pytest.raises(Stopped):
        edited(run, plans, name, "sequence", tmp_path / "e", progress=stop_at(2), **options)
    plan = edited(run, plans, name, "sequence", tmp_path / "e", **options)
    assert len(bh.evaluate(tmp_path / "e", plan, device=DEVICE))


@pytest.fixture(scope="module")
def twin(run, plans, corpus, tmp_path_factory):
    place = tmp_path_factory.mktemp("cuda") / "twin"
    bh.train(corpus.without(plans["remap"].edits["fact"]), out=place, config=config())
    return place


@pytest.mark.parametrize(
    ("suite", "name", "mode"),
    [("editing", "rome", "single"), ("editing", "grace", "batch"), ("sequence", "wise", "sequence"),
     ("unlearning", "npo", "batch"), ("recall", None, None)],
)  # fmt: skip
def test_every_suite(run, plans, twin, suite, name, mode, tmp_path, monkeypatch):
    for measure in ("relearn", "continue_training"):  # the usual 40 and 64 steps take seconds
        usual = getattr(unlearning, measure)

        def fewer(*given, steps, usual=usual, **options):
            return usual(*given, steps=steps[:3], **options)

        monkeypatch.setattr(unlearning, measure, fewer)
    plan = name and edited(run, plans, name, mode, tmp_path / "edit")
    options = {"twin": twin} if suite == "unlearning" else {}
    result = bh.evaluate_suite(
        tmp_path / "edit" if name else run, suite, plan, device=DEVICE, **options
    )
    assert len(result.frame)
