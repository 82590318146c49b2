"""Measures of suites are of the groups, scores and texts that they are named after."""

import math
import re

import numpy as np
import polars as pl
import pytest
import torch

from behemoth.evaluate import SUITES
from behemoth.evaluate.catalogue import catalogue
from behemoth.evaluate.membership import SCORES, unwritten_pairs
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.names import NAMES

STAYING = ("same_subject", "same_relation", "same_object", "unrelated", "retain")
# Groups and column of each mean over rows; of facts that stay, only rows that must not change.
MEANS = {
    ("unlearning", "forget_recall_held_out"): (["edited_held_out"], "old_match"),
    ("unlearning", "forget_recall_paraphrase"): (
        ["edited_held_out", "edited_paraphrase"], "old_match",
    ),
    ("unlearning", "forget_recall_question"): (["edited_question"], "old_match"),
    ("editing", "question_match"): (["edited_question"], "exact_match"),
} | {
    ("unlearning", f"{measure}_{group}"): ([group], column)
    for measure, column in (("retain", "exact_match"), ("retain_probability", "true"))
    for group in STAYING
}  # fmt: skip


def value_of(measured, suite, name):
    [measure] = [own for own in SUITES[suite].measures(measured) if own.name == name]
    return measure.find(measured).value


@pytest.fixture
def measured(edited_run):
    _, twin, plan, edited = edited_run
    return MeasuredModel.open(edited, plan, twin)


@pytest.mark.parametrize("suite", list(SUITES))
def test_the_shell_is_offered_every_measure(suite):
    section = catalogue().partition(f"### `{suite}`")[2].partition("### `")[0]
    names = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert [name.removesuffix("N") for name in names] == list(NAMES[suite])


def test_means_are_of_the_rows_of_their_group(measured):
    """Every row has numbers of its own: no two groups have the same mean, and no two columns."""
    # The plan has no probes of edited_paraphrase: those of half of the edits become such.
    held_out = pl.col("group") == "edited_held_out"
    other = pl.when(held_out & (pl.col("edit") % 2 == 0)).then(pl.lit("edited_paraphrase"))
    frame = measured.frame
    frame = frame.with_columns(other.otherwise("group").alias("group"))
    generator = np.random.default_rng(0)
    drawn = {name: generator.random(frame.height) for name in ("old_match", "exact_match", "true")}
    measured.frame = frame.with_columns(
        pl.Series("old_match", drawn["old_match"]),
        pl.Series("exact_match", drawn["exact_match"]),
        pl.Series("log_probability_true", np.log(drawn["true"])),
    )
    rows = frame.with_columns(pl.Series(name, own) for name, own in drawn.items())
    rows = rows.filter(stage="after")
    wanted = {}
    for named, (groups, column) in MEANS.items():
        own = rows.filter(pl.col("group").is_in(groups))
        if groups[0] in STAYING:
            own = own.filter(must_change=False)
        wanted[named] = own[column].mean()
    assert {named: value_of(measured, *named) for named in MEANS} == pytest.approx(wanted)
    assert len({round(value, 9) for value in wanted.values()}) == len(MEANS)


def test_membership_and_privacy_are_of_the_score_that_they_name(measured, edited_run):
    pairs = unwritten_pairs(measured.run.corpus, edited_run[2]).select("fact", "member")
    generator = np.random.default_rng(0)
    areas = []
    for own in (measured, measured.beside):
        own.membership = pairs.with_columns(
            pl.Series(score, generator.random(pairs.height)) for score in SCORES
        )
        areas.append({score: area(own.membership, score) for score in SCORES})
    model, twin = areas
    distances = {score: abs(model[score] - twin[score]) for score in SCORES}
    for measure, wanted in (("membership", model), ("privacy", distances)):
        found = {score: value_of(measured, "unlearning", f"{measure}_{score}") for score in SCORES}
        assert found == pytest.approx(wanted), measure
    for each in (model, distances):
        assert len(set(each.values())) == len(SCORES)


def area(frame, score):
    """Share of the pairs of a member and another in which the member's score is larger."""
    members, others = (frame.filter(member=own)[score].to_numpy() for own in (True, False))
    return (members[:, None] > others).mean()


def test_text_is_that_of_the_corpus_or_of_its_filler(measured):
    corpus = measured.run.corpus
    most = min(256, corpus.num_documents)
    texts = {
        "corpus": [corpus.tokens(number, number + 1) for number in range(most)],
        "filler": list(corpus.filler_documents(0, 256)),
    }
    sums = {}
    for text, documents in texts.items():
        loss = divergence = count = 0.0
        for document in documents:
            ids = torch.from_numpy(document[:64].astype(np.int64))[None]
            with torch.no_grad():
                before = measured.model(ids).logits[0, :-1].double().log_softmax(-1)
                with measured.edited() as model:
                    after = model(ids).logits[0, :-1].double().log_softmax(-1)
            loss -= after.gather(1, ids[0, 1:, None]).sum().item()
            divergence += (before.exp() * (before - after)).sum().item()
            count += len(after)
        sums[text] = math.exp(loss / count), divergence / count
    for text, (perplexity, divergence) in sums.items():
        found = value_of(measured, "unlearning", f"perplexity_{text}")
        assert found == pytest.approx(perplexity, rel=1e-4), text
        found = value_of(measured, "editing", f"kl_{text}")
        assert found == pytest.approx(divergence, rel=1e-3), text
    for one, other in zip(*sums.values(), strict=True):
        assert one != pytest.approx(other, rel=0.01)
