"""Suite unlearning: what single measures are, on benches made by hand."""

import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from behemoth.evaluate.suites import unlearning
from behemoth.evaluate.suites.suite import MissingError


def test_parameters_of_an_edit_without_weights_are_not_compared_with_the_twin():
    delta = SimpleNamespace(of_modules={"gpt_neox": object()}, of_parameters={})
    with pytest.raises(MissingError, match="an edit that changes weights"):
        unlearning._parameters(SimpleNamespace(delta=delta))


def test_the_interval_of_a_distance_from_the_twin_excludes_0_where_all_of_it_lies_beyond():
    random = np.random.default_rng(0)

    def scores(shift):
        facts = np.arange(80)
        values = random.normal(size=80) + shift * (facts < 40)
        losses = dict.fromkeys(("loss", "min_k", "min_k_plus_plus"), values)
        return pl.DataFrame({"fact": facts, "member": facts < 40, **losses})

    def found(model, twin):
        return unlearning._privacy(
            SimpleNamespace(
                membership=model, beside=SimpleNamespace(membership=twin),
                subjects_of=lambda facts: np.arange(len(facts)),
            ),
            "loss",
        )  # fmt: skip

    one, other = scores(2.0), scores(0.0)
    far, back = found(one, other), found(other, one)
    assert 0.1 < far.low < far.value < far.high < 1
    assert (back.low, back.value, back.high) == pytest.approx((far.low, far.value, far.high))
    near = found(other, scores(0.0))
    assert near.low == 0.0 and near.value < near.high


def test_an_attack_that_knows_the_twin_looks_for_what_only_the_model_finds_likely():
    """By themselves the losses of members and others are alike; held to the twin's they are not."""

    def scores(members, others):
        return pl.DataFrame({"fact": [0, 1, 2, 3], "member": [True, True, False, False],
                             "loss": [*members, *others]})  # fmt: skip

    measured = SimpleNamespace(
        membership=scores((-1.0, -3.0), (-1.0, -3.0)),
        beside=SimpleNamespace(membership=scores((-4.0, -5.0), (-1.5, -2.5))),
        subjects_of=lambda facts: np.arange(len(facts)),
    )
    assert unlearning._auc(measured, measured.membership, "loss").value == 0.5
    assert unlearning._reference(measured).value == 1.0


def test_facts_that_are_taught_again_have_not_come_back_by_themselves(monkeypatch):
    """Those that are taught are said after a step, half of the others after 3."""
    back = [1, 1, 1, 1, 3, 3, 9, 9]
    rows = [
        {"step": step, "fact": fact, "taught": fact < 4, "old_match": step >= first}
        for step in range(8)
        for fact, first in enumerate(back)
    ]
    monkeypatch.setattr(unlearning, "relearn", lambda *_, **__: pl.DataFrame(rows))
    run = SimpleNamespace(corpus=None)
    measured = SimpleNamespace(
        model=None, run=run, plan=None, change=None, rows_of=lambda rows: rows
    )
    found = unlearning._relearning(measured)
    assert (found.value, found.count) == (3.0, 4)
    monkeypatch.setattr(unlearning, "relearn", lambda *_, **__: pl.DataFrame(rows[:16]))
    assert unlearning._relearning(measured).value == math.inf
