import pytest

from behemoth import ArgumentError
from behemoth.study.file.presets import SIZES, preset_names, preset_sizes, preset_text
from behemoth.study.file.spec import Study


@pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name in preset_names() for size in preset_sizes(name)]
)
def test_every_preset_is_a_study(name, size):
    study = Study.parse(preset_text(name, size))
    assert study.name == name and study.question.endswith("?")
    assert len(study.expand().trials) >= 4


def test_the_five_questions_have_every_size():
    questions = {"correlated", "frequency", "nested", "rank", "unlearning"}
    assert questions <= set(preset_names())
    assert all(preset_sizes(name) == SIZES for name in questions)
    assert list(preset_names()) == sorted(preset_names())


def test_names_with_and_without_sizes():
    assert preset_text("rank-quick") == preset_text("rank", "quick")
    with pytest.raises(ArgumentError, match="argument 'name': got rnk, allowed: a study file, or"):
        preset_text("rnk")
    with pytest.raises(ArgumentError, match="argument 'size': got huge, allowed: smoke"):
        preset_text("rank", "huge")
