"""Ranks of an evaluation by whole names, where objects have names of several tokens."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus, Grammar, World, recall
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate import evaluate_model
from behemoth.evaluate.forget_quality import forget_quality
from behemoth.evaluate.metrics import PARAPHRASED
from behemoth.model.build import build_model
from behemoth.model.sizes import find_size
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def text():
    grammar = Grammar.named("bios-en")
    return Corpus(grammar.world(40, seed=1), exposures=4, order="bios", grammar=grammar)


@pytest.fixture(scope="module")
def model(text):
    built = build_model(find_size("nano"), text.vocabulary_size, seed=4)
    with torch.no_grad():  # a random model finds all names alike; this one does not
        built.get_output_embeddings().weight.mul_(8)
    return built.eval()


def deltas_of(model, count):
    generator = torch.Generator().manual_seed(0)
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    shape = dict(model.named_parameters())[name].shape
    return {
        edit: EditDelta(
            {name: Dense(0.3 * torch.randn(shape, generator=generator))}, "random", {}, "0" * 64, 7
        )
        for edit in range(count)
    }


def test_ranks_of_edits_side_by_side_are_those_that_recall_gives(text, model):
    plan = compile_plan(text, EditRequest(edits=2, independent=True, relation=1, probes=1))
    deltas = deltas_of(model, 2)
    frame = evaluate_model(model, text, plan, deltas, rank="sequence", batch_size=64)
    first = evaluate_model(model, text, plan, deltas, batch_size=64)
    others = ["rank", "log_probability_wrong"]
    both = evaluate_model(model, text, plan, deltas, wrong=True, batch_size=64)
    assert_frame_equal(both.drop(others[1]), first.drop(others[1]), abs_tol=1e-4)
    assert_frame_equal(both.select(others[1]), frame.select(others[1]), abs_tol=1e-4)
    assert both[others[1]].null_count() < first[others[1]].null_count()
    assert_frame_equal(frame.drop(others), first.drop(others), abs_tol=1e-4)
    assert not frame["rank"].equals(first["rank"])
    # Facts that are asked as they were: what is right before is right after.
    kept = pl.col("must_change").not_() & pl.col("link").not_()
    keys = ["fact", "template", "wording"]

    def compared(stage, asked_model):
        facts = stage["fact"].unique().sort()[:2].to_numpy()
        asked = recall(asked_model, text, facts=facts, rank="sequence")
        both = stage.select(*keys, "rank").unique(keys).join(asked, on=keys)
        assert both.height > 0
        # Names that score alike but for rounding may change places.
        apart = both["rank"].cast(pl.Int64) - both["rank_right"].cast(pl.Int64)
        assert (apart.abs() <= 1).mean() > 0.99

    compared(frame.filter(kept, stage="before"), model)
    with deltas[1].apply(model):
        compared(frame.filter(kept, stage="after", edit=1), model)


@pytest.mark.parametrize(("edits", "unit"), [(0, "rows"), (1, "rows"), (2, "models")])
def test_ranks_of_a_single_model_report_the_rows_that_are_done(text, model, edits, unit):
    plan = compile_plan(text, EditRequest(edits=2, independent=True, relation=1, probes=1))
    told = []
    deltas = deltas_of(model, edits)
    frame = evaluate_model(
        model, text, plan, deltas, rank="sequence", batch_size=64, progress=told.append
    )
    total = frame["rank"].count() if unit == "rows" else edits
    assert {(moment.label, moment.unit, moment.total) for moment in told} == {
        ("evaluating", unit, total)
    }
    done = [moment.done for moment in told]
    assert done == (list(range(1, total + 1)) if unit == "rows" else [edits])


def every_name(model, text, probes, relation):
    """Log-probabilities of all objects behind each prompt, one object after the other."""
    objects = text.object_tokens(relation)
    found = []
    for prompt in probes["prompt"].to_list():
        own = []
        for number in range(len(objects.lengths)):
            name = objects.of(number)
            tokens = torch.tensor([prompt + list(name)])
            with torch.no_grad():
                each = model(tokens).logits[0, len(prompt) - 1 : -1].double().log_softmax(1)
            own.append(each.gather(1, torch.tensor(name)[:, None]).sum().item())
        found.append(own)
    return np.array(found)


def test_the_wrong_objects_are_all_others_by_their_whole_names(text, model):
    relation = 3  # fields of study: names of one token and of several
    plan = compile_plan(text, EditRequest(edits=1, relation=relation, probes=0))
    frame = evaluate_model(model, text, plan, {}, rank="sequence")
    probes = plan.probes.filter(pl.col("group").str.starts_with("edited")).head(3)
    given = probes.join(frame, on="probe", how="left")["log_probability_wrong"].to_numpy()
    all_ = every_name(model, text, probes, relation)
    numbers = text.object_tokens(relation).numbers
    old = [numbers[tuple(answer)] for answer in probes["old_answer"].to_list()]
    all_[np.arange(len(old)), old] = -np.inf
    exact = np.logaddexp.reduce(all_, axis=1) - np.log(all_.shape[1] - 1)
    assert (given <= exact + 1e-5).all()
    np.testing.assert_allclose(given, exact, atol=1.1e-3)
    first = evaluate_model(model, text, plan, {})
    assert first["log_probability_wrong"].null_count() == first.height


def test_facts_to_forget_have_truth_ratios_where_there_are_no_other_wordings(text, model):
    plan = compile_plan(text, EditRequest(edits=1, relation=3, probes=1))
    paraphrased = pl.col("group").is_in(PARAPHRASED)
    assert plan.probes.filter(paraphrased).height
    forgotten = evaluate_model(model, text, plan, {}, wrong=True).filter(group="forget")
    assert forgotten["log_probability_wrong"].is_null().all()
    plan = replace(plan, probes=plan.probes.filter(~paraphrased))
    frame = evaluate_model(model, text, plan, {}, wrong=True)
    assert frame.filter(group="forget")["log_probability_wrong"].is_not_null().all()
    assert forget_quality(frame, frame).facts == 1


def test_a_run_alone_and_refusals(text, model):
    plan = compile_plan(text, EditRequest(edits=2, probes=1, relation=1))
    frame = evaluate_model(model, text, plan, {}, rank="sequence")
    assert frame["rank"].null_count() == 0
    assert frame["rank"].max() > 20
    with pytest.raises(ArgumentError, match="argument 'rank': got sideways"):
        evaluate_model(model, text, plan, {}, rank="sideways")
    bare = Corpus(World(10, 2, 5), exposures=1)
    small = build_model(find_size("nano"), bare.vocabulary_size, seed=1)
    plain = compile_plan(bare, EditRequest(edits=1))
    with pytest.raises(ArgumentError, match="allowed: 'first'"):
        evaluate_model(small, bare, plain, {}, rank="sequence")
