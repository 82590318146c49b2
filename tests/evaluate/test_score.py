import math

import pytest

from behemoth import ArgumentError
from behemoth.evaluate.suites.score import Reading, harmonic_mean, legs_of, score_of


def test_a_score_is_the_harmonic_mean_of_its_legs():
    found = {"efficacy": Reading(0.5), "paraphrase": Reading(1.0), "neighbourhood": Reading(0.25)}
    assert score_of("editing", found) == pytest.approx(3 / (2 + 1 + 4))
    assert score_of("editing", {**found, "efficacy": Reading(0.0)}) == 0
    assert harmonic_mean([]) == 0


def test_a_leg_that_a_corpus_cannot_have_is_left_out_and_one_that_is_needed_not():
    found = {"efficacy": Reading(0.5), "neighbourhood": Reading(0.5)}
    assert score_of("editing", found) == 0.5
    assert score_of("editing", {"efficacy": Reading(0.5)}) is None


def test_the_twin_scores_one_and_forgetting_more_than_it_is_no_better():
    twin = {"forget_probability": Reading(0.2, 0.2), "model_utility": Reading(0.6, 0.6),
            "privacy_loss": Reading(0.0)}  # fmt: skip
    assert score_of("unlearning", twin) == 1
    more = legs_of("unlearning", {**twin, "forget_probability": Reading(0.0, 0.2)})
    less = legs_of("unlearning", {**twin, "forget_probability": Reading(0.4, 0.2)})
    assert more["forgetting"] == less["forgetting"] == pytest.approx(0.8)
    assert score_of("unlearning", {**twin, "model_utility": Reading(0.9, 0.6)}) == 1
    assert score_of("unlearning", {**twin, "model_utility": Reading(0.9)}) is None


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_model_that_gives_no_numbers_scores_nothing(broken):
    """min(1.0, nan) is 1.0: such a model was as good as the twin."""
    twin = {"forget_probability": Reading(0.2, 0.2), "model_utility": Reading(0.6, 0.6),
            "privacy_loss": Reading(0.0)}  # fmt: skip
    legs = ("forgetting", "utility", "privacy")
    for leg, measure in zip(legs, twin, strict=True):
        found = {**twin, measure: Reading(broken, twin[measure].twin)}
        assert legs_of("unlearning", found) == {**dict.fromkeys(legs, 1.0), leg: 0.0}
        assert score_of("unlearning", found) == 0
    beside = {**twin, "model_utility": Reading(0.6, broken)}
    assert legs_of("unlearning", beside)["utility"] == 0
    assert score_of("editing", {"efficacy": Reading(broken), "neighbourhood": Reading(0.5)}) == 0


def test_a_mean_of_what_is_no_number_is_0_whatever_its_place():
    assert harmonic_mean([math.nan, 0.0]) == harmonic_mean([0.5, math.nan]) == 0


def test_a_suite_without_a_score_is_refused():
    with pytest.raises(ArgumentError, match="suite': got recall, allowed: editing, unlearning"):
        score_of("recall", {})
