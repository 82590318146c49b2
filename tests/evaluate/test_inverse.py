"""The inverse of edited facts: questions that the corpus writes, and who answers them."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, World
from behemoth.evaluate.inverse import INVERSE, ask_inverse, inverse_questions
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

BOTH = {"default": 0.5, "osr": 0.5}
UNIQUE = {"kind": "one_to_one"}


def corpus_of(relations, subjects=40, **settings):
    settings = {"exposures": 8, "templates": BOTH, **settings}
    return Corpus(World(subjects=subjects, relations=relations, seed=3), **settings)


def plan_of(corpus, **settings):
    return compile_plan(corpus, EditRequest(edits=4, probes=1, **settings))


class Echo(torch.nn.Module):
    """A model that continues each prompt that it was told with its answer, else with token 0.

    In training mode it says nothing that it was told, as dropout might make it.
    """

    device = torch.device("cpu")

    def __init__(self, vocabulary, told):
        super().__init__()
        self.vocabulary, self.told = vocabulary, told

    def forward(self, input_ids, use_cache, logits_to_keep):
        logits = torch.zeros(*input_ids.shape, self.vocabulary)
        for row, tokens in enumerate(input_ids.tolist()):
            for prompt, answer in () if self.training else self.told.items():
                if tuple(tokens[: len(prompt)]) == prompt:
                    for place, token in enumerate(answer):
                        at = len(prompt) - 1 + place
                        if at < len(tokens):
                            logits[row, at, token] = 1.0
        return SimpleNamespace(logits=logits[:, -logits_to_keep:])


def delta_that_tells(model, told, failure=None):
    @contextmanager
    def apply(_):
        before, model.told = model.told, {**model.told, **told}
        yield
        model.told = before

    return SimpleNamespace(apply=apply, failure=failure)


@pytest.mark.parametrize("subjects", [40, 1200])  # words of one token, and of two
@pytest.mark.parametrize("order", ["shuffle", "bios"])
def test_a_question_is_a_sentence_of_the_edited_world_up_to_its_subject(subjects, order):
    corpus = corpus_of([UNIQUE, UNIQUE], subjects, order=order, paraphrases=2)
    plan = plan_of(corpus)
    found = inverse_questions(corpus, plan)
    assert found.schema == pl.Schema(INVERSE) and found["form"].unique().to_list() == ["sentence"]
    assert sorted(found["edit"]) == plan.edits["edit"].to_list()
    edited = corpus.override(
        dict(plan.edits.select("fact", "new_object").iter_rows()), follow=False
    )
    sentences = {
        (row["fact"], row["wording"]): row
        for row in edited.ledger(plan.edits["fact"].to_numpy()).filter(template="osr").to_dicts()
    }
    seen = 0
    for row in found.to_dicts():
        edit = plan.edits.filter(edit=row["edit"]).row(0, named=True)
        assert row["subject"] == edit["subject"]
        place = sentences.get((edit["fact"], 0))
        if place is None:
            continue
        tokens = edited.tokens(place["document"], place["document"] + 1).tolist()
        said = row["prompt"] + row["answer"]
        assert tokens[place["offset"] :][: len(said)] == said
        seen += 1
    assert seen


def test_the_old_answer_is_the_subject_that_had_the_object():
    corpus = corpus_of([UNIQUE])
    plan = plan_of(corpus)
    found = inverse_questions(corpus, plan)
    first = next(part for part in corpus.vocabulary["ranges"] if part["kind"] == "subject")["first"]
    objects = corpus.world.objects(np.arange(40), 0)
    assert set(found["edit"]) == set(plan.edits["edit"])
    for row in found.to_dicts():
        new = plan.edits.filter(edit=row["edit"])["new_object"][0]
        assert row["old_answer"] == [first + int(np.flatnonzero(objects == new)[0])]
        assert row["answer"] == [first + row["subject"]]


def test_a_relation_that_is_the_inverse_is_asked_as_a_fact():
    corpus = corpus_of([UNIQUE, {"kind": "inverse", "of": 0}], templates={"default": 1.0})
    plan = plan_of(corpus, relation=0)
    found = inverse_questions(corpus, plan)
    assert found["form"].unique().to_list() == ["relation"]
    facts = corpus.world.fact_ids(plan.edits["new_object"].to_numpy(), 1)
    probes = corpus.probes(facts, templates=["default"]).filter(wording=0)
    assert found["prompt"].to_list() == probes["prompt"].to_list()
    assert found["old_answer"].to_list() == probes["answer"].to_list()


def test_who_names_the_subject_has_answered():
    corpus = corpus_of([UNIQUE])
    plan = plan_of(corpus)
    asked = inverse_questions(corpus, plan)
    prompts = [tuple(prompt) for prompt in asked["prompt"].to_list()]
    old = dict(zip(prompts[:3], asked["old_answer"].to_list(), strict=False))
    new = dict(zip(prompts[:2], asked["answer"].to_list(), strict=False))
    model = Echo(corpus.vocabulary_size, old)
    whole = ask_inverse(model, corpus, plan, {None: delta_that_tells(model, new)})
    assert whole["known"].to_list() == [True, True, True, False]
    assert whole["exact_match"].to_list() == [True, True, False, False]
    assert model.told == old
    # Single edits: each is asked of its own model.
    numbers = asked["edit"].to_list()
    single = {number: delta_that_tells(model, {}) for number in numbers}
    single[numbers[1]] = delta_that_tells(model, new)
    apart = ask_inverse(model, corpus, plan, single)
    assert apart["exact_match"].to_list() == [False, True, False, False]
    assert not ask_inverse(model, corpus, plan, {})["exact_match"].any()
    single[numbers[1]] = delta_that_tells(model, new, "loss nan at step 3")
    assert not ask_inverse(model, corpus, plan, single)["exact_match"].any()


def test_a_model_that_trains_is_asked_without_dropout_and_trains_on():
    corpus = corpus_of([UNIQUE], 1200)  # words of two tokens
    plan = plan_of(corpus)
    asked = inverse_questions(corpus, plan)
    old = dict(
        zip(map(tuple, asked["prompt"].to_list()), asked["old_answer"].to_list(), strict=True)
    )
    model = Echo(corpus.vocabulary_size, old).train()
    assert ask_inverse(model, corpus, plan, {})["known"].all()
    assert model.training


@pytest.mark.parametrize(
    ("relations", "settings", "request_of"),
    [
        ([UNIQUE], {"templates": {"default": 1.0}}, {}),  # one order
        ([{"kind": "independent", "objects": 5}], {}, {"distinct": False}),  # of several subjects
        ([UNIQUE], {}, {"kind": "refusal", "relation": 0}),  # no new object
    ],
)
def test_without_both_orders_it_says_what_is_missing(relations, settings, request_of):
    corpus = corpus_of(relations, **settings)
    plan = plan_of(corpus, **request_of)
    with pytest.raises(ArgumentError, match="writes these relations in both orders: template osr"):
        inverse_questions(corpus, plan)


def test_a_batch_does_not_ask_for_an_object_of_two_edits():
    corpus = corpus_of([UNIQUE])
    plan = plan_of(corpus, relation=0)
    new = plan.edits["new_object"].to_list()
    shared = plan.edits.with_columns(pl.Series("new_object", [new[0], new[0], *new[2:]], pl.UInt32))
    object.__setattr__(plan, "edits", shared)
    assert len(inverse_questions(corpus, plan)) == 2
    assert len(inverse_questions(corpus, plan, together=False)) == 4
    # The number before is over the questions of the number after: of single edits, or of a batch.
    model = Echo(corpus.vocabulary_size, {})
    run = SimpleNamespace(corpus=corpus, directory=None)
    single = {number: delta_that_tells(model, {}) for number in plan.edits["edit"].to_list()}
    for deltas, count in ((single, 4), ({None: delta_that_tells(model, {})}, 2)):
        measured = MeasuredModel(None, run, plan, deltas, lambda: model, frame=pl.DataFrame())
        assert len(measured.inverse) == len(measured.before.inverse) == count
