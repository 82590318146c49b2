"""What a corpus prints of a world without names is read back as its numbers."""

import re

import polars as pl
import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.corpus.number_words import NumberWords

SENTENCE = re.compile(r"subject (.+) has the relation (\S+) with object (.+) \.")


@pytest.mark.parametrize(
    "world",
    [
        bh.World(subjects=40, relations=3, objects=12),
        bh.World(subjects=2_000, relations=[bh.Independent(1_500), bh.Composed(0, 30)]),
        bh.World(subjects=30, relations=[bh.OneToOne(), bh.Inverse(0), bh.Zipf(5)]),
    ],
)
def test_every_fact_is_read_as_it_is_written(world):
    corpus = bh.Corpus(world)
    found = [SENTENCE.match(text).groups() for text in corpus.texts(0, corpus.num_documents)]
    words = pl.DataFrame(found, schema=["subject", "relation", "object"], orient="row")
    read = NumberWords(corpus).numbers(words)
    columns = ["subject", "relation", "object"]
    facts = world.facts().select(pl.col(columns).cast(pl.Int64))
    assert read.sort(columns).equals(facts.sort(columns))


def test_other_words_are_refused():
    corpus = bh.Corpus(bh.World(subjects=40, relations=3, objects=12))
    words = NumberWords(corpus)
    assert words.relation("R2") == 2
    assert [words.relation(word) for word in ("R3", "r2", "2", "R02", "S2", "")] == [None] * 6
    for row, match in (
        (("S40", "R2", "O2:7"), "got 'S40' as subject in row 0 .from 0., allowed: .*, such as S0"),
        (("S31", "R3", "O2:7"), "got 'R3' as relation in row 0 .from 0., allowed: .*, such as R0"),
        (
            ("S31", "R1", "O2:7"),
            "got 'O2:7' as object in row 0 .from 0., allowed: .*, such as O1:0",
        ),
    ):
        frame = pl.DataFrame([row], schema=["subject", "relation", "object"], orient="row")
        with pytest.raises(ArgumentError, match=match):
            words.numbers(frame)
