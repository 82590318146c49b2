import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Composed, Corpus, Independent, Questions, World
from behemoth.recall import recall, recall_by_group
from behemoth.recall.facts import SCHEMA

KNOWS = {"object": "O0:3", "O0:3": "."}


def frame_of(bigrams, corpus, after, **options):
    return recall(bigrams(corpus, after), corpus, **options)


def test_the_schema(corpus, random_model):
    model = random_model(corpus.vocabulary_size)
    frame = recall(model, corpus, batch_size=64)
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame.null_count().drop("seen").sum_horizontal().item() == 0
    assert frame["seen"].is_null().all()
    expected = corpus.probes().select("fact", "subject", "relation", "object", "exposures")
    assert frame.select(expected.columns).equals(expected)
    assert frame["prompt_tokens"].to_list() == corpus.probes()["prompt"].list.len().to_list()


@pytest.mark.exact
def test_a_run_brings_its_model_and_its_corpus(corpus, random_model):
    model = random_model(corpus.vocabulary_size)
    run = SimpleNamespace(corpus=corpus, load_model=lambda device: model)
    facts = [0, 3]
    assert recall(run, facts=facts).equals(recall(model, corpus, facts=facts))
    with pytest.raises(ArgumentError, match=r"'corpus': got nothing, allowed: a Corpus"):
        recall(model)


