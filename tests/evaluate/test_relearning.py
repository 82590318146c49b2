import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate.relearning import RELEARNING, relearn
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(60, 2, 8), exposures=2)
    return corpus, compile_plan(corpus, EditRequest(edits=4))


def empty():
    return EditDelta({}, "none", {}, "", 0)


def test_what_is_taught_is_learnt_and_the_model_comes_back(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    frame = relearn(model, corpus, plan, empty(), steps=(0, 40), learning_rate=3e-3, share=0.5)
    assert frame.schema == pl.Schema(RELEARNING)
    assert frame.group_by("step", "taught").len()["len"].to_list() == [2] * 4
    last = frame.filter(step=40)
    assert last.filter("taught")["log_probability_old"].min() > -0.5
    first = frame.filter(step=0).filter("taught")["log_probability_old"]
    assert first.max() < last.filter("taught")["log_probability_old"].min()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert all(value.grad is None for value in model.parameters())


def test_a_change_that_one_step_undoes_brings_the_rest_back(asked, random_model):
    # Suppression by a bias of the last norm: not in any fact, so facts return together.
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    head = next(n for n, p in model.named_parameters() if p.shape[0] == corpus.vocabulary_size
                and "embed_in" not in n)  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    change = 0.3 * torch.randn(dict(model.named_parameters())[head].shape, generator=generator)
    delta = EditDelta({head: Dense(change)}, "noise", {}, "", 0)
    frame = relearn(model, corpus, plan, delta, steps=(0, 5), seed=1)
    with delta.apply(model):
        pass
    assert set(frame["step"]) == {0, 5}
    assert not frame.filter(step=0).equals(frame.filter(step=5))


def test_the_seed_says_who_is_taught(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    one, other = (relearn(model, corpus, plan, empty(), steps=(0, 1), seed=3) for _ in range(2))
    assert_frame_equal(one, other, abs_tol=1e-3)
    groups = {
        tuple(relearn(model, corpus, plan, empty(), steps=(0,), seed=s)["taught"]) for s in range(6)
    }
    assert len(groups) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"share": 1.0}, "'share': got 1.0"), ({"steps": ()}, r"'steps': got \(\)"),
     ({"steps": (-1,)}, "'steps': got")],
)  # fmt: skip
def test_errors(asked, random_model, options, message):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    with pytest.raises(ArgumentError, match=message):
        relearn(model, corpus, plan, empty(), **options)
    single = plan.single(0)
    with pytest.raises(ArgumentError, match="argument 'plan': got 1 facts to forget"):
        relearn(model, corpus, single, empty())
