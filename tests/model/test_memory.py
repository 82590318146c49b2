"""What is reckoned of memory beside what a process took: its peak, in a process of its own."""

import json
from dataclasses import replace

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.model.memory import training_bytes
from behemoth.model.sizes import SIZES
from behemoth.train.memory_budget import require_room, step_bytes

FACTOR = 1.5


def estimated(name, vocabulary, tokens):
    """All weights are trained, in float32: beside each its gradient and two moments."""
    weights = 16 * SIZES[name].parameters_with(vocabulary)
    return training_bytes(SIZES[name], vocabulary, tokens, weights=weights)


PEAK = """
import sys
import behemoth as bh
import behemoth.train.start, behemoth.model.build, behemoth.model.loss
name, blocks, length, objects = sys.argv[1], *map(int, sys.argv[2:5])
corpus = bh.Corpus(bh.World(2000, 4, objects), exposures=4)
config = bh.default_config(name, steps=1, batch_size=blocks, block_length=length, threads=1,
    tensorboard=False, probe_facts=0, device="cpu", precision="fp32")
before = peak()
bh.train(corpus, out=sys.argv[5], config=config)
print(corpus.vocabulary_size, peak() - before)
"""
# Documents of text vary in length, so that rows of one document each are padded.
TEXT = "grammar.world(500, seed=1), grammar=grammar, "
PADDED = PEAK.replace("bh.World(2000, 4, objects), ", TEXT)
PADDED = PADDED.replace("corpus = ", "grammar = bh.Grammar.named('bios-en')\ncorpus = ", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks", "length", "objects"),
    [("nano", 16, 128, 50), ("nano", 64, 128, 50), ("14m", 16, 128, 50), ("14m", 8, 128, 20_000)],
)
def test_a_peak_is_within_the_factor(measure, tmp_path, name, blocks, length, objects):
    vocabulary, peak = measure(PEAK, name, blocks, length, objects, tmp_path / "run")
    reckoned = estimated(name, vocabulary, blocks * length)
    assert peak / FACTOR < reckoned < peak * FACTOR, (reckoned, peak)


@pytest.mark.slow
@pytest.mark.parametrize("objects", [50, 20_000])
def test_a_peak_of_another_family_is_within_the_factor(measure, tmp_path, objects):
    vocabulary, peak = measure(PEAK, "llama-nano", 32, 128, objects, tmp_path / "run")
    reckoned = estimated("llama-nano", vocabulary, 32 * 128)
    assert peak / FACTOR < reckoned < peak * FACTOR, (reckoned, peak)


@pytest.mark.slow
def test_a_peak_with_padded_rows_is_within_the_factor(measure, tmp_path):
    vocabulary, peak = measure(PADDED, "llama-nano", 32, 128, 0, tmp_path / "run")
    own = bh.default_config("llama-nano", batch_size=32, block_length=128)
    reckoned = step_bytes(own, vocabulary, 32 * 128)
    assert peak / FACTOR < reckoned < peak * FACTOR, (reckoned, peak)


def test_logits_count_where_they_are_capped():
    def of_a_word(size):
        few, many = (training_bytes(size, words, 1024, weights=0) for words in (1000, 2000))
        return many - few

    assert not any(of_a_word(SIZES[name]) for name in ("nano", "llama-nano", "gemma3-nano"))
    assert of_a_word(SIZES["gemma2-nano"]) > 4 * 1000 * 1024
    uncapped = replace(SIZES["gemma2-nano"], settings={"final_logit_softcapping": None})
    assert not of_a_word(uncapped)


def test_rows_of_documents_are_padded_in_other_families_alone():
    def takes(name, **settings):
        own = bh.default_config(name, batch_size=8, block_length=128, **settings)
        return step_bytes(own, 1000, 1024)

    assert takes("llama-nano") > takes("llama-nano", document_mask=False)
    assert takes("nano") == takes("nano", document_mask=False)


def test_blocks_that_are_not_fused_take_more(tmp_path):
    from behemoth.model.build import model_config

    def takes(processes=1, **settings):
        own = bh.default_config(batch_size=8, block_length=128, **settings)
        return step_bytes(own, 1000, 1024, processes)

    fused = takes(model="nano")
    assert takes(model="nano", compile="on") == takes(2, model="nano", fully_shard=True) > fused
    assert takes(model="nano", fully_shard=True) == fused  # one process has nothing to shard
    usual = model_config(SIZES["nano"], 1000).to_dict()
    assert takes(architecture=usual) == fused
    for other in ({"use_parallel_residual": False}, {"hidden_act": "relu"},
                  {"attention_bias": False}, {"rope_scaling": {"type": "linear", "factor": 2.0},
                                              "rope_parameters": None}):  # fmt: skip
        assert takes(architecture={**usual, **other}) > fused, other
    # A new model has none; one to start from keeps its own.
    dropout = {**usual, "hidden_dropout": 0.1}
    assert takes(architecture=dropout) == fused
    assert step_bytes(started(tmp_path, dropout), 1000, 1024) > fused


