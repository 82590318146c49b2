"""What the chart of capacity says in one sentence."""

from types import SimpleNamespace

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.capacity import capacity


def test_the_finding_is_of_one_model():
    """That with the most bits holds 45 % of its world; another holds 90 % of one that has less."""
    models = pl.DataFrame({"bits_per_parameter": [0.09, 0.9], "offered_per_parameter": [0.1, 2.0]})
    curves = pl.DataFrame({"size": "pico", "offered_per_parameter": [0.1, 2.0], "exposures": 16,
                           "mean": [0.09, 0.9], "low": [0.08, 0.8], "high": [0.1, 1.0],
                           "rows": 10, "clusters": 3})  # fmt: skip
    figure = capacity(SimpleNamespace(capacity=curves, capacity_of_models=models))
    assert figure.finding == (
        "The fullest model stores 0.9 bits per parameter, 45% of the bits of its world."
    )
