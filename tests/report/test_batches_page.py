"""The tables of the shipped page of batches are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/batches"
SIZES = (1, 10, 100, 1000)


def said(row):
    """A mean with its interval, as on the page."""
    text = f"{row['mean']:.2f}"
    if row["low"] is not None:
        text += f" ({row['low']:.2f} to {row['high']:.2f})"
    return text.replace("-0.00", "0.00").replace("-", "\u2212")


@pytest.mark.parametrize(
    ("first", "measure"),
    [("score", "score"), ("lost", "damage"), ("generated", "exact_efficacy")],
)
def test_rows_are_those_of_the_frame(first, measure, page_rows):
    page = page_rows(PAGE / "index.md", first)
    cells = pl.read_parquet(PAGE / "frames/editing_cells.parquet").filter(measure=measure)
    assert set(page) == set(cells["label"])
    for label, own in page.items():
        found = {row["edits"]: said(row) for row in cells.filter(label=label).to_dicts()}
        assert own == [found.get(size, "") for size in SIZES], label


def test_rows_by_exposures_are_those_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "1,000 edits")
    frame = pl.read_parquet(PAGE / "frames/editing_exposures.parquet").filter(batch=1000)
    assert set(page) == set(frame["label"])
    for label, own in page.items():
        found = {
            (row["measure"], row["least"], row["minus"]): said(row)
            for row in frame.filter(label=label).to_dicts()
        }
        keys = [(64, None), (16, None), (64, 16)]
        wanted = [found[measure, *key] for measure in ("score", "damage") for key in keys]
        assert own == wanted, label


def test_differences_by_exposures_that_are_shown_are_those_of_the_frame():
    frame = pl.read_parquet(PAGE / "frames/editing_exposures.parquet").filter(
        pl.col("minus").is_not_null(), batch=1000
    )
    frame = frame.filter(pl.col("measure").is_in(["score", "damage"]))
    assert frame.height == 28
    shown = frame.filter(pl.col("low") * pl.col("high") > 0).sort("label").to_dicts()
    said = [(row["label"], row["measure"]) for row in shown]
    assert said == [("alphaedit", "damage"), ("mend", "score"), ("ultraedit", "score")]
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    for row, words in zip(shown, ("loses {} more", "`mend` {} lower", "{} higher"), strict=True):
        low, high = sorted((abs(row["low"]), abs(row["high"])))
        mean = words.format(f"{abs(row['mean']):.3f}")
        assert f"{mean} ({low:.3f} to {high:.3f})" in text


def test_what_the_page_says_of_single_legs_is_what_the_frame_says():
    cells = pl.read_parquet(PAGE / "frames/editing_cells.parquet")

    def mean(label, measure, edits=1000):
        return f"{cells.filter(label=label, measure=measure, edits=edits)['mean'].item():.2f}"

    own = {"memit": "0.45", "ft, 1,000 steps": "0.21", "ultraedit": "0.15", "alphaedit": "0.15"}
    assert {label: mean(label, "efficacy") for label in own} == own
    kept = sorted(mean(label, "neighbourhood") for label in own)
    assert (kept[0], kept[-1]) == ("0.92", "0.99")
    legs = {"rome": ("0.88", "0.45"), "mend": ("0.53", "0.47"), "wise": ("0.57", "0.62")}
    assert {k: (mean(k, "efficacy"), mean(k, "neighbourhood")) for k in legs} == legs
    assert (mean("rome", "efficacy", 100), mean("rome", "neighbourhood", 100)) == ("0.99", "0.57")


def test_the_study_beside_it_is_the_one_that_was_run():
    from behemoth.study.file.spec import read_study

    study = read_study(PAGE / "study.toml")
    labels = set(pl.read_parquet(PAGE / "frames/editing_table.parquet")["label"])
    assert {choice.label for choice in study.methods} == labels


@pytest.mark.parametrize(("first", "measure"), [("held", "hold"), ("lost", "lost")])
def test_rows_of_sequences_are_those_of_the_frame(first, measure, page_rows):
    page = page_rows(PAGE / "index.md", f"one after another: {first}")
    frame = pl.read_parquet(PAGE / "frames/sequence.parquet")
    assert set(page) == set(frame["method"])
    for method, own in page.items():
        for cell, size in zip(own, SIZES, strict=True):
            values = frame.filter(method=method, measure=f"{measure}_after_{size}")["value"]
            assert len(values) == 3
            mean, error = values.mean(), 4.303 * values.std() / 3**0.5  # Student's t
            low, high = max(0.0, mean - error), min(1.0, mean + error)
            assert cell == said({"mean": mean, "low": low if error > 1e-9 else None, "high": high})
    half = frame.filter(measure="half_life").drop_nulls("value")
    ends = {
        name: [round(end(half.filter(method=name)["value"])) for end in (min, max)]
        for name in half["method"].unique()
    }
    assert ends == {"memit": [304, 371], "rome": [219, 344], "ultraedit": [2, 9]}
