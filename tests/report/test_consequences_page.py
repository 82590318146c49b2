"""The tables of the shipped page of consequences are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/consequences"
T = 2.776  # of five clusters


def interval(values):
    """The mean over clusters and half the width of its interval."""
    assert len(values) == 5 and values.null_count() == 0
    return values.mean(), T * values.std() / 5**0.5


def said(values, most=1.0):
    """A mean with its interval, unless that is a point to two digits, as on the page."""
    mean, half = interval(values)
    if half < 5e-3:
        return f"{mean:.2f}"
    return f"{mean:.2f} ({max(0, mean - half):.2f} to {min(most, mean + half):.2f})"


def found(name):
    return pl.read_parquet(PAGE / f"frames/{name}.parquet")


@pytest.mark.parametrize(
    ("first", "relation", "measures"),
    [
        ("edits of relation 0", 0,
         ("exact_efficacy", "portability_subject_nested", "portability_correlated_followed",
          "damage_same_subject", "kl_filler")),
        ("edits of relation 3", 3,
         ("exact_efficacy", "portability_inverse", "damage_same_subject")),
    ],
)  # fmt: skip
def test_rows_are_those_of_the_trials(first, relation, measures, page_rows):
    page = page_rows(PAGE / "index.md", first)
    frame = found("consequences").filter(relation=relation)
    assert set(page) == set(frame["label"])
    for label, own in page.items():
        for text, measure in zip(own, measures, strict=True):
            values = frame.filter(label=label, measure=measure)["value"]
            assert text == said(values, 99.0 if measure.startswith("kl") else 1.0), label


def test_rows_by_exposures_are_those_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "composed, by how often it was written")
    frame = found("composed_by_exposures")
    assert set(page) == set(frame["label"])
    for label, own in page.items():
        levels = [frame.filter(label=label, exposures=level)["value"] for level in (0, 16, 64)]
        assert own == [said(values) for values in levels], label


def test_what_the_page_says_is_in_the_frames():
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    rows, composed = found("consequences"), found("composed_by_exposures")

    def apart(one, other):
        mean, half = interval(one - other)
        return f"{mean:.2f} ({mean - half:.2f} to {mean + half:.2f})"

    def level(label, exposures):
        return composed.filter(label=label, exposures=exposures).sort("world_seed")["value"]

    def nested(label):
        own = rows.filter(label=label, relation=0, measure="portability_subject_nested")
        return own.sort("world_seed")["value"]

    for label in ("ft_svd", "lora"):
        assert f"`{label}` {apart(level(label, 0), level(label, 64))}" in text
    stated = apart(level("ft", 0), level("ft", 64))
    assert f"`ft` reaches {stated.replace(' (', ' more (')} of the composed" in text
    stated = apart(nested("ft"), nested("retrain"))
    assert f"`ft` has {stated} more than `retrain`" in text
    for label in ("lora", "ft_svd"):
        assert f"`{label}` {apart(nested(label), nested('retrain'))}" in text
    others = composed.filter(~pl.col("label").is_in(["ft", "ft_svd", "lora", "retrain, followed"]))
    means = others.group_by("label", "exposures").agg(pl.col("value").mean())
    assert round(means.filter(pl.col("exposures") > 0)["value"].max(), 2) == 0.04
    assert round(means.filter(exposures=0)["value"].max(), 2) == 0.38
    inverse = rows.filter(relation=3, measure="portability_inverse")
    known = rows.filter(relation=3, measure="portability_inverse_if_known")
    assert inverse["label"].n_unique() == 14 and set(inverse["value"]) == {0.0}
    for frame in (inverse, known):
        assert frame.group_by("label").agg(pl.col("count").sum())["count"].unique().to_list() == [
            54
        ]
    counts = composed.filter(label="ft").group_by("exposures").agg(pl.col("count").sum())
    assert sorted(counts["count"]) == [20, 22, 23]
