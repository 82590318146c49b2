"""Which axes of a grid a trial's values are of, and which of them no table separates."""

import polars as pl
import pytest

from behemoth.study.file.axes import axes_frame, axes_of, pooled_axes, pooled_text
from behemoth.study.file.presets import preset_names, preset_sizes
from behemoth.study.file.spec import Study, read_study
from behemoth.study.work.estimate import estimate


def values(study):
    """Values of the axes of each trial of a study, by its label."""
    expansion = study.expand()
    names = list(dict.fromkeys(name for point in study.points for name in point))
    return [
        (
            trial.row(),
            "pico",
            axes_of(
                names,
                trial.row(),
                expansion.models[trial.model].to_dict(),
                trial.plan.request.to_dict(),
            ),
        )
        for trial in expansion.trials
    ]


@pytest.fixture
def of_grid(tiny):
    def of_grid(grid):
        text = tiny.replace("distinct = false", "distinct = false, repeats = 5")
        return values(Study.parse(text.replace('"corpus.rotation" = [0, 1]', grid)))

    return of_grid


def test_a_trial_has_the_values_of_its_model_plan_and_measurement(of_grid):
    rows = of_grid(
        '"train.learning_rate" = [1e-3, 2e-3]\n"corpus.rotation" = [0, 1]\n'
        '"corpus.exposures" = ["latin:1,8"]\n"plan.same_object" = [1, 2]\n"measure.deltas" = [true]'
    )
    assert len(rows) == 8 * 4
    first = rows[0][2]
    assert first == {
        "train.learning_rate": 1e-3,
        "corpus.rotation": 0,
        "corpus.exposures": "latin:1,8",
        "plan.same_object": 1,
        "measure.deltas": True,
    }
    assert {own["corpus.exposures"] for _, _, own in rows} == {"latin:1,8"}, "as in the grid"
    assert {own["corpus.rotation"] for _, _, own in rows} == {0, 1}
    assert list(pooled_axes(rows)) == ["train.learning_rate", "plan.same_object"]


def test_seeds_sizes_and_exposures_are_not_pooled(of_grid):
    rows = of_grid(
        '"world.seed" = [0, 1]\n"train.seed" = [0, 1]\n"train.model" = ["pico", "nano"]\n'
        '"world.subjects" = [20, 30]\n"plan.exposures" = [[1], [8]]'
    )
    assert pooled_axes(rows) == {}


def test_sizes_and_numbers_of_subjects_are_pooled_on_a_board(of_grid):
    """It has no rows of their own for them."""
    rows = of_grid(
        '"train.model" = ["pico", "nano"]\n"world.subjects" = [20, 30]\n"plan.edits" = [1, 2]\n'
        '"world.seed" = [0, 1]\n"measure.suite" = ["editing"]'
    )
    assert pooled_axes(rows) == {"train.model": ["pico", "nano"], "world.subjects": [20, 30]}


def test_what_a_method_sets_itself_is_its_value(of_grid):
    rows = of_grid('"plan.repeats" = [2, 3]')
    found = {(row.label, own["plan.repeats"]) for row, _, own in rows}
    assert {own for own in found if own[0] in ("ascent", "batch")} == {
        ("ascent", 2), ("ascent", 3), ("batch", 5),
    }  # fmt: skip


def test_a_value_that_is_not_set_is_a_default():
    pooled = {"plan.repeats": [4, 8], "corpus.grammar": [None, "bios-en"], "a.b": [[1, 2], True]}
    assert pooled_text(pooled) == (
        "plan.repeats (4 and 8), corpus.grammar (default and bios-en) and a.b ([1, 2] and true)"
    )


def test_columns_have_the_types_of_their_values():
    axes = {"train.steps": [1, 2], "train.learning_rate": [1, 0.5], "world.relations": [2, [{}]]}
    own = {"train.steps": 1, "train.learning_rate": 1, "world.relations": [{"a": 1}]}
    frame = axes_frame(axes, {"t": own})
    kinds = [pl.String, pl.Int64, pl.Float64, pl.String]
    assert frame.schema == dict(zip(["trial", *axes], kinds, strict=True))
    assert frame.row(0) == ("t", 1, 1.0, '[{"a":1}]')
    assert axes_frame(axes, {}).schema["train.learning_rate"] == pl.Float64


@pytest.mark.parametrize("name", preset_names())
def test_presets_pool_over_the_strength_of_a_correlation_alone(name):
    size = "quick" if "quick" in preset_sizes(name) else "smoke"
    wanted = {"world.correlated.strength": [0.5, 0.9]} if name == "correlated" else {}
    assert estimate(read_study(name, size)).pooled == wanted
