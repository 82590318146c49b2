import math

import pytest

from behemoth.report.style import (
    decades,
    exposure_colours,
    label_colours,
    log_axis,
    number,
    repeated_shapes,
    wide,
)
from behemoth.report.tables import duration


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "\u2013"), (math.nan, "\u2013"), (math.inf, "\u221e"), (0.0, "0"), (12.3456, "12.3"),
        (1234.5, "1,234"), (0.09996, "0.100"), (-0.5, "\u22120.500"), (1e-9, "1.0e\u221209"),
    ],
)  # fmt: skip
def test_numbers_for_people(value, said):
    assert number(value) == said


def test_durations_for_people():
    assert [duration(s) for s in (48.2, 200, 180, 7500)] == [
        "48 s", "3 min 20 s", "3 min", "2 h 5 min",
    ]  # fmt: skip


def test_exposures_have_colours_by_rank():
    colours = exposure_colours([1, 4, 1024])
    assert list(colours) == ["1", "4", "1,024"]
    assert next(iter(colours.values())) == "#440154"
    assert len(set(colours.values())) == 3
    assert exposure_colours([7]) == {"7": "#440154"}


def test_methods_that_share_a_colour_have_shapes():
    assert repeated_shapes(label_colours(list("abcdefghij"))) == {}
    assert repeated_shapes(label_colours(list("abcdefghijkl"))) == {"k": "diamond", "l": "diamond"}
    assert repeated_shapes(exposure_colours(list(range(16)))) == {}


def test_ticks_of_decades():
    assert decades(0.015, 0.3) == pytest.approx([0.02, 0.05, 0.1, 0.2])
    assert decades(1e-5, 1.0) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_a_logarithmic_axis_has_plain_numbers():
    """Powers of two below a quarter, such as 0.00390625, are not."""
    small = log_axis("mean", "nats", 0.004, 0.2).to_dict()
    assert small["scale"]["type"] == "log"
    assert small["axis"]["values"] == pytest.approx([0.005, 0.01, 0.02, 0.05, 0.1, 0.2])
    steps = log_axis("steps", "steps", 0.5, 40).to_dict()
    assert steps["axis"]["values"] == [0.5, 1, 2, 4, 8, 16, 32, 64]
    assert "type" not in log_axis("mean", "nats", 0.1, 0.2).to_dict()["scale"]
    assert wide(0.004, 0.2) and not wide(0.1, 0.2) and not wide(0, 1)
