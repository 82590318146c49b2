"""Settings for the kind of each trial's world, and studies whose methods all take them."""

import re

import pytest

from behemoth import ArgumentError
from behemoth.edit import tuned_settings
from behemoth.edit.protocol import settings_of
from behemoth.edit.registry import get_method
from behemoth.study.analysis.leaderboard import leaderboard, taken
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.method import MethodChoice
from behemoth.study.file.presets import preset_text
from behemoth.study.file.spec import Study, read_study
from behemoth.study.file.units import unit_from_dict
from behemoth.study.schemas import SUITES
from behemoth.study.work.estimate import estimate
from behemoth.study.work.record import record_of

HEAD = """
name = "board"
[world]
subjects = 20
[corpus]
exposures = "groups:0,16"
order = "bios"
[plan]
edits = 2
"""
BOTH = """
[[grid]]
"world.relations" = [4]
[[grid]]
"corpus.grammar" = ["bios-en"]
"""
WORLDS = f"""{HEAD}
[[method]]
name = "ft"
settings = "tuned:world"
[[method]]
name = "ike"
settings = "tuned:world"
{BOTH}"""
BY_HAND = f"""{HEAD}
[[method]]
name = "ft"
label = "on tokens"
settings = "tuned:tokens"
where = {{ "corpus.grammar" = [0] }}
[[method]]
name = "ft"
label = "on text"
settings = "tuned:text"
where = {{ "corpus.grammar" = ["bios-en"] }}
[[method]]
name = "ike"
{BOTH}"""


def test_each_kind_of_world_has_its_settings_under_one_label(tmp_path):
    study = Study.parse(WORLDS)
    expansion = study.expand()
    found = {trial.choice.world: trial.choice for trial in expansion.trials
             if trial.choice.label == "ft"}  # fmt: skip
    assert set(found) == {"tokens", "text"}
    for world, choice in found.items():
        own = tuned_settings("ft", world)
        assert choice.settings.items() >= own.settings.items()
        assert (choice.tuning, choice.whence) == (own.tuning, "tuned")
    assert found["tokens"].settings["steps"] != found["text"].settings["steps"]
    # Equal settings are equal work, also for what was never tuned, which has its defaults.
    ids = [{trial.id for trial in each.expand().trials} for each in (study, Study.parse(BY_HAND))]
    assert ids[0] == ids[1] and len(ids[0]) == 4
    ike = [trial.choice for trial in expansion.trials if trial.choice.name == "ike"]
    assert [choice.whence for choice in ike] == ["default"] * 2
    assert all(choice.settings == settings_of(get_method("ike")) for choice in ike)
    # What a worker gets is the trial of one kind.
    for trial in expansion.trials:
        sent = unit_from_dict(trial.to_dict())
        assert (sent.id, sent.choice.settings) == (trial.id, trial.choice.settings)
        assert sent.choice.tuning == trial.choice.tuning


def test_the_record_has_both_and_the_board_one_row(tmp_path):
    study = Study.parse(WORLDS)
    record = record_of(study, study.expand(), 1, StudyDirectory(tmp_path))
    ft, ike = record.methods
    assert ft["whence"] == "tuned" and set(ft["worlds"]) == {"tokens", "text"}
    assert "worlds" not in ike and ike["whence"] == "default"
    tunings = [tuned_settings("ft", world).tuning for world in ("tokens", "text")]
    assert [own["tuning"] for own in ft["worlds"].values()] == [own.to_dict() for own in tunings]
    again = MethodChoice.from_dict(ft)
    assert again.to_dict() == ft and again.whence == "tuned"
    none = taken(_nothing())
    [row] = leaderboard("editing", none, failed={"ft": 1}, methods=record.methods).to_dicts()
    assert (row["settings"], row["tuned_on"]) == ("tuned", "tokens, text")
    assert row["tuning_trials"] == sum(own.trials for own in tunings)
    assert row["tuning_seconds"] == pytest.approx(sum(own.seconds for own in tunings))
    # A study of one kind says nothing of the other.
    text = Study.parse(WORLDS.replace('[[grid]]\n"world.relations" = [4]\n', ""))
    [ft, _] = record_of(text, text.expand(), 1, StudyDirectory(tmp_path)).methods
    assert ft["tuning"] == tunings[1].to_dict() and ft["world"] == "text"
    [row] = leaderboard("editing", none, failed={"ft": 1}, methods=[ft]).to_dicts()
    assert (row["tuned_on"], row["tuning_trials"]) == ("text", tunings[1].trials)


def _nothing():
    import polars as pl

    from behemoth.study.results import INDEX

    return pl.DataFrame(schema={**INDEX, **SUITES})


