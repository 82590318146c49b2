import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate import evaluate_model
from behemoth.evaluate.pruning import evaluate_pruned, prune
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

MATRIX = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"


def test_the_smallest_are_cut_and_come_back(random_model):
    model = random_model(50)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with prune(model, 0.3):
        for name, value in model.named_parameters():
            inside = value.ndim == 2 and ".layers." in name
            if not inside:
                assert torch.equal(value, before[name]), name
                continue
            gone = value == 0
            assert int(gone.sum()) == int(0.3 * value.numel())
            assert before[name][gone].abs().max() <= before[name][~gone].abs().min()
            assert torch.equal(value[~gone], before[name][~gone])
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_of_equal_weights_the_first_are_cut(random_model):
    model = random_model(50)
    value = dict(model.named_parameters())[MATRIX]
    with torch.no_grad():
        value.fill_(1.0)
    with prune(model, 0.25):
        count = value.numel() // 4
        assert not value.flatten()[:count].any() and value.flatten()[count:].all()


def test_pruning_undoes_a_change_of_the_smallest_weights(random_model):
    corpus = Corpus(World(60, 2, 8), exposures=2)
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3))
    value = dict(model.named_parameters())[MATRIX]
    with torch.no_grad():
        # A tenth of the weights is tiny, and the edit is in these alone: it is cut off whole.
        tiny = torch.zeros_like(value, dtype=torch.bool)
        tiny.view(-1)[: value.numel() // 5] = True
        value.copy_(torch.where(tiny, 0.0, value.sign().where(value != 0, 1.0)))
    generator = torch.Generator().manual_seed(0)
    change = torch.where(tiny, 0.3 * torch.randn(value.shape, generator=generator), 0.0)
    change = change.clamp(-0.9, 0.9)
    delta = EditDelta({MATRIX: Dense(change)}, "small", {}, "", 0)
    with_it = evaluate_pruned(model, corpus, plan, delta, shares=(0.0, 0.2))
    none = EditDelta({}, "none", {}, "", 0)
    without = evaluate_pruned(model, corpus, plan, none, shares=(0.2,))
    assert with_it["share"].unique().sort().to_list() == [0.0, 0.2]
    names = ["log_probability_old", "generated", "old_match"]
    same = with_it.filter(share=0.2).select(names)
    assert_frame_equal(same, without.select(names), abs_tol=1e-5)
    edited = evaluate_model(model, corpus, plan, {None: delta}).filter(stage="after")
    assert_frame_equal(with_it.filter(share=0.0).drop("share"), edited, abs_tol=1e-5)
    assert with_it.filter(share=0.0)["kl"].max() > 1e-4
    assert not same.equals(with_it.filter(share=0.0).select(names))
    assert with_it["stage"].unique().to_list() == ["after"] and pl.Float64 == with_it["share"].dtype


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_errors(random_model, share):
    with pytest.raises(ArgumentError, match=r"argument 'share': got .*from 0 to below 1"):
        prune(random_model(50), share)
