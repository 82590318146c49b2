"""A study's own directory repeats it without the files of settings that it was begun with."""

import json

import pytest

from behemoth import ArgumentError
from behemoth.study.file.spec import Study, read_study
from behemoth.study.file.with_settings import with_settings
from behemoth.study.work.estimate import estimate

HEAD = """
name = "tiny" # a study
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
model = "pico"
steps = 5
block_length = 32
batch_size = 4
[plan]
kind = "refusal"
edits = 2
"""
TUNING = """[tuning]
objective = "unlearning"
trials = 3
seconds = 1.5
rows = 32
score = 0.9
default_score = 0.8
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "T").mkdir()
    for name in ("npo", "grad_ascent"):
        text = f'name = "{name}"\n[settings]\nsteps = 3\nlearning_rate = 0.002\n{TUNING}'
        (tmp_path / "T" / f"{name}.toml").write_text(text)
    return tmp_path


METHODS = {
    "a file": '[[method]]\nname = "npo"\nsettings = "T/npo.toml" # mine\n',
    "a label": '[[method]]\nlabel = "a"\nname = "npo"\nsettings = "T/npo.toml"\n# the next\n\n',
    "a grid": '[[method]]\nname = "npo"\nsettings = "T/{method}.toml"\ngrid = { beta = [1, 2] }\n',
    "a plan": '[[method]]\nname = "npo"\nsettings = "T/npo.toml"\n[method.plan]\nedits = 1\n',
    "two": '[[method]]\nname = "ft"\nplan = { kind = "remap" }\n[[method]]\nname = "npo"\n'
    'settings = "T/npo.toml"',
    "a line": 'method = [{ name = "npo", settings = "T/npo.toml" }]\n',
}


@pytest.mark.parametrize("methods", METHODS.values(), ids=METHODS)
def test_it_is_the_same_study(methods, files):
    text = f"{methods}{HEAD}" if methods.startswith("method") else f"{HEAD}{methods}"
    first = Study.parse(text, files)
    new = with_settings(text, files)
    assert new != text and "# settings of the file T/npo.toml\n" in new
    second = Study.parse(new, files / "elsewhere")
    assert [choice.to_dict() for choice in second.methods] == [
        choice.to_dict() for choice in first.methods
    ]
    assert second.expand().units == first.expand().units
    assert with_settings(new, None) == new


def test_a_family_becomes_its_methods(files):
    others = sorted(
        choice.name
        for choice in Study.parse(f'{HEAD}[[method]]\nfamily = "unlearning"\n').methods
        if choice.name not in ("npo", "grad_ascent")
    )
    text = (
        f'{HEAD}# all\n[[method]]\nfamily = "unlearning"\nwithout = {json.dumps(others)}\n'
        'settings = "T/{method}.toml"\n# the rest\n[measure]\ndeltas = true\n'
    )
    new = with_settings(text, files)
    assert new.count("[[method]]") == 2 and "# all\n[[method]]" in new
    assert "# settings of the file T/grad_ascent.toml\n" in new and "\n# the rest\n[mea" in new
    first, second = Study.parse(text, files), Study.parse(new)
    assert [each.to_dict() for each in second.methods] == [each.to_dict() for each in first.methods]


def test_a_study_that_names_no_file_stays_as_it_is():
    text = f'{HEAD}[[method]]\nname = "npo"\nsettings = "tuned:tokens"\n'
    assert with_settings(text, None) == text


def test_a_begun_study_is_run_again_from_its_own_directory(files, in_process):
    (files / "study.toml").write_text(f"{HEAD}{METHODS['a file']}")
    result, _ = in_process(read_study(files / "study.toml"), files / "s")
    assert result.done == result.trials == 1
    for file in (files / "T").iterdir():
        file.unlink()
    again = read_study(files / "s")
    assert "# a study\n" in again.text and again.methods[0].whence == "tuned"
    result, _ = in_process(again, files / "s")
    assert (result.done, result.carried_out) == (1, 0)
    assert estimate(again, files / "new").trials == 1


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ('settings = "tuned:tokens"\ntuning = {}', "only with a table of settings"),
        ("settings = { steps = 3 }\ntuning = 3", "method.0..tuning': got 3, allowed: a table"),
        ("settings = { steps = 3 }\ntuning = { score = 2 }", "method.0..tuning.objective"),
    ],
)
def test_what_tuning_may_be(own, said):
    with pytest.raises(ArgumentError, match=said):
        Study.parse(f'{HEAD}[[method]]\nname = "npo"\n{own}\n')
