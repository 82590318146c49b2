from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, World
from behemoth.corpus.probes import probes_in
from behemoth.evaluate.linear_probes import (
    LINEAR_PROBES,
    probe_objects,
    residual_stream,
    ridge_scores,
)
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.ragged import Ragged


def test_the_residual_stream_is_that_of_whole_passes(random_model):
    model = random_model(50)
    generator = np.random.default_rng(0)
    prompts = [generator.integers(3, 50, n).tolist() for n in (5, 9, 5, 2)]
    found = residual_stream(model, Ragged.of(prompts), batch_size=3)
    assert found.shape == (4, 2, 32)
    assert not any(module._forward_hooks for module in model.modules())
    for row, prompt in zip(found, prompts, strict=True):
        with torch.no_grad():
            states = model(torch.tensor([prompt]), output_hidden_states=True).hidden_states
        np.testing.assert_allclose(row[0], states[1][0, -1], rtol=1e-4, atol=1e-5)


def test_an_object_that_is_linear_in_the_stream_is_found(random_model, monkeypatch):
    corpus = Corpus(World(400, 2, 6, seed=4), exposures=2)
    plan = compile_plan(corpus, EditRequest(edits=8, distinct=False, relation=1))
    model = random_model(corpus.vocabulary_size)
    names = {name: token for token, name in enumerate(corpus.token_names)}
    probes = corpus.probes()
    answers = {tuple(p): a[-1] for p, a in probes.select("prompt", "answer").iter_rows()}

    def stream(model, prompts, **options):
        ends = np.cumsum(prompts.lengths)
        rows = [prompts.flat[end - n : end] for end, n in zip(ends, prompts.lengths, strict=True)]
        objects = [answers[tuple(row.tolist())] - names["O1:0"] for row in rows]
        noise = np.random.default_rng(0).normal(size=(len(rows), 2, 16)).astype(np.float32)
        there = np.zeros((6, 16), np.float32)
        there[:, :6] = 3 * np.eye(6)
        noise[:, 1] = 0.1 * noise[:, 1] + there[objects]
        return noise

    monkeypatch.setattr("behemoth.evaluate.linear_probes.residual_stream", stream)
    frame = probe_objects(model, corpus, plan)
    assert frame.schema == pl.Schema(LINEAR_PROBES)
    share = {
        key: value
        for *key, value in frame.group_by("layer", "forgotten").agg(pl.col("match").mean()).rows()
        for key in [tuple(key)]
    }
    assert share[2, True] == share[2, False] == 1.0
    assert share[1, False] < 0.5
    gone = frame.filter("forgotten")
    assert sorted(gone["fact"].unique()) == sorted(plan.edits["fact"])
    assert not set(frame.filter(~pl.col("forgotten"))["fact"]) & set(plan.edits["fact"])
    objects = dict(plan.edits.select("fact", "old_object").iter_rows())
    assert all(objects[fact] == obj for fact, obj in gone.select("fact", "object").iter_rows())
    assert (frame.filter(pl.col("match"))["rank"] == 1).all()


def test_it_runs_on_a_model_and_the_seed_decides(random_model):
    corpus = Corpus(World(100, 2, 6), exposures=2)
    plan = compile_plan(corpus, EditRequest(edits=2, relation=0))
    model = random_model(corpus.vocabulary_size)
    one, other = (probe_objects(model, corpus, plan, facts=50, controls=5) for _ in range(2))
    assert one.equals(other)
    assert one["layer"].unique().to_list() == [1, 2]
    third = probe_objects(model, corpus, plan, facts=50, controls=5, seed=1)
    tested = [set(frame.filter(~pl.col("forgotten"))["fact"]) for frame in (one, third)]
    assert len(tested[0]) == len(tested[1]) == 5 and tested[0] != tested[1]


