import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.slope import (
    linear_slope,
    log_dose_slope,
    outcome_slope,
)

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def edits_of(**knobs):
    return draw(probes=0, **knobs).edits.collect()


def test_one_level_has_no_slope():
    """The reader of a table learns the reason, and not only that there is no estimate."""
    edits = edits_of(levels=(4,))
    for found in (
        log_dose_slope(edits),
        outcome_slope(edits, "success"),
        linear_slope(edits, "norm"),
    ):
        assert (found.value, found.note) == (None, "fewer than two levels of exposures")


def test_no_edits_have_no_slope():
    empty = edits_of().clear()
    assert (log_dose_slope(empty).value, log_dose_slope(empty).note) == (None, "no rows")
    assert outcome_slope(empty, "success").value is None
    assert linear_slope(empty, "norm").value is None


def test_the_elasticity_of_ed50():
    # The rate falls by exp(-0.3) a doubling, so the dose grows by 2 ^ (0.3 / ln 2).
    edits = edits_of(worlds=4, edits=300, slope=-0.3, base=0.05, limit=5000)
    found = log_dose_slope(edits)
    assert found.value == pytest.approx(0.3 / 0.693, abs=0.06)
    assert found.clear


def with_medians(medians, worlds=3):
    """Three edits of a level in each world, around an ED50; beyond 20 steps they are censored."""
    rows = [
        {"world": str(world), "seed": 0, "exposures": level, "dose": min(dose, 20),
         "reached": dose <= 20, "failure": None}
        for world in range(worlds)
        for level, median in medians.items()
        for dose in (median, median, median + world)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"failure": pl.String})


@pytest.mark.parametrize(
    ("medians", "factor", "note"),
    [
        ({1: 2, 4: 4, 16: 99}, None, "ED50 is censored at 16 exposures: the factor is at least 1."),
        ({1: 99, 4: 4, 16: 2}, None, "ED50 is censored at 1 exposure: the factor is at most 0.5"),
        ({1: 99, 4: 4, 16: 99}, None, "ED50 is censored at 1 and 16 exposures"),
        ({1: 99, 4: 99, 16: 99}, None, "ED50 is censored at every level"),
        ({1: 3, 4: 99, 16: 12}, 2**0.5, None),  # the middle of three has no weight
        ({4: 0, 16: 2}, 2.0, "ED50 of 0 at 4 exposures counts as half a step"),
        ({4: 0, 16: 99}, None, "16 exposures: the factor is at least 6.32; ED50 of 0 at 4 expos"),
    ],
)
def test_an_ed50_that_is_censored_or_0_is_noted(medians, factor, note):
    found = log_dose_slope(with_medians(medians))
    assert (found.value is None) is (factor is None) and (factor is not None or found.low is None)
    if factor is not None:
        assert 2**found.value == pytest.approx(factor)
    assert note is None or note in found.note
    assert note is not None or "ED50" not in (found.note or "")


def test_a_level_that_only_one_world_reaches_gives_no_interval():
    """Without that world the last possible dose would stand for an ED50, and widen nothing."""
    edits = with_medians({4: 2, 16: 8})
    lost = (pl.col("world") != "0") & (pl.col("exposures") == 16)
    rest = edits.with_columns(reached=pl.when(lost).then(pl.lit(False)).otherwise("reached"))
    more = pl.concat([rest, *[edits.filter(pl.col("world") == "0")] * 2])
    found = log_dose_slope(more)
    assert 2**found.value == pytest.approx(2) and found.low is None
    assert found.note == "cannot be estimated without one of the clusters: no interval"


def test_the_odds_of_success():
    edits = edits_of(worlds=4, edits=400, base=0.02, slope=-0.2)
    found = outcome_slope(edits, "success")
    assert found.value < 0 and found.clear
    same = edits.with_columns(pl.lit(1.0).alias("success"))
    alike = outcome_slope(same, "success")
    assert (alike.value, alike.note) == (None, "every edit has the same outcome")


def test_a_straight_line():
    found = linear_slope(edits_of(worlds=4, edits=200), "norm")
    assert found.value == pytest.approx(0.05, abs=0.003)
    assert found.low < 0.05 < found.high


def test_a_number_that_is_always_the_same_has_a_slope_without_an_interval():
    """Its slope is 0 but for rounding, of which neither an interval nor a p-value says anything."""
    same = edits_of(worlds=3).with_columns(pl.lit(0.1).alias("norm"))
    found = linear_slope(same, "norm")
    assert abs(found.value) < 1e-12 and found.p is None and found.low is None
    assert "unchanged" in found.note


def test_what_is_separated_has_no_slope():
    edits = edits_of(worlds=3)
    apart = edits.with_columns((pl.col("exposures") > 4).cast(pl.Float64).alias("success"))
    assert outcome_slope(apart, "success").value is None
