"""Schedules and filler from Python: the engine's own tests hold what they do."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import behemoth as bh
from behemoth.support.errors import ArgumentError, CorpusError


def small_world() -> bh.World:
    return bh.World(subjects=100, relations=2, objects=5)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("early:0.1@0.05", bh.Scheduled("early", window=0.1, share=0.05)),
        ("spaced", [bh.Scheduled("spaced")]),
        (
            "late:0.3@0.1,bursts:2@0.5",
            [
                bh.Scheduled("late", window=0.3, share=0.1),
                bh.Scheduled("bursts", bursts=2, share=0.5),
            ],
        ),
        ("distance:0.1@16x", bh.Scheduled("distance", window=0.1, exposures=16)),
        ("uniform", []),
    ],
)
def test_a_line_and_its_parts_are_one_schedule(line: str, parts: list[bh.Scheduled]) -> None:
    first = bh.Corpus(small_world(), exposures="groups:4,16", schedule=line)
    second = bh.Corpus(small_world(), exposures="groups:4,16", schedule=parts)
    assert first.spec_hash == second.spec_hash


def test_copies_stand_where_the_schedule_says() -> None:
    corpus = bh.Corpus(small_world(), exposures=5, schedule="spaced")
    documents = corpus.ledger(range(200))["document"].to_numpy().reshape(200, 5)
    assert (np.sort(documents // 200, axis=1) == np.arange(5)).all()


def test_the_total_is_fixed_and_held_out_documents_are_in_no_corpus(tmp_path: Path) -> None:
    filler = bh.Filler(total_tokens=20_000, words=300, length=40)
    corpora = [bh.Corpus(small_world(), exposures=e, filler=filler) for e in (1, 9)]
    held_out = [corpus.filler_documents(0, 50) for corpus in corpora]
    for corpus, documents in zip(corpora, held_out, strict=True):
        assert corpus.count_tokens() == 20_000
        facts = corpus.num_sentences
        assert corpus.num_fact_documents == facts < corpus.num_documents
        assert all(tokens.dtype == corpus.dtype and tokens[-1] == 0 for tokens in documents)
        # A word of the filler is a word: it can be read, and nothing else has its name.
        assert len(set(corpus.token_names)) == corpus.vocabulary_size
        assert all(name.isalpha() for name in corpus.decode(documents[0][:-1]).split())
    assert all((a == b).all() for a, b in zip(*held_out, strict=True))
    written = corpora[0].write(tmp_path / "corpus", threads=1)
    assert written.tokens == 20_000
    assert not bh.verify(tmp_path / "corpus").bad
    again = bh.Corpus.open(tmp_path / "corpus")
    assert again.spec == corpora[0].spec
    assert (again.shard(0) == corpora[0].tokens(0, corpora[0].num_documents)).all()


def test_a_twin_keeps_the_filler() -> None:
    parent = bh.Corpus(small_world(), filler="zipf:total_tokens=9000", schedule="late:0.9")
    twin = parent.without(range(0, 200, 2))
    assert parent.count_tokens() - twin.count_tokens() == 100 * parent.world.num_relations // 2 * 11


def test_what_is_refused_is_said_in_one_line() -> None:
    with pytest.raises(ArgumentError, match=r"argument 'schedule': got 'late:0.1', allowed: windo"):
        bh.Corpus(small_world(), schedule="late:0.1")
    with pytest.raises(ArgumentError, match=r"argument 'filler.words': got 1, allowed: 2 to 10485"):
        bh.Corpus(small_world(), filler=bh.Filler(tokens=10, words=1))
    with pytest.raises(ArgumentError, match="argument 'filler': got none, allowed: a corpus with"):
        bh.Corpus(small_world()).filler_documents(0, 1)


def raw_background(folder: Path, *, megatron: bool = False) -> list[list[int]]:
    """Write 40 documents of three to eight tokens, each with its end; give them."""
    rng = np.random.default_rng(0)
    documents = [[5, 8 + i, *rng.integers(8, 14, i % 6).tolist(), 0] for i in range(40)]
    np.concatenate(documents).astype("<u2").tofile(folder / "tokens.bin")
    lengths = np.array([len(document) for document in documents])
    ends = np.cumsum(lengths)
    if megatron:
        head = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 40, 41)
        places = ((ends - lengths) * 2).astype("<i8")
        parts = (lengths.astype("<i4"), places, np.arange(41, dtype="<i8"))
        (folder / "tokens.idx").write_bytes(head + b"".join(part.tobytes() for part in parts))
    else:
        ends.astype("<u8").tofile(folder / "tokens.idx")
    return documents


def others(corpus: bh.Corpus) -> list[list[int]]:
    """Documents that say no fact, without those of facts that a twin omits, which are empty."""
    numbers = np.flatnonzero(~corpus.says_facts(0, corpus.num_documents)).tolist()
    documents = (corpus.tokens(i, i + 1).tolist() for i in numbers)
    return [tokens for tokens in documents if tokens]


@pytest.mark.parametrize("megatron", [False, True])
@pytest.mark.parametrize("order", ["shuffle", "bios"])
def test_documents_of_a_background_stand_among_the_facts(
    tmp_path: Path, megatron: bool, order: Literal["shuffle", "bios"]
) -> None:
    documents = raw_background(tmp_path, megatron=megatron)
    for place in (tmp_path, tmp_path / "tokens", tmp_path / "tokens.bin"):
        corpus = bh.Corpus(small_world(), exposures=3, order=order, background=place)
        assert sorted(others(corpus)) == sorted(documents)
    few = bh.Corpus(small_world(), background=tmp_path, background_tokens=50)
    assert sum(map(len, others(few))) == 50


def test_a_directory_knows_its_background(tmp_path: Path) -> None:
    raw_background(tmp_path)
    corpus = bh.Corpus(small_world(), background=tmp_path, schedule="late:0.9")
    corpus.write(tmp_path / "out", threads=1)
    again = bh.Corpus.open(tmp_path / "out")
    assert again.spec_hash == corpus.spec_hash
    assert not bh.verify(tmp_path / "out").bad
    twin = again.without([1, 2, 3])
    assert others(twin) == others(corpus)
    # A directory is a background itself, in its own vocabulary alone.
    other = bh.Corpus(small_world(), exposures=2, background=tmp_path / "out")
    assert other.num_documents == 400 + corpus.num_documents
    with pytest.raises(
        ArgumentError, match=r"argument 'background': got .*, with another vocabulary"
    ):
        bh.Corpus(bh.World(subjects=110, relations=2, objects=6), background=tmp_path / "out")
    # What is no longer what it was is no background of it.
    (tmp_path / "tokens.bin").write_bytes((tmp_path / "tokens.bin").read_bytes()[:-4] + b"\5\0\0\0")
    told = "out: argument 'background': got \\S+ with other tokens or ends of documents, "
    with pytest.raises(CorpusError, match=told):
        bh.Corpus.open(tmp_path / "out")


def test_backgrounds_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for made, message in [
        (
            lambda: None,
            "argument 'background': got .*none, which does not exist, allowed: a",
        ),
        (
            lambda: (tmp_path / "none.bin").write_bytes(b"\0" * 8),
            "none.bin without none.idx, allowed",
        ),
        (lambda: (tmp_path / "none.idx").write_bytes(b"\5" * 16), "which does not fit the 8 bytes"),
    ]:
        made()
        with pytest.raises(ArgumentError, match=message):
            bh.Corpus(small_world(), background=tmp_path / "none")
    with pytest.raises(ArgumentError, match="'background_tokens': got 5, allowed: only with"):
        bh.Corpus(small_world(), background_tokens=5)


def test_a_directory_whose_manifest_is_damaged_is_no_background(tmp_path: Path) -> None:
    bh.Corpus(small_world()).write(tmp_path / "c", probes=0)
    file = tmp_path / "c" / "manifest.json"
    whole = json.loads(file.read_text())
    shard = {**whole["shards"][0], "file": "../../hostname"}
    for damaged in (
        "{not json",
        json.dumps({"complete": True}),
        json.dumps({**whole, "shards": [shard]}),
        json.dumps({**whole, "dtype": "float64"}),
        json.dumps({**whole, "vocabulary": []}),
    ):
        file.write_text(damaged)
        with pytest.raises(CorpusError, match="it is not a valid manifest of a corpus"):
            bh.Corpus(small_world(), background=tmp_path / "c")
    file.write_text(json.dumps({**whole, "complete": False}))
    with pytest.raises(ArgumentError, match=r"'background': got .*, allowed: a complete corpus"):
        bh.Corpus(small_world(), background=tmp_path / "c")


def test_text_stands_among_a_background(tmp_path: Path) -> None:
    np.array([7, 8, 9, 0] * 30, "<u2").tofile(tmp_path / "tokens.bin")
    np.arange(4, 121, 4).astype("<u8").tofile(tmp_path / "tokens.idx")
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(grammar.world(50), order="bios", grammar=grammar, background=tmp_path)
    assert corpus.num_documents - corpus.num_fact_documents == 30
    texts = np.array(corpus.texts(0, corpus.num_documents))
    others = ~corpus.says_facts(0, corpus.num_documents)
    assert (texts[others] == corpus.decode([7, 8, 9])).all()
    assert not (texts[~others] == corpus.decode([7, 8, 9])).any()
    corpus.write(tmp_path / "out", threads=1, probes=5)
    assert not bh.verify(tmp_path / "out").bad
