"""Memory: so many threads write as fit, or none; what does not fit is refused, and no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.corpus.write import _FIXED_BYTES, _THREAD_BYTES


def corpus():
    return bh.Corpus(bh.World(2000, 2, 20), exposures=3)


def test_so_many_threads_write_as_fit(tmp_path, monkeypatch):
    asked = []
    write = bh.Corpus.write
    monkeypatch.setattr(
        bh.Corpus,
        "write",
        lambda own, out, threads, **rest: (
            asked.append(threads) or write(own, out, threads=threads, **rest)
        ),
    )
    for number, (threads, fits) in enumerate(((8, 3), (2, 3), (3, 1))):
        bh.gen(corpus(), tmp_path / str(number), threads=threads,
               memory=_FIXED_BYTES + fits * _THREAD_BYTES)  # fmt: skip
    assert asked == [3, 2, 1]
    bytes_of = {(tmp_path / name / "tokens/00000.bin").read_bytes() for name in "012"}
    assert len(bytes_of) == 1


def test_less_than_one_thread_takes_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"'memory': got 1.00 MB, allowed: 105.9 MB or more"):
        bh.gen(corpus(), tmp_path / "out", memory=10**6)
    with pytest.raises(ArgumentError, match="not with engine 'ray'"):
        bh.gen(corpus(), tmp_path / "out", memory=10**9, engine="ray")
    assert not (tmp_path / "out").exists()


def test_a_thread_has_room_for_the_longest_document(tmp_path):
    """Its tokens, and over a hundred bytes for each of its sentences, while it is drafted."""
    world = bh.World(200_000, 4, 50)
    long = bh.Corpus(world, order="bios", documents=bh.Documents(subjects=world.num_subjects))
    with pytest.raises(ArgumentError, match=r"got 105.9 MB, allowed: 2\d\d.\d MB or more"):
        bh.gen(long, tmp_path / "out", memory=_FIXED_BYTES + _THREAD_BYTES)
    assert long._native.thread_bytes > 120 * long.num_sentences
    assert bh.Corpus(world, order="bios")._native.thread_bytes < _THREAD_BYTES


# An address space of 6 GiB, as `ulimit -v` gives it: what is asked for takes many times that.
LIMITED = """
import resource

import numpy as np

import behemoth as bh
from behemoth import ArgumentError

resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
world = bh.World(subjects=10**13, relations=10, objects=100)
fixed, varied = bh.Corpus(world), bh.Corpus(world, templates={"nonsense": 1})
for name, call in {
    "tokens": lambda: fixed.tokens(0, 10**10),
    "tokens of varied documents": lambda: varied.tokens(0, 10**10),
    "pages of varied documents": lambda: varied.tokens(0, 10**13),
    "index": lambda: varied._native.fill_tokens(np.zeros(10, np.uint32), 0),
    "count": lambda: varied.count_tokens(),
    "lengths": lambda: varied._native.document_lengths(0, 10**11),
    "sample": lambda: varied.sample_facts(10**11),
    "facts": lambda: world._native.facts_range(0, 10**11),
}.items():
    try:
        call()
    except ArgumentError as error:
        print(f"{name}: {error}")
"""


def test_what_does_not_fit_memory_is_refused():
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    refused = [line.split(", allowed: ")[1] for line in ran.stdout.splitlines()]
    assert refused == [
        "as many tokens as fit in memory",
        "as many tokens as fit in memory",
        "as many tokens as fit in memory",
        "as many pages of documents as fit in memory",
        "as many pages of documents as fit in memory",
        "as many documents as fit in memory",
        "as many facts as fit in memory",
        "as many facts as fit in memory",
    ], ran.stdout


# As tables, the maps of these composed relations would take 2.4 GB.
TABLES = """
import resource

import behemoth as bh

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
world = bh.World(subjects=1, relations=600, objects=2**20, nested=1024)
print(sorted(set(world.links(1199).tolist())) == list(range(1024)))
"""


def test_the_maps_of_many_composed_relations_fit_memory():
    ran = subprocess.run(
        [sys.executable, "-c", TABLES], capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr


# A list of tokens grows by doubling; near the limit it must grow by less.
NEARLY_FULL = """
import resource

import behemoth as bh

world = bh.World(subjects=5 * 10**6, relations=1, objects=10**6)
corpus = bh.Corpus(world, templates={"default": 1, "nonsense": 1})
expected = corpus.count_tokens(threads=1)
corpus.tokens(0, 10**4, threads=1)
with open("/proc/self/statm") as statm:
    there = int(statm.read().split()[0]) * resource.getpagesize()
size = expected * corpus.dtype.itemsize
limit = there + size + size // 5
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(len(corpus.tokens(0, corpus.num_documents, threads=1)) == expected)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
def test_a_range_of_most_of_the_memory_fits():
    ran = subprocess.run(
        [sys.executable, "-c", NEARLY_FULL], capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr


# Pages of few tokens, the memory of which the allocator does not return.
RANGE = """
import behemoth as bh

world = bh.World(subjects=2 * 10**6, relations=1, objects=10**6)
corpus = bh.Corpus(world, templates={"default": 1, "nonsense": 1})
corpus.tokens(0, 10**4)
before = peak()
tokens = corpus.tokens(0, corpus.num_documents, threads=2)
print(tokens.nbytes, peak() - before)
"""


def test_the_tokens_of_a_range_are_in_memory_about_once(measure):
    size, taken = measure(RANGE)
    assert taken < 1.6 * size
