"""Tables of suites: what was not taken, in few words."""

import pytest

from behemoth.cli.show_suite import _without_numbers


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