def test_a_model_to_start_from_keeps_its_own_rows(tmp_path):
    from behemoth.model.build import model_config
    from behemoth.train.memory_budget import model_bytes

    own = started(tmp_path, model_config(SIZES["nano"], 50_000).to_dict())
    least = 16 * SIZES["nano"].parameters_with(50_000)
    assert step_bytes(own, 1000, 1024) == step_bytes(own, 50_000, 1024) > least
    assert model_bytes(own, 1000, 100) == model_bytes(own, 50_000, 100)
    with pytest.raises(ArgumentError, match="'model': got "):
        require_room(own, 1000, memory=least)


def started(place, values):
    (place / "config.json").write_text(json.dumps(values))
    (place / "model.safetensors").write_bytes(b"")
    return bh.default_config(start=place, batch_size=8, block_length=128)


def test_what_is_trained_decides_the_bytes_of_a_weight(tmp_path):
    from behemoth.model.build import build_model

    build_model(SIZES["14m"], 1000).save_pretrained(tmp_path)
    own = {"start": tmp_path, "batch_size": 1, "block_length": 8}
    fixed = training_bytes(SIZES["14m"], 1000, 0, weights=0)
    usual, short, low, both = (
        step_bytes(bh.default_config(**own, **settings), 1000, 0) - fixed
        for settings in ({}, {"weights": "bf16"}, {"lora_rank": 4},
                         {"lora_rank": 4, "weights": "bf16"})
    )  # fmt: skip
    weights = SIZES["14m"].parameters_with(1000)
    assert usual == 16 * weights and short == 20 * weights
    assert 8 * weights < low < 12 * weights
    assert 4 * weights < both < 7 * weights


def config(**others):
    return bh.default_config("nano", batch_size=48, block_length=128, **others)


def test_more_of_anything_takes_more():
    base = estimated("nano", 1000, 1024)
    assert estimated("nano", 2000, 1024) > base
    assert estimated("nano", 1000, 2048) > base
    assert estimated("31m", 1000, 1024) > base


def test_what_is_refused_names_what_fits_and_that_does():
    for room in (0.3, 0.6, 0.9):
        whole = estimated("nano", 1000, 48 * 128)
        least = estimated("nano", 1000, 128)
        memory = int(least + room * (whole - least))
        with pytest.raises(ArgumentError, match="argument 'batch_size': got 48, which") as caught:
            require_room(config(), 1000, memory=memory)
        accumulate = int(str(caught.value).partition("accumulate = ")[2].split()[0])
        require_room(config(accumulate=accumulate), 1000, memory=memory)
        most = int(str(caught.value).partition("up to ")[2].partition(",")[0])
        require_room(bh.default_config("nano", batch_size=most, block_length=128), 1000,
                     memory=memory)  # fmt: skip
        assert most == 48 // accumulate
    require_room(config(), 1000, memory=whole)
    with pytest.raises(ArgumentError, match="argument 'model': got nano, which with one block"):
        require_room(config(), 1000, memory=least - 1)


def test_processes_share_a_batch():
    memory = estimated("nano", 1000, 24 * 128)
    require_room(config(), 1000, processes=2, memory=memory)
    with pytest.raises(ArgumentError, match="up to 24, or accumulate = 2"):
        require_room(config(), 1000, memory=memory)


def test_processes_of_one_machine_share_what_is_free(monkeypatch):
    needed = estimated("nano", 1000, 24 * 128)
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 2 * needed - 1)
    require_room(config(), 1000, processes=2, local_processes=1)
    with pytest.raises(ArgumentError, match=r"is free for each of 2 processes, allowed: up to"):
        require_room(config(), 1000, processes=2, local_processes=2)
    # What is allowed is allowed to each.
    require_room(config(), 1000, processes=2, local_processes=2, memory=needed)


def test_the_command_refuses_before_it_makes_anything(run, tmp_path):
    corpus = tmp_path / "corpus"
    assert run("gen", "--subjects", 30, "--relations", 2, "--objects", 4, "--out", corpus).code == 0
    words = ("train", corpus, "--model", "pico", "--steps", 1, "--device", "cpu", "--out",
             tmp_path / "run")  # fmt: skip
    message = run(*words, "--memory", "1MB").refused(2)
    assert message.startswith("argument '--model': got pico, which with one block of ")
    assert "allowed: what fits into 1" in message
    assert not (tmp_path / "run").exists()
    assert "got much, allowed: an amount of memory" in run(*words, "--memory", "much").refused(2)
