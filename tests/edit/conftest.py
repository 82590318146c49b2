"""Worlds of every kind, small enough to be looked through, and what brute force says of a plan."""

from __future__ import annotations

from dataclasses import dataclass

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
            exposures=corpus.exposures(np.arange(self.world.fact_count))
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


# A tiny model and hand-made plans, for the tests of methods.


@dataclass(frozen=True)
class HandMadePlan:
    """What a gradient method reads of an EditPlan."""

    edits: pl.DataFrame
    training: pl.DataFrame
    plan_hash: str


def make_plan(number, answer=(20,), old_answer=(21,), kind="remap", retained=3):
    """One edit: two prompts with a new answer, and other rows that are to stay."""
    rows = [
        {"role": "edit", "prompt": [5, 6 + number, 7], "answer": answer, "old_answer": old_answer},
        {"role": "edit", "prompt": [6 + number, 7], "answer": answer, "old_answer": old_answer},
    ]
    rows += [
        {"role": "regular", "prompt": [5, 12 + i, 7], "answer": (22 + i,), "old_answer": (22 + i,)}
        for i in range(retained)
    ]
    training = pl.DataFrame(
        {
            "role": [row["role"] for row in rows],
            "prompt": [row["prompt"] for row in rows],
            "answer": [list(row["answer"]) for row in rows],
            "old_answer": [list(row["old_answer"]) for row in rows],
            "weight": [1] * len(rows),
        }
    )
    edits = pl.DataFrame({"edit": [0], "kind": [kind]})
    return HandMadePlan(edits, training, f"{number + 1:064x}"[::-1])


@pytest.fixture
def plans():
    """Three independent single edits."""
    return [make_plan(number) for number in range(3)]


@pytest.fixture
def plan_of():
    """The maker of plans, for tests that want other ones."""
    return make_plan


@pytest.fixture
def model():
    """Two blocks with random weights, the same each time."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,  # with the usual 0.02 no change of inner weights moves an answer
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.fixture
def context():
    """A context for methods that need no corpus."""
    from behemoth.edit.protocol import EditContext

    return EditContext(corpus=None, seed=3)


@pytest.fixture(scope="session")
def small_corpus():
    """A world with multi-token subjects and objects, questions and composed relations."""
    world = World(subjects=40, relations=[Independent(12), Independent(12), Composed(0, 4)], seed=5)
    return Corpus(world, exposures=4, questions=Questions(0.5, 0.25), base=10)


@pytest.fixture
def network(small_corpus):
    """Three blocks with random weights, for `small_corpus`."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(1)
    config = GPTNeoXConfig(
        vocab_size=small_corpus.vocabulary_size,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.fixture(scope="session")
def compiled(small_corpus):
    """Compile edits of `small_corpus` without bystanders: compiled(3, relation=0)."""
    from behemoth.edit.compiler import compile_plan
    from behemoth.edit.request import EditRequest

    def compiled(edits, **request):
        bare = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}
        return compile_plan(small_corpus, EditRequest(edits=edits, **bare, **request))

    return compiled


@pytest.fixture(scope="session")
def equations():
    """Keys [f, n], residuals [d, n] and a covariance, float64 and random: equations(n)."""
    import torch

    from behemoth.edit.covariance import Covariance

    def equations(count, *, units=24, width=16, rank=None):
        generator = torch.Generator().manual_seed(count)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        mixing = draw(units, rank or units)
        samples = draw(500, rank or units) @ mixing.T
        return draw(units, count), draw(width, count), Covariance(samples.T @ samples / 500, 500)

    return equations
