import math

import pytest

from behemoth import ArgumentError
from behemoth.evaluate.suites.score import (
    OBJECTIVES,
    Reading,
    harmonic_mean,
    legs_of,
    score_of,
)


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


def test_with_locality_what_bystanders_lose_counts():
    """Fine-tuning that lost 0.87 of all other facts came first by the score without it."""
    found = {"efficacy": Reading(1.0), "neighbourhood": Reading(1.0), "damage_unrelated":
             Reading(0.9), "damage_same_object": Reading(0.7), "damage_same_subject":
             Reading(None)}  # fmt: skip
    assert score_of("editing", found) == 1
    assert legs_of("editing-locality", found)["locality"] == pytest.approx(0.2)
    assert score_of("editing-locality", found) == pytest.approx(3 / (1 + 1 + 1 / 0.2))
    assert score_of("editing-locality", {**found, "damage_unrelated": Reading(math.nan)}) == 0
    unknown = {name: Reading(None) for name in found if name.startswith("damage")}
    assert legs_of("editing-locality", {**found, **unknown})["locality"] is None
    for efficacy, score in ((1.0, 1.0), (0.25, 0.4), (0.0, 0.0)):
        nothing_known = {**found, **unknown, "efficacy": Reading(efficacy)}
        assert score_of("editing-locality", nothing_known) == pytest.approx(score)


def test_what_sets_an_objective_apart_is_essential_to_it():
    assert OBJECTIVES["editing"].essential == ("efficacy", "neighbourhood")
    assert OBJECTIVES["editing-locality"].essential == ("efficacy", "neighbourhood", "locality")
    assert OBJECTIVES["unlearning"].essential == ("forgetting", "utility")


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
    allowed = "editing, editing-locality, unlearning"
    with pytest.raises(ArgumentError, match=f"objective': got recall, allowed: {allowed}"):
        score_of("recall", {})
