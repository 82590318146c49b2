"""The study of some methods of a file: what another file would be, and nothing guessed."""

import pytest

from behemoth import ArgumentError
from behemoth.study.file.presets import preset_names, preset_text
from behemoth.study.file.spec import Study, read_study

HEAD = """
name = "board"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[plan]
edits = 2
kind = "refusal"
"""
FILE = f"""{HEAD}
[[method]]
name = "lora"            # kept as it is
label = "mine"
[method.grid]
rank = [1, 4]
[[method]]               # all of them
family = "unlearning"
without = ["ceu"]
settings = {{ steps = 3 }}
[[method]]
name = "lora"
settings = {{ steps = 4 }}

# two worlds
[grid]
"world.seed" = [0, 1]
"""
ALONE = f"""{HEAD}
[[method]]
name = "lora"            # kept as it is
label = "mine"
[method.grid]
rank = [1, 4]
[[method]]
name = "npo"
label = "npo"
settings = {{ steps = 3 }}
[[method]]
name = "lora"
settings = {{ steps = 4 }}

# two worlds
[grid]
"world.seed" = [0, 1]
"""


def test_it_is_the_file_with_these_methods_alone():
    study = Study.parse(FILE).with_methods(["npo", "lora"])
    assert study.text == ALONE
    again = iter(["lora", "npo"])
    assert study.with_methods(again).text == ALONE  # in the order of the file


@pytest.mark.parametrize("name", preset_names())
def test_trials_are_those_of_the_whole_and_no_others(name):
    whole = Study.parse(preset_text(name))
    own = whole.methods[-1].name
    if whole.primary.method not in [c.label for c in whole.methods if c.name == own]:
        own = next(c.name for c in whole.methods if c.label == whole.primary.method)
    some = read_study(name, methods=[own])
    labels = [choice.label for choice in whole.methods if choice.name == own]
    assert [choice.label for choice in some.methods] == labels
    wanted = [trial.id for trial in whole.expand().trials if trial.choice.name == own]
    assert [trial.id for trial in some.expand().trials] == wanted
    assert Study.parse(some.text).methods == some.methods


def test_a_method_that_it_has_not_is_refused():
    with pytest.raises(ArgumentError, match="'methods': got ceu, allowed: lora, grad_ascent"):
        Study.parse(FILE).with_methods(["lora", "ceu"])
    with pytest.raises(ArgumentError, match="'methods': got npo, allowed: names among lora"):
        Study.parse(FILE).with_methods("npo")
    for methods in (["lora", "lora"], ["lora", "npo", "lora"]):
        with pytest.raises(ArgumentError, match=r"'methods': got .* allowed: each name once"):
            Study.parse(FILE).with_methods(methods)
        with pytest.raises(ArgumentError, match=r"'methods': got .* allowed: each name once"):
            read_study("leaderboard", methods=methods)


def test_the_primary_contrast_keeps_its_method():
    text = FILE.replace("[world]", '[primary]\nmethod = "mine, rank 4"\n[world]')
    assert Study.parse(text).with_methods(["lora"]).primary.method == "mine, rank 4"
    with pytest.raises(ArgumentError, match=r"got npo, allowed: with lora, which \[primary\]"):
        Study.parse(text).with_methods(["npo"])


@pytest.mark.parametrize(
    "methods",
    [
        'method = [{ name = "lora" }, { name = "ft" }]\n',
        '[[method]]\nfamily = "unlearning"\nwithout = [\n  "ceu",\n  "npo",\n]\n',
    ],
)
def test_of_a_file_written_in_another_way_nothing_is_guessed(methods):
    inline = methods.startswith("method")
    study = Study.parse(methods + HEAD if inline else HEAD + methods)
    with pytest.raises(ArgumentError, match="each in lines of their own"):
        study.with_methods([study.methods[-1].name])
