"""Hand-made plans, and a tiny model with its corpus, for the tests of methods."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pytest

from behemoth import Composed, Corpus, Independent, Questions, World


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
            "template": ["default"] * len(rows),
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
def context():
    """A context for methods that need no corpus."""
    from behemoth.edit.protocol import EditContext

    return EditContext(corpus=None, seed=3)


@pytest.fixture(scope="session")
def small_corpus():
    """A world with multi-token subjects and objects, questions and composed relations."""
    world = World(subjects=40, relations=[Independent(12), Independent(12), Composed(0, 4)], seed=5)
    return Corpus(world, exposures=4, questions=Questions(0.5, 0.25), base=10)


@pytest.fixture(scope="session")
def contract_corpus():
    """What `contract_run` is a run of."""
    return Corpus(World(subjects=60, relations=2, objects=12, seed=1), exposures=4)


@pytest.fixture(scope="session")
def contract_run(contract_corpus, tmp_path_factory):
    """A run of one short pass: a twin differs from it, and `retrain` can repeat it."""
    from behemoth.train import TrainConfig, train

    run = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(
        model="nano", epochs=1, batch_size=8, block_length=64, tensorboard=False, threads=1
    )
    train(contract_corpus, out=run, config=config)
    return run


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
    from behemoth.plan.compile import compile_plan
    from behemoth.plan.request import EditRequest

    def compiled(edits, **request):
        bare = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}
        return compile_plan(small_corpus, EditRequest(edits=edits, **bare, **request))

    return compiled


@pytest.fixture(scope="session")
def equations():
    """Keys [f, n], residuals [d, n] and a covariance, float64 and random: equations(n)."""
    import torch

    from behemoth.edit.locate.covariance import Covariance

    def equations(count, *, units=24, width=16, rank=None):
        generator = torch.Generator().manual_seed(count)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        mixing = draw(units, rank or units)
        samples = draw(500, rank or units) @ mixing.T
        return draw(units, count), draw(width, count), Covariance(samples.T @ samples / 500, 500)

    return equations
