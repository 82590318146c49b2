"""Names beside points: inside the chart, and none over another, at every width."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.labels import LAYOUTS, box_of, overlap, place_names


def drawn(names):
    return [(text, x, y) for text, x, y in names], [(x, y) for _, x, y in names]


@pytest.mark.parametrize("seed", range(4))
def test_no_name_covers_another_or_leaves_the_chart(seed):
    random = np.random.default_rng(seed)
    crowd = [
        (f"method {place}, tuned", *np.clip(random.normal(corner, 0.05, 2), 0, 1))
        for place, corner in enumerate([0.02] * 6 + [0.98] * 6)
    ]
    placed = place_names(*drawn(crowd))
    assert [name.text for name in placed] == [text for text, _, _ in crowd]
    for layout in LAYOUTS:
        boxes = [box_of(name, layout) for name in placed]
        assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
        assert all(left >= 0 and low >= 0 and right <= layout.width and high <= layout.height
                   for left, low, right, high in boxes)  # fmt: skip


def test_a_name_with_room_stays_beside_its_point_and_towards_the_middle():
    near, far = place_names(*drawn([("left", 0.1, 0.5), ("right", 0.9, 0.2)]))
    assert (near.at, near.left) == (0.5, True)
    assert (far.at, far.left) == (0.2, False)


def test_a_name_moves_rather_than_cover_a_point():
    name = ("rome", 0.3, 0.5)
    [free] = place_names([name], [name[1:]])
    dots = [(0.3 + 0.02 * step, 0.5) for step in range(6)]
    [moved] = place_names([name], dots)
    assert free.at == 0.5 and (moved.at != 0.5 or moved.left != free.left)
    for layout in LAYOUTS:
        left, low, right, high = box_of(moved, layout)
        assert not any(left < x * layout.width < right and low < y * layout.height < high
                       for x, y in dots)  # fmt: skip


def test_more_names_than_fit_are_all_placed():
    crowd = [(f"a method with a long name {place}", 0.5, 0.5) for place in range(60)]
    assert len(place_names(*drawn(crowd))) == 60


def test_names_and_shapes_of_a_crowded_board():
    """Of 26 arms the front, the oracle and the best are named; no two look the same."""
    from pathlib import Path

    from behemoth.report.charts.pareto import pareto
    from behemoth.report.style import Figure
    from behemoth.study.analysis.leaderboard import Board

    frames = Path(__file__).parents[2] / "docs/results/tuned/text/frames"
    table, measures = (
        pl.read_parquet(frames / f"editing_{name}.parquet") for name in ("table", "measures")
    )
    empty = pl.DataFrame()
    figure = pareto(Board("editing", table, empty, measures, empty, empty))
    assert isinstance(figure, Figure) and figure.frame.height == 26
    named = set(figure.frame.filter("named")["label"])
    front = set(figure.frame.filter("front")["label"])
    best = table.filter(pl.col("family") != "oracle")["label"][0]
    assert named == front | {"retrain", best} and len(named) < 12
    looks = {(colour, figure.shapes.get(name, "circle")) for name, colour in figure.legend}
    assert len(looks) == 26
    spec = figure.panels[0].chart.to_dict()
    texts = [layer for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    said = {row["label"] for layer in texts for row in layer["data"]["values"]}
    assert said == named
    assert "Named in the chart are the front, oracles and the method with" in figure.caption
