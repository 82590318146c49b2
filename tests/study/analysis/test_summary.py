"""Tables of a study that are made of its edits alone: costs at the flip, trade-off and settings."""

import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis import summary
from behemoth.study.analysis.collateral import damage, damage_of_edits

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]
LEVELS = (4, 64)


def drawn(**knobs):
    frames = draw(worlds=3, edits=20, levels=LEVELS, **knobs)
    return frames.edits.collect(), damage_of_edits(damage(frames.probes))


def test_costs_at_the_flip_are_of_edits_that_took_steps_and_got_there():
    edits, _ = drawn(already=0.3, limit=10)
    table = summary._at_flip(edits)
    assert table.height == 2 * len(LEVELS)
    for row in table.iter_rows(named=True):
        own = edits.filter(pl.col("reached"), pl.col("dose") > 0, exposures=row["exposures"])
        assert 0 < row["rows"] == own.height < 60
        assert row["mean"] == pytest.approx(own[row["measure"]].mean())


def test_the_tradeoff_sets_success_beside_what_it_costs():
    edits, of_edits = drawn()
    broken = pl.when(pl.col("edit") % 5 == 0).then(pl.lit("loss nan")).alias("failure")
    edits = edits.with_columns(broken)
    table = summary._tradeoff(edits, of_edits)
    assert sorted(table["exposures"]) == sorted(LEVELS)
    for row in table.iter_rows(named=True):
        own = edits.filter(exposures=row["exposures"])
        assert row["success"] == pytest.approx(own["success"].mean())
        assert (row["edits"], row["clusters"]) == (60, 3)
        assert row["broken"] == own["failure"].is_not_null().sum() > 0
        beside = of_edits.filter(edit_exposures=row["exposures"])
        for measure in ("kl", "lost"):
            assert row[measure] == pytest.approx(beside[measure].mean())


def test_settings_have_the_numbers_of_their_own_label():
    labels = {"one": {"rank": 1, "part": "mlp"}, "full": {"rank": None, "part": "both"}}
    edits, of_edits = drawn(labels=(*labels, "other"), settings=labels)
    table = summary._settings(edits, of_edits)
    assert set(table["label"]) == set(labels)
    for row in table.iter_rows(named=True):
        own, beside = edits.filter(label=row["label"]), of_edits.filter(label=row["label"])
        assert (row["rank"], row["part"]) == tuple(labels[row["label"]].values())
        assert row["success"] == pytest.approx(own["success"].mean())
        for measure in ("kl", "lost"):
            assert row[measure] == pytest.approx(beside[measure].mean())


def test_sizes_of_changes_are_means_by_exposures():
    edits, _ = drawn()
    table = summary._shapes(edits)
    assert set(table["exposures"]) == set(LEVELS)
    for row in table.iter_rows(named=True):
        own = edits.filter(exposures=row["exposures"])
        assert row["mean"] == pytest.approx(own[row["measure"]].mean())
        assert row["low"] < row["mean"] < row["high"] and row["rows"] == 60


def test_the_same_study_has_the_same_tables_to_the_bit():
    """Groups in an order that changes from call to call are summed in another, and round so."""
    frames = draw(worlds=6, edits=30, levels=LEVELS, durability=True)
    first, *others = (summary.summarise(frames, resamples=20) for _ in range(4))
    tables = [name for name, value in vars(first).items() if isinstance(value, pl.DataFrame)]
    assert len(tables) > 10
    for name in tables:
        assert all(getattr(first, name).equals(getattr(other, name)) for other in others), name
