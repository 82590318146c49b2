"""Facts of every grammar, asked in the wordings of a plan."""

import numpy as np
import polars as pl
import pytest

from behemoth import Corpus, Grammar, Questions
from behemoth.corpus.grammar import GRAMMARS
from behemoth.evaluate.linear_probes import probe_objects
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.plan.structure import Structure
from behemoth.plan.unwritten import unwritten_pairs
from behemoth.study.schemas import RECALL
from behemoth.study.trial import laboratory


@pytest.fixture(scope="module", params=GRAMMARS)
def corpus(request):
    grammar = Grammar.named(request.param)
    asks = Questions(0.5, 0.1)
    world = grammar.world(60, seed=1)
    return Corpus(world, exposures="groups:0,4", order="bios", questions=asks, grammar=grammar)


@pytest.fixture(scope="module")
def plans(corpus):
    """One plan for each relation that can be edited."""
    requests = [
        EditRequest(edits=6, relation=relation, distinct=False, repeats=1, probes=1)
        for relation in Structure(corpus.world).targets(EditRequest(edits=6))
    ]
    return [compile_plan(corpus, request) for request in requests]


def test_a_plan_trains_the_first_probe_of_the_relation(corpus, plans):
    statements = corpus.probes(templates=["statement"]).filter(~pl.col("held_out"))
    first = dict(statements.group_by("relation").agg(pl.col("wording").min()).iter_rows())
    for plan in plans:
        trained = plan.training.filter(role="edit")
        assert set(trained["template"]) == {"statement"}
        [relation] = plan.edits["relation"].unique()
        assert set(trained["wording"]) == {first[relation]}


def test_unwritten_facts_are_as_many_as_members_and_asked_alike(corpus, plans):
    for plan in plans:
        pairs = unwritten_pairs(corpus, plan)
        members, others = pairs.filter("member"), pairs.filter(~pl.col("member"))
        assert members.height == others.height > 0
        assert (corpus.exposures(others["fact"].to_numpy()) == 0).all()
        relations = [
            set(corpus.world.facts_of(rows["fact"].to_numpy())["relation"])
            for rows in (members, others)
        ]
        assert relations[0] == relations[1] == set(plan.edits["relation"])


def test_linear_probes_are_fitted_and_controlled_on_facts_that_stay(corpus, plans, monkeypatch):
    asked = []

    def stream(model, prompts, **options):
        asked.append(len(prompts))
        return np.random.default_rng(0).normal(size=(len(prompts), 1, 4)).astype(np.float32)

    monkeypatch.setattr("behemoth.evaluate.linear_probes.residual_stream", stream)
    for plan in plans:
        asked.clear()
        frame = probe_objects(None, corpus, plan, facts=15, controls=3)
        forget = plan.probes.filter((pl.col("group") == "forget") & ~pl.col("held_out"))
        groups = forget.select("template", "wording").unique().height
        gone, stay = frame.filter("forgotten"), frame.filter(~pl.col("forgotten"))
        assert sorted(gone["fact"]) == sorted(forget["fact"])
        assert stay.height == 3 * groups and not set(stay["fact"]) & set(plan.edits["fact"])
        assert sum(asked) == 18 * groups + forget.height


def test_the_recall_of_a_model_in_a_study_has_a_row_for_each_fact(corpus, monkeypatch):
    def recall(model, corpus, *, facts, templates, batch_size):
        said = {"exact_match": pl.lit(True), "valid_object": pl.lit(True), "rank": pl.lit(1)}
        probes = corpus.probes(facts, templates)
        return probes.with_columns(log_probability=pl.lit(0.0), **said)

    monkeypatch.setattr(laboratory, "recall", recall)
    frame = laboratory._recall(None, corpus, 8)
    assert frame.columns == list(RECALL)
    assert sorted(frame["fact"]) == list(range(corpus.world.num_facts))
