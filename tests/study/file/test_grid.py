import pytest

from behemoth import ArgumentError, Corpus, World
from behemoth.study.file.grid import grid_axes, grid_points, laid_over, rotated, turned


def test_a_product_in_the_order_of_the_names():
    points = grid_points({"world.seed": [0, 1], "train": {"model": ["nano", "micro"]}})
    assert points == [
        {"world.seed": seed, "train.model": model} for seed in (0, 1) for model in ("nano", "micro")
    ]


def test_several_grids_are_one_after_the_other_and_no_point_is_there_twice():
    points = grid_points([{"world.seed": [0, 1]}, {"world.seed": [1, 2]}])
    assert points == [{"world.seed": seed} for seed in (0, 1, 2)]
    assert grid_points({}) == [{}]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"wrld.seed": [0]}, r"argument 'grid.wrld.seed': got an .*\(did you mean world\?\)"),
        ({"model.size": ["pico"]}, r"'grid.model.size': got an .*\(did you mean train.model\?\)"),
        ({"model": {"size": [1]}}, r"'grid.model': got an .*\(did you mean train.model\?\)"),
        ({"size": ["pico"]}, r"'grid.size': got an .*\(did you mean train.model\?\)"),
        ({"world": [0]}, "argument 'grid.world': got .0., allowed: lists of values by names in it"),
        ({"world.seed": 3}, "argument 'grid.world.seed': got 3, allowed: a list of values"),
        ({"world.seed": []}, "argument 'grid.world.seed': got"),
        ({"world.seed": [0, 1, 0]}, r"argument 'grid.world.seed': got \[0, 1, 0\], allowed: each"),
        ([{"world": [0]}], r"argument 'grid\[0\].world': got"),
        ([3], r"argument 'grid\[0\]': got 3, allowed: a table of lists"),
        (
            {"world.seed": [0, 1], "world": {"seed": [5]}},
            r"argument 'grid.world.seed': got two lists \(\[0, 1\] and \[5\]\), allowed: one list",
        ),
    ],
)
def test_what_is_no_grid(grid, message):
    with pytest.raises(ArgumentError, match=message):
        grid_points(grid)


def test_values_are_laid_over_copies():
    tables = {"world": {"seed": 5, "correlated": {"strength": 0.8, "binarised": True}}}
    point = {"world.correlated.strength": 0.9, "plan.edits": 3}
    laid = laid_over(tables, point)
    assert laid["world"] == {"seed": 5, "correlated": {"strength": 0.9, "binarised": True}}
    assert laid["plan"] == {"edits": 3} and laid["train"] == {}
    assert tables["world"]["correlated"]["strength"] == 0.8


def test_rotations():
    assert rotated("groups:1,4,16", 4) == "groups:4,16,1"
    table = {"kind": "groups", "levels": [1, 4, 16], "balanced": True}
    assert rotated(table, 2) == {**table, "levels": [16, 1, 4]}
    assert turned({"exposures": "latin:1,2", "rotation": 1}) == ({"exposures": "latin:2,1"}, 1)
    with pytest.raises(
        ArgumentError, match=r"argument 'corpus.rotation': got 1, allowed: 0 unless"
    ):
        turned({"exposures": "zipf:alpha=1,min=1,max=9", "rotation": 1})
    with pytest.raises(ArgumentError, match=r"argument 'corpus.rotation': got -1"):
        turned({"exposures": "latin:1,2", "rotation": -1})


def test_a_whole_turn_gives_each_fact_each_level_once_in_the_same_world():
    world = World(30, 4, 10, seed=1)
    levels = [1, 4, 16]
    found = [
        Corpus(world, exposures=rotated("latin:1,4,16", turn)).exposures(range(120)).tolist()
        for turn in range(3)
    ]
    assert all(sorted(row) == levels for row in zip(*found, strict=True))


def test_the_axes_of_several_grids_are_those_of_all():
    points = [{"world.seed": 0}, {"world.seed": 1}, {"train.seed": 1, "world.seed": 1}]
    assert grid_axes(points) == {"world.seed": [0, 1], "train.seed": [1]}
    assert grid_axes([{}]) == {}
