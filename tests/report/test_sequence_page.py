"""The tables of the shipped page of sequences are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/sequence"
CHECKPOINTS = (1, 10, 100, 200)


def said(row):
    """A mean with its interval, unless that is a point to two digits, as on the page."""
    text = f"{row['mean']:.2f}"
    if row["low"] is not None and row["high"] - row["low"] >= 5e-3:
        text += f" ({row['low']:.2f} to {row['high']:.2f})"
    return text


def rows():
    return pl.read_parquet(PAGE / "frames/sequence_checkpoints.parquet").drop_nulls("mean")


@pytest.mark.parametrize(
    ("first", "measure"), [("held", "hold"), ("lost", "lost"), ("norm of the change", "norm")]
)
def test_rows_are_those_of_the_frame(first, measure, page_rows):
    page = page_rows(PAGE / "index.md", first)
    frame = rows().filter(measure=measure)
    assert set(page) == set(frame["label"])
    for label, own in page.items():
        found = {row["after"]: said(row) for row in frame.filter(label=label).to_dicts()}
        assert own == [found[after] for after in CHECKPOINTS], label


def test_what_the_page_says_is_in_the_frame():
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    frame = rows()

    def of(label, measure, after=200):
        [row] = frame.filter(label=label, measure=measure, after=after).to_dicts()
        return row

    hold = sorted(of(label, "hold")["mean"] for label in ("memit", "rome", "alphaedit"))
    assert f"still hold {hold[0]:.2f} to {hold[-1]:.2f}" in text
    lost = {label: f"{of(label, 'lost')['mean']:.2f}" for label in ("alphaedit", "memit", "rome")}
    assert (
        "{alphaedit} of the known bystanders with `alphaedit`, {memit} with".format(**lost) in text
    )
    assert f"{lost['rome']} with `rome`" in text
    assert of("grace", "hold")["mean"] > 0.995 and of("grace", "lost")["mean"] == 0
    forgotten = of("npo", "forgotten")["mean"]
    assert (
        f"forgets {forgotten:.2f} of the old answers, and {of('npo', 'lost')['mean']:.2f}" in text
    )
    early = ", ".join(said(of(label, "lost", 100)) for label in ("alphaedit", "memit"))
    assert f"lose {early} and {said(of('rome', 'lost', 100))}" in text
    norms = {label: of(label, "norm")["mean"] for label in ("npo", "ft", "alphaedit")}
    assert f"by {norms['npo']:.2f} of their norm, `ft` by {norms['ft']:.2f}" in text
    assert f"by {norms['alphaedit']:.1f} times it" in text
    lives = pl.read_parquet(PAGE / "frames/sequence_half_lives.parquet")
    assert lives.drop_nulls("half_life").select("label", "half_life").rows() == [
        ("ft", pytest.approx(9))
    ]
