import math

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.evaluate.forget_quality import fact_scores, forget_quality

pytest.importorskip("scipy")


def frame_of(right, group="edited_paraphrase", stage="after", facts=None, wrong=0.01):
    facts = range(len(right)) if facts is None else facts
    return pl.DataFrame(
        {
            "stage": stage,
            "group": group,
            "fact": list(facts),
            "log_probability_old": np.log(right),
            "log_probability_wrong": [math.log(wrong)] * len(right),
            "extraction_strength": (np.array(right) > 0.5).astype(float),
        }
    )


def test_scores_are_means_over_wordings():
    frame = frame_of([0.1, 0.02, 0.04], facts=[7, 7, 3])
    assert fact_scores(frame)["fact"].to_list() == [3, 7]
    np.testing.assert_allclose(fact_scores(frame)["value"], [0.25, (0.1 + 0.5) / 2])
    frame = pl.concat([frame, frame_of([1.0], group="forget", facts=[7])])
    assert len(fact_scores(frame)) == 2, "trained wordings count only where there are no others"
    assert fact_scores(frame_of([1.0], group="forget"))["value"].to_list() == pytest.approx([0.01])


def test_the_edited_stage_counts():
    frame = pl.concat([frame_of([0.5], stage="before"), frame_of([0.02])])
    assert fact_scores(frame)["value"].to_list() == pytest.approx([0.5])
    assert fact_scores(frame_of([0.04], stage="before"))["value"].to_list() == pytest.approx([0.25])


def test_a_twin_is_like_itself_and_an_unedited_model_is_not():
    generator = np.random.default_rng(0)
    twin, other = frame_of(generator.uniform(0, 0.1, 100)), frame_of(generator.uniform(0, 0.1, 100))
    known = frame_of(generator.uniform(0.8, 1, 100))
    same = forget_quality(twin, twin)
    assert (same.statistic, same.p_value, same.facts) == (0.0, 1.0, 100)
    assert forget_quality(other, twin).p_value > 0.05  # false alarm 5%
    apart = forget_quality(known, twin)
    assert apart.statistic == 1.0
    assert apart.p_value < 1e-20


def test_only_facts_of_both_are_compared():
    found = forget_quality(frame_of([0.1, 0.2], facts=[1, 2]), frame_of([0.1, 0.2], facts=[2, 3]))
    assert found.facts == 1
    with pytest.raises(ArgumentError, match="argument 'retrained': got no facts"):
        forget_quality(frame_of([0.1], facts=[1]), frame_of([0.1], facts=[2]))
    with pytest.raises(ArgumentError, match="argument 'score': got rouge, allowed: truth_ratio"):
        fact_scores(frame_of([0.1]), "rouge")
