from functools import cache

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.study.file.presets import SIZES, preset_names, preset_sizes, preset_text
from behemoth.study.file.spec import Study, read_study
from behemoth.study.saturation import load_of

# What takes seconds to expand.
LARGE = {("leaderboard", "paper")}


@cache
def expanded(name, size):
    """A preset as a study and what it comes to, which takes seconds for large ones."""
    study = Study.parse(preset_text(name, size))
    return study, study.expand()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, marks=pytest.mark.slow if (name, size) in LARGE else ())
        for name in preset_names()
        for size in preset_sizes(name)
    ],
)
def test_every_preset_is_a_study(name, size):
    study, expansion = expanded(name, size)
    assert study.name == name and study.question.endswith("?")
    assert len(expansion.trials) >= 4


def test_the_desk_board_goes_on_where_the_quick_one_ends():
    """Its trials are those of the quick board and more: a directory can be extended."""
    (_, quick), (_, desk) = (expanded("leaderboard", size) for size in ("quick", "desk"))
    ids = [{trial.id for trial in expansion.trials} for expansion in (quick, desk)]
    assert ids[0] < ids[1] and len(ids[1]) * 3 == len(ids[0]) * 8


def test_sequences_have_the_same_methods_at_quick_and_desk():
    """Smoke keeps to about a minute, with six of them."""
    smoke, quick, desk = (
        [choice.label for choice in expanded("sequence", size)[0].methods]
        for size in ("smoke", "quick", "desk")
    )
    assert quick == desk
    assert set(quick) - set(smoke) == {"encore", "ultraedit", "wise"} and set(smoke) < set(quick)


def test_the_five_questions_have_every_size():
    questions = {"correlated", "frequency", "nested", "rank", "unlearning"}
    assert questions <= set(preset_names())
    assert all({"smoke", "quick", "paper"} <= set(preset_sizes(name)) for name in questions)
    assert all(preset_sizes(name) == SIZES for name in ("frequency", "rank"))
    assert list(preset_names()) == sorted(preset_names())


@pytest.mark.parametrize("name", preset_names())
def test_every_world_has_an_initialisation_of_its_own(name):
    """Facts of one model are one observation: what may be published varies both seeds."""
    for size in set(preset_sizes(name)) - {size for of, size in LARGE if of == name}:
        study, expansion = expanded(name, size)
        units = expansion.models.values()
        worlds = {
            (unit.corpus.make().world.spec.get("seed", 0), unit.config.seed) for unit in units
        }
        starts = {start for _, start in worlds}
        assert size == "smoke" or len(starts) > 1
        assert size != "desk" or len(worlds) >= 8
        if size == "quick":
            assert "demonstration" in study.question


@pytest.mark.parametrize("name", ["correlated", "frequency", "nested", "rank", "unlearning"])
def test_paper_sizes_have_what_the_design_asks_for(name):
    """Sizes, loads, exposures and controls that the smaller presets cannot afford."""
    study, expansion = expanded(name, "paper")
    loads = set()
    for unit in expansion.models.values():
        corpus = unit.corpus.make()
        levels = {row["exposures"] for row in corpus.exposure_classes}
        assert max(levels) == 4096
        # Only so does a Latin square balance the levels within each subject.
        assert unit.corpus.world["relations"] == len(levels)
        if unit.config.model == "14m":
            parameters = unit.config.size.parameters_with(corpus.vocabulary_size)
            loads.add(load_of(corpus.world.entropy, parameters))
    assert {unit.config.model for unit in expansion.models.values()} == {
        "14m", "31m", "70m", "160m",
    }  # fmt: skip
    wanted = {0.1, 0.25, 0.5} if name == "nested" else {0.1, 0.25, 0.5, 1, 2}
    assert all(any(load == pytest.approx(own, rel=0.15) for own in loads) for load in wanted)
    used = {trial.choice.label for trial in expansion.trials}
    arms = [choice for choice in study.methods if choice.label in used]
    retaining, bare = (
        {choice.name for choice in arms if (choice.settings.get("retain_rows") or 0) > 0},
        {choice.name for choice in arms if choice.settings.get("retain_rows") == 0},
    )
    assert retaining and retaining <= bare


def test_the_paper_size_of_frequency_edits_batches_and_facts_that_were_never_written():
    _, expansion = expanded("frequency", "paper")
    levels = {trial.plan.request.exposures for trial in expansion.trials}
    assert any(0 in each for each in levels)
    batches = {
        trial.plan.request.count * len(trial.plan.request.exposures)
        for trial in expansion.trials
        if not trial.plan.request.independent
    }
    assert batches == {10, 100, 1000}


def test_a_study_in_memory_has_its_size_already(tmp_path):
    with pytest.raises(ArgumentError, match="argument 'size': got paper, allowed: a size only"):
        bh.study(read_study("frequency", "smoke"), out=tmp_path / "study", size="paper")
    assert not (tmp_path / "study").exists()


def test_names_with_and_without_sizes():
    assert preset_text("rank-quick") == preset_text("rank", "quick")
    with pytest.raises(
        ArgumentError, match=r"got rnk \(did you mean rank\?\), allowed: a study file"
    ):
        preset_text("rnk")
    with pytest.raises(ArgumentError, match="'name': got 5, allowed: a study file, or one of"):
        preset_text(5)
    with pytest.raises(ArgumentError, match="argument 'size': got huge, allowed: smoke"):
        preset_text("rank", "huge")


@pytest.mark.parametrize("size", preset_sizes("leaderboard"))
def test_the_leaderboard_has_every_method(size):
    from behemoth.edit.registry import OWN_METHODS

    labels = {choice.name for choice in Study.parse(preset_text("leaderboard", size)).methods}
    assert set(OWN_METHODS) <= labels