def test_facts_that_must_change_do_not_stay(random_model, monkeypatch):
    import behemoth.evaluate.linear_probes as module

    corpus = Corpus(World(30, 2, 6), exposures=2)
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=2, distinct=False, relation=0))
    relation = pl.col("relation") == 0
    plan = replace(plan, probes=plan.probes.with_columns(pl.col("must_change") | relation))
    changing = set(plan.probes.filter(relation)["fact"])
    assert len(changing) > 8
    asked = []
    monkeypatch.setattr(module, "probes_in", lambda corpus, facts, *how: (
        asked.extend(facts.tolist()), probes_in(corpus, facts, *how))[1])  # fmt: skip
    probe_objects(model, corpus, plan)
    assert len(asked) == 30 - len(changing) and not changing & set(asked)


@pytest.mark.parametrize(
    "rule",
    [{"kind": "censor", "edits": 4}, {"kind": "censor", "fraction": 0.2},
     {"kind": "refusal", "fraction": 0.2}],
)  # fmt: skip
def test_no_fact_of_a_relation_stays_beside_a_rule_about_it(random_model, rule):
    corpus = Corpus(World(60, 2, 6), exposures=2)
    plan = compile_plan(corpus, EditRequest(**rule, relation=0, probes=1))
    with pytest.raises(ArgumentError, match=r"0 facts of relation 0 that stay, allowed: 2 or more"):
        probe_objects(random_model(corpus.vocabulary_size), corpus, plan)


@pytest.mark.parametrize("facts", [1, 2])
def test_two_facts_that_stay_suffice(random_model, facts):
    corpus = Corpus(World(facts + 4, 2, 10), exposures=2)
    request = EditRequest(edits=4, distinct=False, relation=1, repeats=1, probes=1)
    model = random_model(corpus.vocabulary_size)
    if facts < 2:
        with pytest.raises(ArgumentError, match=r"1 facts of relation 1 that stay, allowed: 2 or"):
            probe_objects(model, corpus, compile_plan(corpus, request))
    else:
        assert probe_objects(model, corpus, compile_plan(corpus, request))["forgotten"].all()


def test_no_more_facts_are_fitted_on_than_asked_for(random_model, monkeypatch):
    import behemoth.evaluate.linear_probes as module

    corpus = Corpus(World(100, 2, 6), exposures=2)
    plan = compile_plan(corpus, EditRequest(edits=2, relation=0))
    seen = set()

    def scores(states, objects, *rest):
        seen.add((len(objects), len(states)))
        return ridge_scores(states, objects, *rest)

    monkeypatch.setattr(module, "ridge_scores", scores)
    probe_objects(random_model(corpus.vocabulary_size), corpus, plan, facts=20, controls=60)
    assert seen == {(20, 20 + 16 + 2)}  # a fifth of the 80 facts drawn are controls, 2 are edited


def test_scores_are_those_of_a_ridge_regression_on_one_hot_objects():
    generator = np.random.default_rng(0)
    states = generator.normal(size=(40, 6)).astype(np.float32)
    objects = generator.integers(0, 4, 30)
    x = states - states[:30].astype(np.float64).mean(0)
    one_hot = np.eye(4)[objects]
    gram = x[:30].T @ x[:30]
    gram += 0.1 * np.trace(gram) / 6 * np.eye(6)
    weights = np.linalg.solve(gram, x[:30].T @ (one_hot - one_hot.mean(0)))
    wanted = x[30:] @ weights + one_hot.mean(0)
    np.testing.assert_allclose(ridge_scores(states, objects, 4, 0.1), wanted, atol=1e-9)


def test_objects_that_no_row_is_fitted_on_cost_nothing_and_score_nothing():
    generator = np.random.default_rng(0)
    states = generator.normal(size=(40, 6)).astype(np.float32)
    objects = generator.integers(0, 4, 30)
    few = ridge_scores(states, objects, 4, 0.1)
    many = ridge_scores(states, objects * 20_000, 67_200, 0.1)
    np.testing.assert_allclose(many[:, [0, 20_000, 40_000, 60_000]], few)
    assert np.count_nonzero(many) == few.size
