"""The tables and the differences of the shipped page of shares are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/shares"
SIZES = (16, 80, 160)


def said(mean, low, high):
    """A mean with its interval, as on the page."""
    text = f"{mean:.2f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})")
    return text.replace("-0.00", "0.00").replace("-", "\u2212")


@pytest.mark.parametrize(
    ("first", "measure"),
    [("score", "score"), ("still said", "forget_recall"), ("forgetting", "forgetting"),
     ("utility", "utility"), ("privacy", "privacy")],
)  # fmt: skip
def test_rows_are_those_of_the_frame(first, measure, page_rows):
    page = page_rows(PAGE / "index.md", first)
    cells = pl.read_parquet(PAGE / "frames/unlearning_cells.parquet").filter(measure=measure)
    assert set(page) == set(cells["label"])
    for label, own in page.items():
        found = {
            row["edits"]: said(row["mean"], row["low"], row["high"])
            for row in cells.filter(label=label).to_dicts()
        }
        assert own == [found.get(size, "") for size in SIZES], label


def test_differences_are_those_of_the_trials():
    trials = pl.read_parquet(PAGE / "frames/unlearning_trials.parquet")
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())

    def apart(measure, one, other):
        first, second = (
            trials.filter(label=label, edits=edits, measure=measure).sort("world_seed")["value"]
            for label, edits in (one, other)
        )
        difference = first - second
        assert len(difference) == 3
        error = 4.303 * difference.std() / 3**0.5
        return difference.mean(), difference.mean() - error, difference.mean() + error

    def stated(number, low, high):
        return (
            f"{abs(number):.2f} ({min(abs(low), abs(high)):.2f} to {max(abs(low), abs(high)):.2f})"
        )

    for method in ("npo", "grad_diff", "rmu"):
        more = apart("forget_recall", (method, 160), (method, 16))
        assert f"by {stated(*more)} with `{method}`" in text and more[1] > 0
    more = apart("forget_recall", ("simnpo", 160), ("simnpo", 16))
    assert f"{more[0]:.2f} (95% interval {more[1]:.2f} to {more[2]:.2f}) with `simnpo`" in text
    assert f"by {said(*apart('forget_recall', ('satimp', 160), ('satimp', 16)))}" in text
    paid = apart("utility", ("npo, 130 steps", 160), ("npo", 160))
    assert f"has {stated(*paid)[:4]} less of the utility ({stated(*paid)[6:]}" in text
    for measure in ("utility", "score"):
        assert (
            said(*apart(measure, ("simnpo, 340 steps", 160), ("simnpo", 160)))
            .replace(" (", ", ")
            .strip(")")
            in text
        )
    shown = {
        method: apart("forget_recall", (method, 160), (method, 80))
        for method in ("satimp", "grad_diff", "simnpo", "npo", "rmu")
    }
    assert [method for method, (_, low, _) in shown.items() if low > 0] == ["grad_diff"]
    falls = {method: apart("score", (method, 160), (method, 16)) for method in shown}
    assert {method for method, (_, _, high) in falls.items() if high < 0} == {"grad_diff", "simnpo"}
    for method in ("grad_diff", "simnpo"):
        assert f"by {stated(*falls[method])} with `{method}`" in text
