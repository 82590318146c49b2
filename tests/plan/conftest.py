"""Worlds of every kind, small enough to be looked through, and what brute force says of a plan."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from behemoth import (
    Composed,
    Corpus,
    Correlated,
    Groups,
    Independent,
    Inverse,
    OneToOne,
    Questions,
    World,
    Zipf,
)


def _worlds():
    plain = World(subjects=200, relations=4, objects=12, seed=1)
    yield "plain", Corpus(plain, exposures=3)
    nested = World(subjects=200, relations=2, objects=12, nested=4, seed=2)
    yield "nested", Corpus(nested, exposures=Groups([0, 1, 4]), paraphrases=4, held_out=1)
    kinds = [
        Independent(16), Correlated(0, 0.7), Zipf(9, 1.2), OneToOne(), Inverse(3),
        Composed(0, 8), Composed(5, 2), Composed(1, 4),
    ]  # fmt: skip
    rich = World(subjects=220, relations=kinds, seed=3, minority=0.1)
    yield (
        "rich",
        Corpus(
            rich,
            exposures=Groups([1, 2, 4]),
            templates={"default": 1, "repeats": 1},
            inversion=0.3,
            questions=Questions(0.5, 0.25),
            paraphrases=3,
            held_out=1,
        ),
    )
    binarised = World(subjects=200, relations=3, objects=8, correlated=0.8, binarised=True)
    yield "binarised", Corpus(binarised)
    long = World(subjects=150, relations=2, objects=120, nested=30, seed=5)
    yield "long words", Corpus(long, base=10, order="bios", questions=Questions(0.5, 0.2))
    rows = [
        (s, r, (s * 7 + r) % 10, (s * 7 + r) % 10 % 3)
        for s in range(90)
        for r in range(3)
        if (s + r) % 5
    ]
    frame = pl.DataFrame(rows, schema=["subject", "relation", "object", "nested"], orient="row")
    yield "table", Corpus(World.from_table(frame), exposures=2)


@pytest.fixture(scope="session")
def corpora():
    return dict(_worlds())


class Brute:
    """Everything about a corpus, listed."""

    def __init__(self, corpus):
        self.corpus, self.world = corpus, corpus.world
        self.frame = self.world.facts().with_columns(
            exposures=corpus.exposures(np.arange(self.world.num_facts))
        )
        self.facts = {row["fact"]: row for row in self.frame.iter_rows(named=True)}
        self.ids = {(row["relation"], row["subject"]): fact for fact, row in self.facts.items()}
        self.table = self.world.relation_table

    def twin(self, edits):
        """Objects in the world in which the edits, and what follows from them, hold."""
        changes = {e["fact"]: e["new_object"] for e in edits if e["new_object"] is not None}
        if not changes:
            return {fact: row["object"] for fact, row in self.facts.items()}
        world = self.world.override(changes, follow=True)
        return dict(world.facts().select("fact", "object").iter_rows())

    def of(self, relation):
        return self.table[relation].get("of")


@pytest.fixture(scope="session")
def brute():
    made = {}

    def brute(corpus):
        return made.setdefault(corpus.spec_hash, Brute(corpus))

    return brute