def test_a_kind_that_a_method_was_not_tuned_on_has_its_defaults(monkeypatch):
    monkeypatch.setattr("behemoth.study.file.method.tuned_worlds", lambda name: ["text"])
    [choice, _] = Study.parse(WORLDS.replace('"ike"', '"lora"')).methods
    assert choice.at("tokens").settings == settings_of(get_method("ft"))
    assert (choice.at("tokens").whence, choice.at("text").whence) == ("default", "tuned")
    assert choice.whence == "tuned"


def test_a_grid_lies_on_top_of_the_settings_of_each_world():
    text = WORLDS.replace('"tuned:world"', '"tuned:world"\ngrid = { steps = [3, 4] }', 1)
    first, second, _ = Study.parse(text).methods
    assert (first.label, second.label) == ("ft, steps 3", "ft, steps 4")
    own = first.at("text")
    rate = tuned_settings("ft", "text").settings["learning_rate"]
    assert (own.settings["steps"], own.settings["learning_rate"]) == (3, rate)
    assert (own.tuning, own.whence, first.whence) == (None, "given", "given")


def test_another_form_is_refused_with_all_there_are():
    said = r"tuned:wolrd \(did you mean tuned:world\?\), allowed: tuned:tokens, tuned:text, tuned:w"
    with pytest.raises(ArgumentError, match=r"method\[0\].*settings': got " + said):
        Study.parse(WORLDS.replace("tuned:world", "tuned:wolrd", 1))


def test_the_board_is_tuned_under_the_usual_names():
    plain, tuned = read_study("leaderboard"), read_study("leaderboard", tuned=True)
    assert [choice.label for choice in tuned.methods] == [choice.label for choice in plain.methods]
    by_name = {choice.name: choice for choice in tuned.methods}
    assert {"ft", "memit", "npo"} <= {name for name, own in by_name.items() if own.worlds}
    assert by_name["ike"].whence == by_name["retrain"].whence == "default"
    assert tuned.text.replace('settings = "tuned:world"\n', "") == preset_text("leaderboard")
    assert Study.parse(tuned.text).with_tuned().text == tuned.text
    found = estimate(tuned)
    assert (found.models, found.trials) == (4, 60) and set(found.labels.values()) == {2}
    few = read_study("leaderboard", methods=["ft", "ike"], tuned=True)
    assert re.findall('name = "(.*)"\nsettings = "(.*)"', few.text) == [("ft", "tuned:world")]
    # A grid of settings that were not tuned lies on top.
    [mend] = [choice for choice in tuned.methods if choice.name == "mend"]
    assert mend.worlds["text"].settings["training_steps"] == 10
    own = tuned_settings("mend", "text").settings
    assert mend.worlds["text"].settings.items() >= own.items()


def test_text_is_changed_only_at_tables_of_tuned_methods():
    text = f"""{HEAD}
  [[ method ]]   # one
  name = "ft" # the first
where = {{ "world.seed" = [0] }}
[[method]]
label = "as ever"
name = "ike"
settings = {{ retain_rows = 0 }}
[[method]]
name = "npo\""""
    found = Study.parse(text.replace("settings = { retain_rows = 0 }\n", "")).with_tuned()
    assert [bool(choice.worlds) for choice in found.methods] == [True, False, True]
    assert 'name = "ft" # the first\nsettings = "tuned:world"\nwhere' in found.text


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('[[method]]\nname = "ike"', r"got ike, allowed: a method that was tuned"),
        (
            '[[method]]\nname = "ike"\n[[method]]\nname = "ft"\nsettings = { steps = 3 }',
            r"got settings of method\[1\] \(ft\), allowed: a study whose methods have none of",
        ),
        (
            '[[method]]\nname = "lora"\n[method.grid]\nrank = [1, 2]',
            r"got grid of method\[0\] \(lora\), allowed: a study whose methods have none of",
        ),
        ('[[method]]\n"name" = "ft"', "got study board, allowed: a file with each"),
    ],
)
def test_what_does_not_fit_is_refused(tables, said):
    study = Study.parse(HEAD + tables)
    with pytest.raises(ArgumentError, match=f"argument 'tuned': {said}"):
        study.with_tuned()


def test_a_file_written_in_another_way_is_refused_and_so_is_a_word():
    study = Study.parse(f'method = [{{ name = "ft" }}]\n{HEAD}')
    with pytest.raises(ArgumentError, match="argument 'tuned': got study board, allowed: a file"):
        study.with_tuned()
    with pytest.raises(ArgumentError, match="argument 'tuned': got yes, allowed: True"):
        read_study("leaderboard", tuned="yes")  # type: ignore[arg-type]
