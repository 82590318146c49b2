import pytest

from behemoth import ArgumentError
from behemoth.model.sizes import SIZES, find_size

# Of pythia-70m, -160m and -410m, without the embeddings (table 1 of the paper).
PYTHIA = {"70m": 18_915_328, "160m": 85_056_000, "410m": 302_311_424}


@pytest.mark.parametrize(("name", "parameters"), PYTHIA.items())
def test_pythia_has_the_parameters_that_its_paper_says(name, parameters):
    assert SIZES[name].parameters == parameters


def test_small_sizes_are_about_what_they_are_called_for():
    assert 0.08e6 < SIZES["pico"].parameters < 0.12e6
    assert 0.4e6 < SIZES["nano"].parameters < 0.6e6
    assert 1.5e6 < SIZES["micro"].parameters < 2.5e6


def test_every_head_has_a_quarter_to_rotate():
    for size in SIZES.values():
        assert size.width % size.heads == 0
        assert (size.width // size.heads) % 8 == 0


def test_an_unknown_size_is_answered_with_its_neighbour():
    with pytest.raises(
        ArgumentError, match=r"'model': got 70M, allowed: pico, nano, .* \(did you mean 70m"
    ):
        find_size("70M")
