"""The tables of the shipped page of sequences are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from behemoth.study.file.presets import preset_text
from behemoth.study.file.spec import Study

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "results/sequence"
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

    first = ("alphaedit", "encore", "memit", "rome")
    hold = sorted(of(label, "hold")["mean"] for label in first)
    assert f"still hold {hold[0]:.2f} to {hold[-1]:.2f}" in text
    lost = {label: of(label, "lost")["mean"] for label in (*first, "wise", "ultraedit")}
    assert sorted(first, key=lost.__getitem__) == list(first)
    assert (
        "{alphaedit:.2f} of the known bystanders with `alphaedit`, {encore:.2f} with `encore`, "
        "{memit:.2f} with `memit`, {rome:.2f} with `rome`".format(**lost)
    ) in text
    [few] = {f"{of(label, 'hold')['mean']:.2f}" for label in ("wise", "ultraedit")}
    assert (
        f"hold {few} [at their defaults](#limits), as few as plain fine-tuning (`ft`, "
        f"{of('ft', 'hold')['mean']:.2f}), and lose {lost['wise']:.2f} and {lost['ultraedit']:.2f}"
    ) in text
    assert of("grace", "hold")["mean"] > 0.995 and of("grace", "lost")["mean"] == 0
    forgotten = of("npo", "forgotten")["mean"]
    assert (
        f"forgets {forgotten:.2f} of the old answers, and {of('npo', 'lost')['mean']:.2f}" in text
    )
    holding = sorted(of(label, "hold", 100)["mean"] for label in first)
    assert f"hold alike ({holding[0]:.2f} to {holding[-1]:.2f})" in text
    first_lost, *next_lost = (f"`{label}` {said(of(label, 'lost', 100))}" for label in first)
    told = ", ".join(next_lost[:-1]) + f" and {next_lost[-1]}"
    assert f"{first_lost}, {told}".replace("`alphaedit` ", "`alphaedit` loses ") in text
    # The mean of pairs on the same models is the difference of the means.
    assert (
        f"loses {lost['memit'] - lost['encore']:.2f} fewer of the bystanders than `memit`" in text
    )
    more = of("encore", "hold")["mean"] - of("alphaedit", "hold")["mean"]
    assert f"holds {more:.2f} more edits than `alphaedit`" in text
    assert f"not shown to lose more ({lost['encore'] - lost['alphaedit']:.2f}, " in text
    norms = {label: of(label, "norm")["mean"] for label in ("npo", "ft", "alphaedit")}
    assert f"by {norms['npo']:.2f} of their norm, `ft` by {norms['ft']:.2f}" in text
    assert f"by {norms['alphaedit']:.1f} times it" in text
    lives = pl.read_parquet(PAGE / "frames/sequence_half_lives.parquet")
    assert lives.drop_nulls("half_life").select("label", "half_life").rows() == [
        ("ft", pytest.approx(9)),
        ("ultraedit", pytest.approx(2.16, abs=0.01)),
        ("wise", pytest.approx(2.16, abs=0.01)),
    ]


def test_the_shipped_study_is_the_preset():
    assert (PAGE / "study.toml").read_text(encoding="utf-8") == preset_text("sequence", "quick")
    labels = [choice.label for choice in Study.parse(preset_text("sequence", "quick")).methods]
    frame = rows()
    assert frame.filter(measure="lost")["label"].unique(maintain_order=True).to_list() == labels
    few = frame.filter(pl.col("clusters") < 3).select("label", "after", "measure", "clusters")
    assert few.rows() == [("ultraedit", 1, measure, 1) for measure in ("lost", "kl", "norm")]


def test_other_pages_say_the_same(page_rows):
    """The table of `studies.md`, and what `methods.md` says of `encore`."""
    frame = rows().filter(after=200)

    def of(label, measure):
        [row] = frame.filter(label=label, measure=measure).to_dicts()
        return said(row)

    page = page_rows(DOCS / "studies.md", "method | edits that hold")
    for label, (held, lost) in page.items():
        method = label.split("`")[0]
        own = f"forgotten: {of(method, 'forgotten')}" if method == "npo" else of(method, "hold")
        assert (held, lost) == (own, of(method, "lost")), label
    assert {label.split("`")[0] for label in page} == set(frame["label"])
    text = " ".join((DOCS / "methods.md").read_text(encoding="utf-8").split())
    assert (
        f"`encore` still holds {of('encore', 'hold')} of 200 edits and loses "
        f"{of('encore', 'lost')} of the known bystanders"
    ) in text
    assert f"`memit` holds {of('memit', 'hold')}, loses {of('memit', 'lost')}" in text
