"""Recall during training: what is asked, and what is left out before it is asked."""

import polars as pl
import pytest

from behemoth import Corpus, Grammar, Questions
from behemoth.model.build import build_model
from behemoth.model.sizes import find_size
from behemoth.recall.facts import recall
from behemoth.train.probing import probed_facts, recall_by_exposures


def test_what_is_not_counted_is_not_asked(monkeypatch):
    grammar = Grammar.named("bios-en")
    text = Corpus(
        grammar.world(40, seed=1), exposures=4, questions=Questions(0.5, 0.2), grammar=grammar
    )
    model = build_model(find_size("pico"), text.vocabulary_size, seed=3)
    facts = probed_facts(text, 60)
    every = recall(model, text, facts=facts, held_out=False)
    wanted = every.filter(pl.col("seen").fill_null(True))
    assert 0 < wanted.height < every.height
    asked = []

    def counted(model, prompts, *words, **settings):
        from behemoth.recall.generation import decode

        asked.append(len(prompts))
        return decode(model, prompts, *words, **settings)

    monkeypatch.setattr("behemoth.recall.facts.decode", counted)
    found = recall_by_exposures(model, text, facts)
    assert asked == [wanted.height]
    assert found["n"].sum() == wanted.height
    assert found["recall"][0] == wanted["exact_match"].mean()
    mean = wanted["log_probability"].mean()
    assert found["log_probability"][0] == pytest.approx(mean, rel=1e-6)
