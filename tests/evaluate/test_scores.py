"""Scores of the old answers alone, beside complete scores."""

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import Corpus, Grammar, World
from behemoth.corpus.tokens import PERIOD
from behemoth.edit.batch import rows_of
from behemoth.evaluate import scores
from behemoth.evaluate.prompted import Prompted
from behemoth.evaluate.relearning import summed_loss
from behemoth.evaluate.scores import memorised, score, score_old
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

GRAMMAR = Grammar.named("bios-en")
WORLDS = {
    "templates": lambda: Corpus(World(60, 2, 8), exposures=2),
    "repeats": lambda: Corpus(World(60, 2, 8), exposures=2, templates={"repeats": 1.0}),
    "text": lambda: Corpus(GRAMMAR.world(60), order="bios", grammar=GRAMMAR, exposures=2),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", ["remap", "refusal"])
def test_old_answers_alone_score_as_among_the_others(world, kind, random_model, monkeypatch):
    corpus = WORLDS[world]()
    plan = compile_plan(corpus, EditRequest(edits=12, kind=kind, distinct=False))
    probes = plan.probes.filter(group="forget")
    model = random_model(corpus.vocabulary_size)
    # With the period, after which a generation ends.
    said = pl.col("old_answer").list.concat(pl.lit([PERIOD], pl.List(pl.UInt32)))
    taught = probes.head(4).with_columns(said, pl.lit(1).alias("weight"))
    rows = rows_of(taught, "old_answer")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        summed_loss(model, rows.tokens, rows.labels).backward()
        optimiser.step()
    every = score(model, Prompted.of(corpus, probes, [[] for _ in range(len(probes))]))
    passes = []
    one_pass = scores._pass

    def counted(*given, **named):
        passes.append(given)
        return one_pass(*given, **named)

    monkeypatch.setattr(scores, "_pass", counted)
    match, log_probability = score_old(model, Prompted.of_old(corpus, probes), batch_size=5)
    assert len(passes) == -(-len(probes) // 5)
    assert 0 < match.sum() < len(match)
    assert np.array_equal(match, every.match["old"])
    np.testing.assert_allclose(log_probability, every.log_probability["old"], rtol=1e-5)
    share, wanted = memorised(model, Prompted.of_old(corpus, probes), batch_size=5), []
    for prompt, answer in probes.select("prompt", "old_answer").iter_rows():
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        said = logits[len(prompt) - 1 : -1].argmax(1).tolist()
        wanted.append(np.mean([own == right for own, right in zip(said, answer, strict=True)]))
    assert share.tolist() == wanted and 0 < share.mean() < 1
    assert (share >= every.extraction).all(), "a wrong token loses it all before, there"


def test_continuations_stop_where_none_can_be_the_answer_any_more(random_model, monkeypatch):
    corpus = WORLDS["text"]()
    probes = compile_plan(corpus, EditRequest(edits=12, distinct=False)).probes.filter(
        group="forget"
    )
    model, calls = random_model(corpus.vocabulary_size), []
    forward = model.forward

    def counted(*given, **named):
        calls.append(named["input_ids"].shape)
        return forward(*given, **named)

    monkeypatch.setattr(model, "forward", counted)
    match, _ = score_old(model, Prompted.of_old(corpus, probes))
    assert not match.any() and len(calls) == 1  # the first tokens differ from all answers