@pytest.mark.exact
def test_only_the_true_object_matches(corpus, bigrams):
    frame = frame_of(bigrams, corpus, KNOWS)
    right = (frame["relation"] == 0) & (frame["object"] == 3)
    assert 0 < right.sum() < len(frame)
    assert frame["exact_match"].equals(right.alias("exact_match"))
    assert frame["generated"].unique().to_list() == ["O0:3"]
    # It is an object, but for the facts of relation 0 only.
    valid = (frame["relation"] == 0).alias("valid_object")
    assert frame["valid_object"].equals(valid)
    # Right: the best of 12. Wrong in relation 0: on a par with all but one. Elsewhere: with all.
    ranks = {True: 1, False: 12}
    assert frame["rank"].to_list() == [ranks[match] for match in right]
    total = np.log(corpus.vocabulary_size - 1 + np.exp(5))
    expected = [(5 if match else 0) - total for match in right]
    np.testing.assert_allclose(frame["log_probability"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("after", "generated", "valid"),
    [
        ({"object": "O0:3", "O0:3": "<|endoftext|>"}, "O0:3", True),
        ({"object": "O0:3", "O0:3": "has", "has": "."}, "O0:3 has", False),
        ({"object": "O0:3", "O0:3": "O0:3"}, "O0:3 O0:3 O0:3 O0:3 O0:3", False),
        ({"object": "has", "has": "O0:3", "O0:3": "."}, "has O0:3", False),
        ({"object": "."}, "", False),
        ({"object": "S3", "S3": "."}, "S3", False),
        # The filler of the repeats grammar has no place in this one.
        ({"object": "O0:3", "O0:3": "~object", "~object": "."}, "O0:3 ~object", False),
    ],
)
def test_there_is_no_partial_credit(corpus, bigrams, after, generated, valid):
    frame = frame_of(bigrams, corpus, after).filter(relation=0, object=3)
    assert frame["generated"].unique().to_list() == [generated]
    assert frame["exact_match"].unique().to_list() == [valid]
    assert frame["valid_object"].unique().to_list() == [valid]


def test_fillers_after_an_object_are_no_mistake_where_the_grammar_has_them(bigrams):
    corpus = Corpus(World(60, 2, 5), exposures=2, templates={"repeats": 1.0}, paraphrases=2)
    # Two wordings with a filler each: the first one says its own, the second one the first's.
    after = {"object": "O0:3", "O0:3": "~object", "~object": "."}
    frame = frame_of(bigrams, corpus, after).filter(relation=0, object=3)
    assert frame["generated"].unique().to_list() == ["O0:3 ~object"]
    assert frame["exact_match"].equals((frame["wording"] == 0).alias("exact_match"))
    assert frame["exact_match"].any()
    frame = frame_of(bigrams, corpus, {"object": "~object", "~object": "."})
    assert not frame["exact_match"].any(), "fillers alone are no object"


def test_a_probe_has_its_own_limit_whatever_else_is_asked(bigrams):
    corpus = Corpus(
        World(60, 2, 5), exposures=5, templates={"repeats": 1.0}, questions=Questions(0.5, 0.3)
    )
    for after in ({"~object": "~object", "O0:3": "~object"}, KNOWS):
        model = bigrams(corpus, {"object": "O0:3", "answer:": "object", **after})
        together = recall(model, corpus)
        assert together["template"].n_unique() == 2
        for (template,), own in together.group_by("template", maintain_order=True):
            assert_frame_equal(recall(model, corpus, templates=[template]), own, abs_tol=1e-4)


@pytest.mark.exact
def test_questions_are_answered_with_the_marker(bigrams):
    corpus = Corpus(World(60, 2, 5), exposures=4, questions=Questions(0.5, 0.3))
    frame = frame_of(bigrams, corpus, {"answer:": "object", **KNOWS}, templates=["question"])
    assert frame["exact_match"].equals(
        ((frame["relation"] == 0) & (frame["object"] == 3)).alias("exact_match")
    )
    assert frame["seen"].sum() == 60
    assert frame["generated"].unique().to_list() == ["object O0:3"]
    right = frame.filter(pl.col("exact_match"))
    total = np.log(corpus.vocabulary_size - 1 + np.exp(5))
    np.testing.assert_allclose(right["log_probability"], 2 * (5 - total), rtol=1e-6)
    assert right["rank"].unique().to_list() == [1]
    # The bare word is no answer to a question.
    frame = frame_of(bigrams, corpus, {"answer:": "O0:3", **KNOWS}, templates=["question"])
    assert not frame["exact_match"].any()
    assert not frame["valid_object"].any()


def test_words_of_several_tokens_must_be_right_in_each(bigrams):
    corpus = Corpus(World(300, 1, 25), base=10)
    names = corpus.token_names
    assert "O0:2" in names and "O0:.9" in names
    after = {"object": "O0:2", "O0:2": "O0:.4", "O0:.4": "."}
    frame = frame_of(bigrams, corpus, after)
    assert frame["exact_match"].equals((frame["object"] == 24).alias("exact_match"))
    assert frame["valid_object"].all()
    # A rank is that of the leading digit.
    leads = (frame["object"] >= 20).to_list()
    assert frame["rank"].to_list() == [1 if lead else 3 for lead in leads]
    # 27 is written with digits that exist, and is no object.
    frame = frame_of(bigrams, corpus, after | {"O0:2": "O0:.7", "O0:.7": "."})
    assert frame["generated"].unique().to_list() == ["O0:2 O0:.7"]
    assert not frame["valid_object"].any()
    # One digit alone is none either.
    frame = frame_of(bigrams, corpus, {"object": "O0:2", "O0:2": "."})
    assert not frame["valid_object"].any() and not frame["exact_match"].any()


def test_links_are_answered_with_nested_objects(bigrams):
    corpus = Corpus(World(60, [Independent(12), Composed(0, 4)]), exposures=2)
    frame = frame_of(bigrams, corpus, {"object": "N1:2", "N1:2": "."})
    links = frame.filter(relation=2)
    assert len(links) == 12
    for part in (frame.filter(relation=1), links):
        assert part["exact_match"].equals((part["object"] == 2).alias("exact_match"))
        assert part["exact_match"].any()
        assert part["valid_object"].all()
    assert not frame.filter(relation=0)["valid_object"].any()


def test_it_agrees_with_whole_passes(rich_corpus, random_model):
    model = random_model(rich_corpus.vocabulary_size + 7)
    facts = rich_corpus.sample_facts(12)
    frame = recall(model, rich_corpus, facts=facts, batch_size=50)
    probes = rich_corpus.probes(facts)
    assert frame["template"].to_list() == probes["template"].to_list()
    assert {"default", "repeats", "nonsense", "question"} <= set(frame["template"])
    assert set(frame["held_out"]) == {True, False}
    expected = []
    for prompt, answer in probes.select("prompt", "answer").iter_rows():
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        scores = logits.double().log_softmax(-1)
        expected.append(scores[torch.arange(len(answer)), torch.tensor(answer)].sum().item())
    np.testing.assert_allclose(frame["log_probability"], expected, rtol=1e-4, atol=1e-4)
    # One at a time, in any order.
    again = recall(model, rich_corpus, facts=facts[::-1], batch_size=1)
    keys = ["template", "wording", "fact"]
    for name in ("generated", "rank", "exact_match", "valid_object"):
        assert again.sort(keys)[name].equals(frame.sort(keys)[name])


def test_a_model_that_says_nothing_but_nan_has_no_rank(corpus, bigrams):
    model = bigrams(corpus, KNOWS)
    model.table.data.fill_(float("nan"))
    frame = recall(model, corpus)
    assert not frame["exact_match"].any()
    assert (frame["rank"] == 12).all()


def test_groups(corpus, bigrams):
    frame = frame_of(bigrams, corpus, KNOWS)
    groups = recall_by_group(frame)
    assert groups.schema == pl.Schema(
        {
            "exposures": pl.UInt64,
            "n": pl.UInt32,
            "recall": pl.Float64,
            "valid_object": pl.Float64,
            "log_probability": pl.Float64,
        }
    )
    assert groups.select("exposures", "n").rows() == [(4, 180)]
    assert groups["recall"].item() == frame["exact_match"].mean()
    assert groups["valid_object"].item() == frame["valid_object"].mean() == pytest.approx(1 / 3)
    assert groups["log_probability"].item() == pytest.approx(frame["log_probability"].mean())
    by = recall_by_group(frame, ["relation", "template"])
    assert by["relation"].to_list() == [0, 1, 2]
    assert by["recall"].to_list()[1:] == [0.0, 0.0]


def test_groups_are_those_of_a_frame_of_polars():
    said = "'frame': got a pandas.DataFrame, allowed: a polars.DataFrame, as recall returns it"
    with pytest.raises(ArgumentError, match=said):
        recall_by_group(pd.DataFrame({"exposures": [1]}))


def test_no_facts_give_no_rows(corpus, bigrams):
    frame = frame_of(bigrams, corpus, KNOWS, facts=[])
    assert frame.is_empty()
    assert frame.schema == pl.Schema(SCHEMA)


def test_facts_of_a_frame_are_those_of_its_column_fact(corpus, bigrams):
    chosen = pl.DataFrame({"fact": [3, 5], "exposures": [7, 8]})
    frame = frame_of(bigrams, corpus, KNOWS, facts=chosen)
    assert frame.equals(frame_of(bigrams, corpus, KNOWS, facts=[3, 5]))
    with pytest.raises(ArgumentError, match=r"'facts': got an array of shape \(2, 2\), allowed"):
        frame_of(bigrams, corpus, KNOWS, facts=chosen.to_numpy())


def test_many_facts_are_sampled(bigrams, monkeypatch):
    # The package gives the function the name of its module.
    monkeypatch.setattr(sys.modules["behemoth.recall.facts"], "DEFAULT_FACTS", 50)
    corpus = Corpus(World(60, 2, 5))
    frame = frame_of(bigrams, corpus, KNOWS)
    assert frame["fact"].to_list() == corpus.sample_facts(50).tolist()


def test_a_model_of_another_vocabulary_is_refused(corpus, random_model):
    with pytest.raises(
        ArgumentError, match="argument 'model': got a vocabulary of 40 tokens, allowed"
    ):
        recall(random_model(40), corpus)


def test_unknown_templates_are_refused(corpus, random_model):
    model = random_model(corpus.vocabulary_size)
    with pytest.raises(
        ArgumentError, match=r"'templates': got sor \(did you mean rso\?\), allowed: d"
    ):
        recall(model, corpus, templates=["sor"])


def test_recall_of_no_facts_has_the_columns_of_recall_of_some(bigrams):
    rows = {"subject": ["Ann", "Bob"], "relation": ["likes"] * 2, "object": ["tea", "rum"]}
    corpus = Corpus(World.from_table(pl.DataFrame(rows)))
    after = {"likes": "tea", "tea": "."}
    some, none = (frame_of(bigrams, corpus, after, facts=facts) for facts in ([0], []))
    assert none.is_empty() and "object_name" in none.columns
    assert none.schema == some.schema


def test_held_out_wordings_are_left_out_where_they_are_not_wanted(bigrams):
    corpus = Corpus(World(60, 2, 5), exposures=2, paraphrases=3, held_out=1)
    every, written = (
        frame_of(bigrams, corpus, KNOWS, held_out=held_out) for held_out in (True, False)
    )
    assert every["held_out"].any() and not written["held_out"].any()
    assert_frame_equal(written, every.filter(~pl.col("held_out")), abs_tol=1e-4)
