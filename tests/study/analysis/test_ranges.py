"""What measures can be: metrics, what is judged and what boards show have a range."""

import math

import pytest

from behemoth.evaluate.catalogue import _READ, catalogue
from behemoth.evaluate.metrics import METRICS
from behemoth.evaluate.suites.run import SUITES
from behemoth.study.analysis.judged import JUDGED
from behemoth.study.analysis.leaderboard import SHOWN
from behemoth.study.analysis.ranges import AMOUNT, SHARE, range_of


@pytest.mark.parametrize(
    "name", sorted({*METRICS, *JUDGED, *SHOWN["editing"], *SHOWN["unlearning"]})
)
def test_every_measure_has_a_range(name):
    low, high = range_of(name)
    assert math.isfinite(low) and low < high


def test_kinds_of_measures():
    assert range_of("damage_exposures_64") == range_of("recall_pruned_10") == SHARE
    assert range_of("exact_portability_if_known") == range_of("privacy_min_k_plus_plus") == SHARE
    assert range_of("kl") == range_of("kl_twin_retain") == range_of("truth_ratio") == AMOUNT
    assert range_of("paraphrase_magnitude") == (-1.0, 1.0)
    assert range_of("perplexity_filler") == (1.0, math.inf)
    assert range_of("of another package") == (-math.inf, math.inf)


@pytest.mark.parametrize("suite", list(SUITES))
def test_pages_and_intervals_are_of_one_range(suite):
    said = {"0 to 1": SHARE, "-1 to 1": (-1.0, 1.0), "from 1": (1.0, math.inf)}
    section = catalogue().partition(f"### `{suite}`")[2].partition("### `")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) >= len(_READ[suite])
    for name, *_, numbers, _ in rows:
        measure = name.split("`")[1]
        assert range_of(measure) == said.get(numbers, AMOUNT), measure
