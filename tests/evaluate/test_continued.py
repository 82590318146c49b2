import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate import continued
from behemoth.evaluate.continued import continue_training
from behemoth.evaluate.relearning import RELEARNING
from behemoth.evaluate.text_losses import document_losses
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(60, 2, 8), exposures=2)
    return corpus, compile_plan(corpus, EditRequest(edits=4))


def empty():
    return EditDelta({}, "none", {}, "", 0)


@pytest.mark.parametrize("probed", [None, 1])
def test_it_reads_documents_without_the_facts_and_the_model_comes_back(
    asked, probed, random_model, monkeypatch
):
    corpus, _ = asked
    plan = compile_plan(corpus, EditRequest(edits=4, probed=probed))
    model = random_model(corpus.vocabulary_size)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    read = []
    drawn = continued._drawn

    def look(*arguments):
        found = drawn(*arguments)
        read.extend(document.tobytes() for document in found)
        return found

    monkeypatch.setattr(continued, "_drawn", look)
    frame = continue_training(model, corpus, plan, empty(), steps=(0, 3, 10), batch=16)
    assert frame.schema == pl.Schema(RELEARNING)
    assert frame.group_by("step").len()["len"].to_list() == [probed or 4] * 3
    assert not frame["taught"].any()
    saying = corpus.ledger(plan.edits["fact"].to_numpy())["document"]
    forbidden = {corpus.tokens(number, number + 1).tobytes() for number in saying}
    assert len(read) == 160 and len(set(read)) > 50 and not forbidden & set(read)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_the_text_is_learnt(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    one, other = (
        continue_training(model, corpus, plan, empty(), steps=(0, 30), learning_rate=1e-2, seed=3)
        for _ in range(2)
    )
    assert one["log_probability_old"].to_list() == pytest.approx(
        other["log_probability_old"].to_list(), abs=1e-2
    )
    # Sentences of the same form make objects likelier than other tokens, whichever they are.
    first, last = (one.filter(step=step)["log_probability_old"].mean() for step in (0, 30))
    assert last > first + 0.5


def test_it_begins_with_the_edited_model(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(model.get_parameter(name).shape, generator=generator)
    delta = EditDelta({name: Dense(change)}, "noise", {}, "", 0)

    def first(delta):
        frame = continue_training(model, corpus, plan, delta, steps=(0,))
        return np.array(frame["log_probability_old"])

    with delta.apply(model):
        wanted = first(empty())
    np.testing.assert_allclose(first(delta), wanted, atol=1e-3)
    assert np.abs(first(empty()) - wanted).max() > 0.1


def test_the_seed_draws_the_documents(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    few = {"steps": (0, 2), "learning_rate": 1e-2, "batch": 8}
    one, other = (
        continue_training(model, corpus, plan, empty(), **few, seed=seed)["log_probability_old"]
        for seed in (3, 4)
    )
    apart = (one - other).abs()
    assert apart[:4].max() < 1e-3 and apart[4:].max() > 0.01


def test_documents_by_length_have_the_loss_of_documents_together(random_model):
    model = random_model(60)
    generator = np.random.default_rng(0)
    documents = [generator.integers(2, 60, size) for size in (7, 30, 2, 12, 30, 9, 5, 21, 3, 16)]
    losses, counts = document_losses(model, documents)
    assert continued._loss(model, documents).item() == pytest.approx(
        losses.sum() / counts.sum(), rel=1e-5
    )


def test_it_ends_where_enough_is_back(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    frame = continue_training(model, corpus, plan, empty(), steps=(0, 1), until=0.0)
    assert frame["step"].unique().to_list() == [0]
    never = continue_training(model, corpus, plan, empty(), steps=(0, 1), until=1.1)
    assert never["step"].unique().sort().to_list() == [0, 1]


def test_errors(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    with pytest.raises(ArgumentError, match=r"'steps': got \(\)"):
        continue_training(model, corpus, plan, empty(), steps=())
    small = Corpus(World(2, 2, 2), exposures=1, order="bios")
    request = EditRequest(edits=2, distinct=False, repeats=1, same_object=0, same_relation=0,
                          regular=0, probes=0)  # fmt: skip
    every = compile_plan(small, request)
    with pytest.raises(ArgumentError, match="'corpus': got one whose documents all say"):
        continue_training(model, small, every, empty())


def test_documents_of_nothing_are_not_drawn():
    """A subject whose facts are never written has documents without a token."""
    import numpy as np

    import behemoth as bh
    from behemoth.evaluate.continued import _drawn

    corpus = bh.Corpus(bh.World(20, 2, 6), exposures=bh.Groups([0, 2]), order="bios")
    lengths = [len(corpus.tokens(n, n + 1)) for n in range(corpus.num_documents)]
    empty = np.flatnonzero(np.array(lengths) < 2).astype(np.uint64)
    assert 0 < len(empty) < corpus.num_documents
    some = np.arange(corpus.num_documents, dtype=np.uint64)
    drawn = _drawn(corpus, some[:1], 50, np.random.default_rng(0))
    assert len(drawn) == 50 and min(map(len, drawn)) > 1
    with pytest.raises(bh.ArgumentError, match="documents say these facts or nothing"):
        _drawn(corpus, np.setdiff1d(some, empty), 2, np.random.default_rng(0))
