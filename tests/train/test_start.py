"""Training that goes on from a model on disk."""

import pytest
import torch
from safetensors.torch import load_file

from behemoth import ArgumentError, Corpus, World
from behemoth.study.file.identity import model_id
from behemoth.train import default_config, train

SETTINGS = {"batch_size": 4, "block_length": 32, "threads": 1, "tensorboard": False,
            "precision": "fp32", "device": "cpu"}  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=30, relations=2, objects=6, seed=1), exposures=8)


@pytest.fixture(scope="module")
def first(corpus, tmp_path_factory):
    """A short run of a Llama."""
    place = tmp_path_factory.mktemp("runs") / "first"
    train(corpus, out=place, config=default_config("llama-nano", steps=30, **SETTINGS))
    return place


def test_a_run_goes_on_from_the_weights_of_another(corpus, first, tmp_path):
    config = default_config(start=first, steps=1, learning_rate=1e-9, warmup=0, **SETTINGS)
    assert (config.model, config.size.layers, config.start) == ("llama", 3, str(first))
    began = train(corpus, out=tmp_path / "on", config=config)
    before, after = (load_file(place / "model.safetensors") for place in (first, tmp_path / "on"))
    assert before.keys() == after.keys()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=1e-6, atol=1e-7)
    drawn = train(
        corpus, out=tmp_path / "drawn", config=default_config("llama-nano", steps=1, **SETTINGS)
    )
    assert began.loss < drawn.loss - 0.5


def test_the_command_and_a_checkpoint(run, corpus, first, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(corpus.spec_toml)
    words = ("--steps", 2, "--batch-size", 4, "--block-length", 32, "--threads", 1)
    one = run("train", spec, "--from", first, *words, "--no-tensorboard",
              "--checkpoint-history", 2, "--out", tmp_path / "one", "--json")  # fmt: skip
    assert one.json()["steps"] == 2
    [step] = (tmp_path / "one" / "checkpoints").glob("step-*1")
    two = run("train", spec, "--from", step, *words, "--no-tensorboard",
              "--out", tmp_path / "two", "--json")  # fmt: skip
    assert two.json()["loss"] < one.json()["loss"] + 0.5


def test_what_it_cannot_go_on_from_is_refused(corpus, first, tmp_path):
    def refused(match, source=corpus, **settings):
        settings = {**SETTINGS, "steps": 1, "start": first, **settings}
        with pytest.raises(ArgumentError, match=match):
            train(source, out=tmp_path / "run", config=default_config(**settings))
        assert not (tmp_path / "run").exists()

    refused(r"'start': got .*, allowed: a model \(config.json", start=tmp_path)
    refused("'architecture': got a configuration, allowed: none beside start",
            architecture={"model_type": "llama"})  # fmt: skip
    refused("'model': got nano, allowed: none beside architecture", model="nano")
    large = Corpus(World(subjects=5000, relations=2, objects=900), exposures=1)
    refused(r"'start': got a model of \d+ tokens, allowed: one of \d+ or more", large)
    refused("'block_length': got 4096, allowed: up to 2048", block_length=4096,
            source=Corpus(World(30, 2, 6, seed=1), exposures=200))  # fmt: skip


def test_a_start_counts_by_what_is_there(corpus, first, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    names = {model_id(corpus.spec, default_config(start=place, steps=1)) for place in (first, copy)}
    assert len(names) == 1
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert model_id(corpus.spec, default_config(start=copy, steps=1)) not in names
