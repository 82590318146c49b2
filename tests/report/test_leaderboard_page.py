"""The tables of the shipped leaderboard page are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/leaderboard"


def places(row: dict[str, int | None]) -> str:
    return "oracle" if row["first"] is None else f"{row['first']}-{row['last']}"


@pytest.mark.parametrize(
    ("suite", "columns"),
    [
        ("editing", {1: "score", 4: "damage"}),
        ("unlearning", {1: "score", 2: "forgetting", 3: "utility", 4: "privacy"}),
    ],
)
def test_rows_are_those_of_the_frame(suite, columns, page_rows):
    page = page_rows(PAGE / "index.md", suite)
    frame = pl.read_parquet(PAGE / "frames" / f"{suite}_table.parquet")
    assert list(page) == frame["label"].to_list()
    for row in frame.iter_rows(named=True):
        cells = page[row["label"]]
        assert cells[0] == places(row)
        for place, name in columns.items():
            digits = len(cells[place].partition(".")[2])
            assert cells[place] == f"{row[name]:.{digits}f}", (row["label"], name)


def test_scores_by_world_are_those_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "editing")
    scores = pl.read_parquet(PAGE / "frames/editing_cells.parquet").filter(measure="score")
    assert len(scores) == 2 * len(page)
    for row in scores.iter_rows(named=True):
        assert page[row["label"]][2 if row["grammar"] is None else 3] == f"{row['mean']:.2f}"
