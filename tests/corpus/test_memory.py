"""Memory that writing a corpus may take: so many threads as fit, or none."""

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
    with pytest.raises(ArgumentError, match="none with engine 'ray'"):
        bh.gen(corpus(), tmp_path / "out", memory=10**9, engine="ray")
    assert not (tmp_path / "out").exists()
