"""What is reckoned of memory beside what a process took: its peak, in a process of its own."""

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.model.memory import training_bytes
from behemoth.model.sizes import SIZES
from behemoth.train.memory_budget import require_room

FACTOR = 1.5

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks", "length", "objects"),
    [("nano", 16, 128, 50), ("nano", 64, 128, 50), ("14m", 16, 128, 50), ("14m", 8, 128, 20_000)],
)
def test_a_peak_is_within_the_factor(measure, tmp_path, name, blocks, length, objects):
    vocabulary, peak = measure(PEAK, name, blocks, length, objects, tmp_path / "run")
    reckoned = training_bytes(SIZES[name], vocabulary, blocks * length)
    assert peak / FACTOR < reckoned < peak * FACTOR, (reckoned, peak)


def config(**others):
    return bh.default_config("nano", batch_size=48, block_length=128, **others)


def test_more_of_anything_takes_more():
    base = training_bytes(SIZES["nano"], 1000, 1024)
    assert training_bytes(SIZES["nano"], 2000, 1024) > base
    assert training_bytes(SIZES["nano"], 1000, 2048) > base
    assert training_bytes(SIZES["31m"], 1000, 1024) > base


def test_what_is_refused_names_what_fits_and_that_does():
    for room in (0.3, 0.6, 0.9):
        whole = training_bytes(SIZES["nano"], 1000, 48 * 128)
        least = training_bytes(SIZES["nano"], 1000, 128)
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
    memory = training_bytes(SIZES["nano"], 1000, 24 * 128)
    require_room(config(), 1000, processes=2, memory=memory)
    with pytest.raises(ArgumentError, match="up to 24, or accumulate = 2"):
        require_room(config(), 1000, memory=memory)


def test_processes_of_one_machine_share_what_is_free(monkeypatch):
    needed = training_bytes(SIZES["nano"], 1000, 24 * 128)
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
