"""Edits one after another over clusters: known shares, half-lives and the retention matrix."""

import math

import polars as pl
import pytest

from behemoth.evaluate.suites.half_life import half_life
from behemoth.study.analysis.sequence import sequences_of
from behemoth.study.schemas import SEQUENCE

CHECKPOINTS = (1, 4, 16)
CLUSTERS = 3


def drawn(lives, *, clusters=CLUSTERS, forgets=(), lost=0.25):
    """Frames of a study: edits of a method hold for so many further edits, in a cluster each.

    lives: by label, the further edits in each cluster for which an edit holds.
    """
    suites, rows = [], []
    for label, holds_for in lives.items():
        for cluster in range(clusters):
            of = {"trial": f"{label}-{cluster}", "label": label, "world_seed": cluster, "seed": 0}
            measure = "forgotten" if label in forgets else "hold"
            for after in CHECKPOINTS:
                held = [after - place - 1 < holds_for[cluster] for place in range(after)]
                values = {
                    measure: sum(held) / after,
                    "lost": lost * cluster,
                    "first": None,
                }
                suites += [
                    {**of, "suite": "sequence", "grammar": None, "edits": CHECKPOINTS[-1],
                     "measure": f"{name}_after_{after}", "value": value}
                    for name, value in values.items()
                ]  # fmt: skip
                rows += [
                    {**of, "after": after, "place": place, "edit": place, "fact": place,
                     "exposures": 1, "known": place != 1, "efficacy": 1.0,
                     "holds": after - place - 1 < holds_for[cluster],
                     "forgotten": label in forgets}
                    for place in range(CHECKPOINTS[-1])
                ]  # fmt: skip
            suites.append({**of, "suite": "sequence", "grammar": None, "edits": CHECKPOINTS[-1],
                           "measure": "half_life", "value": 1.0})  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides=SEQUENCE)
    return pl.DataFrame(suites, schema_overrides={"edits": pl.UInt32}), frame


@pytest.fixture(scope="module")
def found():
    lives = {"quick": (2, 3, 6), "ever": (99, 99, 99), "never": (0, 0, 0), "forgets": (99, 99, 99)}
    return sequences_of(*drawn(lives, forgets=("forgets",)))


def test_measures_at_checkpoints_are_means_over_trials(found):
    rows = found.checkpoints.filter(label="quick", measure="hold")
    assert rows["after"].to_list() == list(CHECKPOINTS) and set(rows["rows"]) == {CLUSTERS}
    assert rows["mean"].to_list() == pytest.approx([1, (2 + 3 + 4) / 12, (2 + 3 + 6) / 48])
    lost = found.checkpoints.filter(label="quick", measure="lost", after=4).row(0, named=True)
    assert lost["mean"] == pytest.approx(0.25) and lost["low"] == 0.0 < 0.25 < lost["high"] < 1
    assert set(found.checkpoints["measure"]) == {"hold", "lost", "forgotten"}
    order = found.checkpoints["label"].unique(maintain_order=True).to_list()
    assert order == ["quick", "ever", "never", "forgets"], "that of the study"


def test_a_half_life_pools_the_trials_of_a_method(found):
    rows = {row["label"]: row for row in found.half_lives.iter_rows(named=True)}
    assert set(rows) == {"quick", "ever", "never"}, "methods that forget have none"
    quick = rows["quick"]
    _, frame = drawn({"quick": (2, 3, 6)})
    held = frame.filter(pl.col("place") < pl.col("after")).select(
        pl.col("world_seed") * 100 + pl.col("place").alias("place"), "after", exact_match="holds"
    )
    pooled = half_life(held.rename({"world_seed": "place"}))
    assert quick["half_life"] == pytest.approx(pooled)
    assert quick["low"] < pooled < quick["high"] and quick["low"] > 0
    ratio = math.log(quick["high"] / pooled)
    assert ratio == pytest.approx(math.log(pooled / quick["low"])), "an interval of the logarithm"
    assert quick["looked"] == 15 and quick["clusters"] == CLUSTERS
    assert rows["ever"]["half_life"] is None and rows["ever"]["looked"] == 15
    assert rows["never"]["half_life"] is None and rows["never"]["looked"] is None


def test_two_clusters_have_no_intervals():
    found = sequences_of(*drawn({"quick": (2, 6)}, clusters=2))
    for frame in (found.checkpoints, found.half_lives, found.matrix):
        assert frame.height and frame["low"].null_count() == frame.height


def test_the_matrix_is_by_when_an_edit_was_made(found):
    rows = found.matrix.filter(label="quick")
    cells = {(row["made_after"], row["made"], row["after"]): row["mean"]
             for row in rows.iter_rows(named=True)}  # fmt: skip
    assert set(cells) == {(0, 1, 1), (0, 1, 4), (1, 4, 4), (0, 1, 16), (1, 4, 16), (4, 16, 16)}
    # After four edits the first holds if it does so for more than three further ones.
    assert cells[0, 1, 4] == pytest.approx(1 / 3) and cells[0, 1, 16] == 0
    assert cells[1, 4, 4] == pytest.approx((2 + 3 + 3) / 9)
    assert cells[4, 16, 16] == pytest.approx((2 + 3 + 6) / 36)
    forgotten = found.matrix.filter(label="forgets")
    assert set(forgotten["measure"]) == {"forgotten"} and set(forgotten["mean"]) == {1.0}
    # Of the second edit the fact was not known.
    assert forgotten.filter(made=4, after=4)["rows"].item() == 2 * CLUSTERS


def test_plans_of_other_sizes_are_apart():
    suites, frame = drawn({"quick": (2, 3, 6)})
    other = suites.with_columns(edits=pl.lit(8, pl.UInt32), trial=pl.col("trial") + "b")
    more = frame.with_columns(trial=pl.col("trial") + "b")
    found = sequences_of(pl.concat([suites, other]), pl.concat([frame, more]))
    assert found.half_lives["edits"].to_list() == [8, 16]
    assert found.half_lives["rows"].n_unique() == 1


def test_without_trials_there_are_no_rows():
    suites, frame = drawn({"quick": (2, 3, 6)})
    found = sequences_of(suites.clear(), frame.clear())
    assert all(table.is_empty() for table in found.tables().values())
