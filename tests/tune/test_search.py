"""What is searched: ranges, suggestions within them, and the ceiling of rows."""

import math
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import pytest

from behemoth import ArgumentError
from behemoth.edit.protocol import answers
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.search import Choice, Range
from behemoth.tune.asked import Asked
from behemoth.tune.choose import _below, _next
from behemoth.tune.record import Tried
from behemoth.tune.sampler import suggested

pytest.importorskip("optuna", reason="the extra tune is not installed")


@pytest.mark.parametrize("name", method_names())
def test_what_is_searched_are_settings_that_the_method_allows(name):
    kind = type(get_method(name))
    searched = answers(get_method(name)).searched()
    assert set(searched) <= {own.name for own in fields(kind)}
    for end in range(2):
        values = {
            key: one.values[-end] if isinstance(one, Choice) else (one.low, one.high)[end]
            for key, one in searched.items()
        }
        get_method(name, values)


@dataclass(frozen=True)
class _Stepping:
    steps: int = 60
    searched: ClassVar = {"steps": Range(1, 100)}

    def effort(self):
        from behemoth.edit.protocol import Effort

        return Effort(self.steps, 16)


def test_the_ceiling_takes_steps_away():
    assert _below(_Stepping(), 320).steps == 20
    assert _below(_Stepping(), 10_000).steps == 60
    assert _below(_Stepping(), 1).steps == 1


def test_a_ceiling_below_the_search_space_leaves_no_trial_out(ran):
    """32 rows are 2 steps of `ft`, which searches from 5."""
    asked = Asked.of("ft", ran, None, 2, None, None, None, 32, 0, 0)
    rates = [10 ** (-5 + number / 4) for number in range(12)]

    def suggested_after(*scores, steps):
        done = [
            Tried(number, {"learning_rate": rates[number], "steps": steps}, score, {}, 1.0)
            for number, score in enumerate(scores)
        ]
        return _next(asked, done)

    rising = [number / 12 for number in range(12)]
    assert suggested_after(*rising, steps=2) != suggested_after(*rising[::-1], steps=2)
    # As a search that was asked for the lowest steps would go on.
    assert suggested_after(*rising, steps=2) == suggested_after(*rising, steps=5)


@pytest.mark.parametrize("name", method_names())
def test_the_default_ceiling_leaves_every_search_as_it_is(name):
    method = get_method(name)
    if one := answers(method).searched().get("steps"):
        most = _below(replace(method, steps=one.high), 1280).steps
        assert one.low <= most <= one.high


def test_suggestions_keep_to_their_ranges_and_find_what_is_better():
    searched = {
        "rate": Range(1e-4, 1.0, log=True),
        "steps": Range(1, 9),
        "kind": Choice(("a", "b")),
    }
    past = []
    for _ in range(40):
        got = suggested(searched, past, seed=3)
        assert 1e-4 <= got["rate"] <= 1 and got["steps"] in range(1, 10) and got["kind"] in "ab"
        past.append((got, -abs(math.log10(got["rate"]) + 2) - (got["kind"] == "a")))
    late = [settings["rate"] for settings, _ in past[-10:]]
    assert sum(1e-3 < rate < 1e-1 for rate in late) >= 7
    assert suggested(searched, past, seed=3) == suggested(searched, past, seed=3)
    assert suggested(searched, past, seed=4) != suggested(searched, past, seed=3)
    # Nor is the next seed's the same, a trial later: each trial of a seed has a draw of its own.
    first = [suggested(searched, past[:count], seed) for seed, count in ((0, 2), (1, 1), (2, 0))]
    assert first[0] != first[1] != first[2]


def test_ranges_are_checked():
    with pytest.raises(ArgumentError, match="low': got 2, allowed: below 1"):
        Range(2, 1)
    with pytest.raises(ArgumentError, match="allowed: below 1, and above 0 with log"):
        Range(0, 1, log=True)
    with pytest.raises(ArgumentError, match="values': got"):
        Choice(("a",))
    assert Range(1, 4).whole and not Range(1.0, 4).whole
