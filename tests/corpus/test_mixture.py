"""Schedules and filler from Python: the engine's own tests hold what they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import behemoth as bh
from behemoth.support.errors import ArgumentError


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
        ("distance:0.5@16x", bh.Scheduled("distance", window=0.5, exposures=16)),
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
    with pytest.raises(ArgumentError, match=r"argument 'filler': got a filler beside a grammar, "):
        bh.Corpus(bh.Grammar.named("bios-en").world(100), grammar="bios-en", filler="zipf:tokens=9")
    with pytest.raises(ArgumentError, match="argument 'filler': got none, allowed: a corpus with"):
        bh.Corpus(small_world()).filler_documents(0, 1)
