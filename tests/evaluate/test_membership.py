import math

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, Questions, World
from behemoth.evaluate.membership import SCORES, auc, membership, privacy
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(80, 2, 12), exposures=2, questions=Questions(1.0, 0.5))
    return corpus, compile_plan(corpus, EditRequest(edits=5))


@pytest.mark.exact
def test_members_are_what_was_written_and_others_are_not(asked, bigrams):
    corpus, plan = asked
    frame = membership(bigrams(corpus, {}), corpus, plan)
    assert frame.columns == ["fact", "member", *SCORES]
    members = frame.filter("member")
    assert set(members["fact"]) == set(plan.edits["fact"])
    # A model that knows nothing scores both alike.
    for score in SCORES:
        assert auc(frame, score) == 0.5


def test_other_objects_are_neither_old_nor_new(asked):
    from behemoth.evaluate.membership import _counterfactual

    corpus, plan = asked
    probes = plan.probes.filter(pl.col("group") == "forget")
    seen = set()
    for seed in range(30):
        drawn = _counterfactual(corpus, plan, probes, seed)
        seen.add(tuple(map(tuple, drawn)))
        assert list(map(len, drawn)) == probes["old_answer"].list.len().to_list()
        last = np.array([answer[-1] for answer in drawn])
        for column in ("old_answer", "new_answer"):
            assert not (last == probes[column].list.last().to_numpy()).any()
        names = {corpus.token_names[token].partition(":")[0] for token in last}
        assert names <= {"O0", "O1"}
    assert len(seen) > 20, "each seed draws others"


def test_scores_against_whole_passes(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    members = membership(model, corpus, plan, batch_size=3).filter("member")
    rows = plan.probes.filter(pl.col("group") == "forget")
    assert rows.height
    for score, prompt, answer in zip(
        members.iter_rows(named=True), rows["prompt"], rows["old_answer"], strict=True
    ):
        prompt, answer = prompt.to_list(), answer.to_list()
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        logs = logits.double().log_softmax(-1)
        own = logs[torch.arange(len(answer)), torch.tensor(answer)]
        p = logs.exp()
        mean = (p * logs).sum(-1)
        sigma = ((p * (logs - mean[:, None]) ** 2).sum(-1)).sqrt()
        assert score["loss"] == pytest.approx(float(own.mean()), rel=1e-4)
        assert score["min_k"] == pytest.approx(float(own.min()), rel=1e-4)
        assert score["min_k_plus_plus"] == pytest.approx(
            float(((own - mean) / sigma).min()), rel=1e-3
        )


def test_a_larger_share_counts_more_tokens(random_model):
    """Of all tokens the mean of the least likely ones is the loss."""
    corpus = Corpus(World(80, 2, 12), exposures=2, base=10)
    plan = compile_plan(corpus, EditRequest(edits=5))
    model = random_model(corpus.vocabulary_size)
    one, every = (membership(model, corpus, plan, share=share) for share in (0.5, 1.0))
    assert every["min_k"].to_list() == pytest.approx(every["loss"].to_list())
    assert (one["min_k"] <= every["min_k"] + 1e-9).all()
    assert (one["min_k"] < every["min_k"] - 1e-3).any(), "objects of two digits"
    assert (one["min_k_plus_plus"] < every["min_k_plus_plus"] - 1e-3).any()


def test_area_under_the_curve():
    frame = pl.DataFrame({"member": [True, True, False, False], "loss": [3.0, 1.0, 2.0, 1.0]})
    # Pairs: 3 > 2, 3 > 1, 1 < 2, 1 = 1.
    assert auc(frame, "loss") == 2.5 / 4
    assert math.isnan(auc(frame.filter("member"), "loss"))
    # A model that gives no numbers tells nothing: ranked, they would be ties, perfect privacy.
    nan = frame.with_columns(pl.lit(float("nan")).alias("loss"))
    assert math.isnan(auc(nan, "loss")) and math.isnan(auc(pl.concat([frame, nan]), "loss"))
    assert auc(frame.with_columns(pl.col("loss") * -float("inf")), "loss") == 0.5


def test_the_distance_from_the_twin():
    def scored(right):
        member = [True] * 10 + [False] * 10
        values = [1.0] * right + [-1.0] * (10 - right) + [0.0] * 10
        return pl.DataFrame({"member": member, **dict.fromkeys(SCORES, values)})

    found = privacy(scored(9), scored(5))
    assert found["score"].to_list() == list(SCORES)
    row = found.row(0, named=True)
    assert (row["auc"], row["auc_retrained"]) == (0.9, 0.5)
    assert row["distance"] == pytest.approx(0.4)
    assert row["privacy_leak"] == pytest.approx(100 * (0.5 - 0.9) / 0.5)
    assert privacy(scored(9), scored(10))["privacy_leak"].null_count() == 3


def test_errors(bigrams):
    corpus = Corpus(World(60, 1, 2), exposures=1)
    plan = compile_plan(corpus, EditRequest(edits=1))
    with pytest.raises(ArgumentError, match="argument 'plan': got a relation with 2 objects"):
        membership(bigrams(corpus, {}), corpus, plan)
    with pytest.raises(ArgumentError, match="argument 'share': got 0, allowed"):
        membership(bigrams(corpus, {}), corpus, plan, share=0)
