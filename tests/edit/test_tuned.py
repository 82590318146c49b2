"""Tuned settings in the package: that they are those of the tunings, and that edits take them."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.edit import tuned, tuned_settings
from behemoth.edit.protocol import answers, settings_of
from behemoth.edit.registry import OWN_METHODS, get_method
from behemoth.edit.settings import Tuning, read_settings, read_tuning
from behemoth.study.file.method import MethodChoice
from behemoth.study.file.spec import Study

TUNINGS = Path(__file__).parents[2] / "docs" / "results" / "tuned"
STUDY = """
name = "tiny"
[world]
subjects = 20
[plan]
edits = 2
[[method]]
name = "ft"
settings = "tuned:tokens"
[[method]]
name = "ft"
label = "by hand"
"""


@pytest.mark.parametrize("world", tuned.WORLDS)
def test_the_files_are_written_from_the_published_tunings(world):
    own = Path(tuned.__file__).with_name("chosen") / f"{world}.toml"
    assert own.read_text(encoding="utf-8") == tuned.text_of(TUNINGS, world)


@pytest.mark.parametrize("world", tuned.WORLDS)
def test_what_they_hold_is_what_tune_chose(world):
    """For editing with locality, if it was tuned so; and each is of the best trial of its curve."""
    found = [method for method in OWN_METHODS if world in tuned.tuned_worlds(method)]
    assert {"ft", "rome", "memit", "lora"} <= set(found)
    for method in found:
        folders = [f"{world}-locality", f"{world}-tuned"]
        places = [TUNINGS / folder / method for folder in folders]
        place = next(place for place in places if (place / "best.toml").is_file())
        table = tomllib.loads((place / "best.toml").read_text(encoding="utf-8"))
        own = tuned_settings(method, world)
        assert (own.settings, own.tuning.to_dict()) == (table["settings"], table["tuning"])
        assert own.tuning.world_seed == 9
        curve = pl.read_parquet(place / "curve.parquet")
        assert own.tuning.score == curve["score"].max() >= own.tuning.default_score
        assert own.tuning.trials == curve.height
        # A method allows what the package gives it, and searches just that; of those of the search
        # for target vectors some were tuned when `keep`, without effect here, was searched as well.
        searched = set(answers(get_method(method)).searched())
        given = set(own.settings)
        if method in ("rome", "memit", "emmet", "alphaedit"):
            given.discard("keep")
        assert given == searched
        assert settings_of(get_method(method, own.settings)).items() >= own.settings.items()


def test_a_word_stands_for_them_wherever_a_file_of_settings_may():
    own = tuned_settings("npo", "tokens")
    assert read_settings("tuned:tokens", "npo") == own.settings
    assert read_tuning("tuned:tokens", "npo") == own.tuning
    assert isinstance(own.tuning, Tuning) and own.tuning.objective == "unlearning"
    first, second = Study.parse(STUDY).methods
    assert first.settings["steps"] == tuned_settings("ft", "tokens").settings["steps"]
    assert first.label == "ft" and (first.whence, second.whence) == ("tuned", "default")
    # A report tells them from those of one's own tuning by their kind of world.
    assert (first.world, second.world) == ("tokens", None)
    assert MethodChoice.from_dict(first.to_dict()).world == "tokens"
    assert first.tuning == tuned_settings("ft", "tokens").tuning


def test_what_was_not_tuned_is_refused():
    said = r"'settings': got tuned:text for retrain, allowed: a method that was tuned on a world "
    with pytest.raises(ArgumentError, match=f"{said}.*: ft, ft_l, "):
        read_settings("tuned:text", "retrain")
    said = r"got tuned:txt \(did you mean tuned:text\?\), allowed: tuned:tokens, tuned:text"
    with pytest.raises(ArgumentError, match=f"'settings': {said}"):
        read_tuning("tuned:txt", "ft")
    with pytest.raises(ArgumentError, match="'world': got image, allowed: tokens, text"):
        tuned_settings("ft", "image")
    text = STUDY.replace('name = "ft"\nsettings', 'name = "retrain"\nsettings')
    with pytest.raises(ArgumentError, match=r"'method\[0\].*settings': got tuned:tokens for retr"):
        Study.parse(text)
    assert tuned.tuned_worlds("retrain") == tuned.tuned_worlds("of another package") == []


def test_what_a_caller_changes_is_not_what_the_next_one_gets():
    first = tuned_settings("ft", "text")
    expected = dict(first.settings)
    first.settings["steps"] = 1  # type: ignore[index]
    assert dict(tuned_settings("ft", "text").settings) == expected
    assert read_settings("tuned:text", "ft") == expected


def test_a_refusal_names_the_argument_of_the_function():
    with pytest.raises(ArgumentError, match="argument 'method': got tuned:text for ike"):
        tuned_settings("ike", "text")
    with pytest.raises(ArgumentError, match="argument 'world'"):
        tuned_settings("ft", ["text"])  # type: ignore[arg-type]
