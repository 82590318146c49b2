import json

import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, Grammar, World
from behemoth.corpus import train_tokenizer
from behemoth.corpus.tokens import PERIOD
from behemoth.evaluate import evaluate_model
from behemoth.evaluate.hints import HINTED, ask_with_hints, hinted
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(60, 3, 8, seed=2), exposures=2)
    return corpus, compile_plan(corpus, EditRequest(edits=5))


def test_a_hint_is_a_written_sentence_of_another_fact_of_the_subject(asked):
    corpus, plan = asked
    found = hinted(corpus, plan)
    plain = plan.probes.filter(group="forget")
    assert found["fact"].to_list() == plain["fact"].to_list()
    forgotten = set(plain["fact"])
    for row, bare in zip(found.iter_rows(named=True), plain.iter_rows(named=True), strict=True):
        assert row["hint"] not in forgotten and row["hint"] // 3 == row["subject"]
        own = corpus.ledger([row["hint"]]).filter(template="default")["document"][0]
        sentence = corpus.tokens(own, own + 1)[:-1].tolist()  # without the document's end
        assert sentence[-1] == PERIOD
        assert row["prompt"] == sentence + bare["prompt"]
        assert row["old_answer"] == bare["old_answer"]


@pytest.mark.parametrize("letters", ["words", "pieces"])
@pytest.mark.parametrize("between", [" ", "\n"])
def test_in_text_the_hint_is_a_sentence_as_within_a_document(letters, between, tmp_path):
    grammar = Grammar.named("bios-en")
    if between != " ":
        written = grammar.source.replace('separator = " "', f"separator = {json.dumps(between)}", 1)
        assert written != grammar.source
        (tmp_path / "g.toml").write_text(written)
        grammar = Grammar.named(tmp_path / "g.toml")
    tokenizer = None
    if letters == "pieces":
        tokenizer = tmp_path / "bpe"
        train_tokenizer(grammar, tokenizer, vocabulary=400, documents=200)
    corpus = Corpus(grammar.world(40, seed=3), exposures=4, grammar=grammar, tokenizer=tokenizer)
    plan = compile_plan(corpus, EditRequest(edits=5))
    found = hinted(corpus, plan)
    plain = plan.probes.filter(group="forget", link=False)
    assert found["fact"].to_list() == plain["fact"].to_list()
    for row, bare in zip(found.iter_rows(named=True), plain.iter_rows(named=True), strict=True):
        prompt = corpus.decode(bare["prompt"])
        text = corpus.decode(row["prompt"])
        assert text.endswith(prompt)
        said = [
            corpus.decode([*each["prompt"], *each["answer"], *each["rest"]])
            for each in corpus.probes([row["hint"]]).iter_rows(named=True)
        ]
        assert text.removesuffix(between + prompt) in said
        assert row["prompt"] == corpus.encode(text).tolist()  # as a document is cut
        assert row["old_answer"] == bare["old_answer"]


def test_hints_in_text_may_all_be_of_one_length(random_model):
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40, seed=3), exposures=4, grammar=grammar)
    plan = compile_plan(corpus, EditRequest(edits=1))
    forget = plan.probes.filter(group="forget").head(1)
    probes = pl.concat([forget, plan.probes.filter(pl.col("group") != "forget")])
    one = EditPlan(plan.request, plan.spec_hash, plan.edits, plan.training, probes)
    frame = ask_with_hints(random_model(corpus.vocabulary_size), corpus, one)
    assert frame.schema == pl.Schema(HINTED) and frame.height == 1


def test_the_answer_is_asked_for_behind_the_hint(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    frame = ask_with_hints(model, corpus, plan)
    assert frame.schema == pl.Schema(HINTED)
    for row, probe in zip(
        frame.iter_rows(named=True), hinted(corpus, plan).iter_rows(named=True), strict=True
    ):
        tokens = torch.tensor([probe["prompt"]])
        with torch.no_grad():
            logs = model(input_ids=tokens).logits[0, -1].double().log_softmax(-1)
        assert len(probe["old_answer"]) == 1
        assert row["log_probability_old"] == pytest.approx(float(logs[probe["old_answer"][0]]))
    bare = evaluate_model(model, corpus, plan, {}).filter(group="forget")
    assert frame["log_probability_old"].to_list() != bare["log_probability_old"].to_list()


def test_without_another_fact_there_is_no_hint(asked):
    corpus, plan = asked
    probes = plan.probes.filter(pl.col("group") != "same_subject")
    alone = EditPlan(plan.request, plan.spec_hash, plan.edits, plan.training, probes)
    with pytest.raises(ArgumentError, match="'plan': got no fact to forget with another"):
        hinted(corpus, alone)
    # A fact that is itself to be forgotten is no hint.
    subject = plan.probes.filter(group="forget")["subject"][0]
    every = plan.probes.with_columns(
        group=pl.when((pl.col("group") == "same_subject") & (pl.col("subject") == subject))
        .then(pl.lit("forget")).otherwise("group")
    )  # fmt: skip
    some = hinted(corpus, EditPlan(plan.request, plan.spec_hash, plan.edits, plan.training, every))
    assert subject not in some["subject"].to_list() and some.height
    # Nor where it is asked as both: the next fact of its subject is.
    first = plan.probes.filter(group="same_subject", subject=subject).head(1)
    twice = pl.concat([plan.probes, first.with_columns(group=pl.lit("forget"))])
    found = hinted(corpus, EditPlan(plan.request, plan.spec_hash, plan.edits, plan.training, twice))
    usual = hinted(corpus, plan).filter(subject=subject)["hint"].unique().to_list()
    assert usual == first["fact"].to_list()
    assert not set(found.filter(subject=subject)["hint"]) & set(usual)
