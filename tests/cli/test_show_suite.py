"""Tables of suites: what was not taken, in few words, and intervals that are no certainty."""

import polars as pl
import pytest

from behemoth.cli.compare import _value
from behemoth.cli.show_suite import _without_numbers, show_measures
from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken
from behemoth.export.model_card import _suite


@pytest.mark.parametrize(
    ("names", "others", "shown"),
    [
        ([f"forgotten_after_{n}" for n in range(1, 51)], [], ["forgotten_after_N"]),
        (["damage_exposures_1", "damage_exposures_2_to_3"], ["kl"], ["damage_exposures_N"]),
        (["dose", "kl_after_1", "norm", "kl_after_2"], [], ["dose", "kl_after_N", "norm"]),
        # N would be those that were taken, or need something else, as well.
        (["kl_after_1", "kl_after_2"], ["kl_after_3"], ["kl_after_1", "kl_after_2"]),
        (["kl_after_1"], [], ["kl_after_1"]),
        (["hold_after_2", "kl_after_1"], [], ["hold_after_2", "kl_after_1"]),
    ],
)
def test_names_that_differ_only_in_a_number_are_one(names, others, shown):
    assert _without_numbers(names, others) == shown


def test_the_ends_of_a_narrow_interval_are_told_apart(capsys):
    own = Found(0.99999, 0.9999779, 0.9999999998, 8, "facts")
    frame = pl.DataFrame({"a": [1]})
    measures = (Taken("leak_at_8", "", 1, own),)
    suite = SuiteResult("unlearning", "edit", None, None, "after", None, measures, 1.0, {}, frame)
    show_measures(suite)
    shown = {
        "table": capsys.readouterr().out,
        "card": "\n".join(_suite(suite)),
        "notebook": suite._repr_html_(),
        "comparison": _value({"value": own.value, "low": own.low, "high": own.high}),
    }
    for text in shown.values():
        assert "0.99998 to 1" in text and "1 to 1" not in text
