"""Each command writes one object with --json, with the keys that docs/json.md says it has."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from behemoth import Corpus, World
from behemoth.cli.console import write_json
from behemoth.edit.traced import TracedSite, TraceRecord
from behemoth.study.records import TrialRecord
from behemoth.study.work.merge import Merged
from behemoth.study.work.run import StudyResult
from behemoth.tune.choose import Tuned
from behemoth.tune.record import Tried, TuningDirectory

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
COMMANDS_PART, _, TYPES_PART = PAGE.read_text().partition("## Types")
KEYS = {
    command: re.findall(r"`(\w+)`", keys)
    for command, keys in re.findall(r"^\| `(.+?)` \| (.+?) \|", COMMANDS_PART, re.MULTILINE)
}
# The type of a key and whether it may be null: of all commands, and of one.
TYPES = {
    key: (name, null == "?")
    for name, keys in re.findall(r"^\| ([a-z ]+) \| (`.+`) \|$", TYPES_PART, re.MULTILINE)
    for key, null in re.findall(r"`(\w+)(\??)`", keys)
}
OWN_TYPES = {
    (command, key): (name, null == "?")
    for key, null, command, name in re.findall(
        r"^\| `(\w+)(\??)` \| `(.+?)` \| ([a-z ]+) \|$", TYPES_PART, re.MULTILINE
    )
}
CHECKS = {
    "text": lambda value: isinstance(value, str),
    "whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: (
        value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    ),
    "true or false": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list of numbers": lambda value: all(isinstance(item, int | float) for item in value),
    "list of texts": lambda value: all(isinstance(item, str) for item in value),
    "list of objects": lambda value: all(isinstance(item, dict) for item in value),
}
STUDY = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = 2
[plan]
edits = 2
[[method]]
name = "lora"
"""
# Each in the folder that the earlier ones have left.
COMMANDS = {
    "gen": "gen --facts 60 --out o",
    "gen --finish": "gen --finish o",
    "gen --dry-run": "gen --facts 60 --dry-run",
    "inspect CORPUS": "inspect c",
    "inspect RUN": "inspect run",
    "verify CORPUS": "verify c",
    "facts": "facts c --out f.parquet",
    "import": "import table.csv --out spec",
    "inspect SPEC": "inspect spec",
    "inspect FRAME": "inspect f.parquet",
    "inspect STUDY.toml": "inspect study.toml",
    "export": "export c --to jsonl --out export",
    "inspect EXPORT": "inspect export",
    "verify EXPORT": "verify export",
    "verify RUN": "verify run",
    "train": "train c --out r --model pico --steps 1 --batch-size 2 --block-length 16 "
    "--checkpoint-history 1",
    "inspect CHECKPOINT": "inspect r/checkpoints/step-00000000",
    "models": "models",
    "plan": "plan c --edits 2 --repeats 2 --out plan",
    "inspect PLAN": "inspect plan",
    "edit": "edit run --plan plan --method lora --set steps=1 --out edit",
    "inspect EDIT": "inspect edit",
    "evaluate": "evaluate edit --plan plan --out e.parquet",
    "evaluate --suite": "evaluate edit --plan plan --out suite --suite editing",
    "inspect SUITE": "inspect suite",
    "compare": "compare suite ./suite",
    "ask": "ask edit 'subject S1 has'",
    "methods": "methods",
    "methods NAME": "methods lora",
    "grammar check": "grammar check bios-en",
    "grammar show": "grammar show",
    "grammar show NAME": "grammar show bios-en",
    "tokenizer train": "tokenizer train --grammar bios-en --vocabulary 300 --documents 20 --out t",
    "inspect MODEL": "inspect model",
    "inspect TOKENIZER": "inspect t",
    "inspect TRACE": "inspect trace",
    "inspect TUNING": "inspect tuning",
    "inspect SETTINGS.toml": "inspect tuning/best.toml",
    "tokenizer encode": "tokenizer encode texts.jsonl --tokenizer t --out tokens",
    "push": "push c memory://test-json",
    "pull": "pull memory://test-json back",
    "study run --dry-run": "study run study.toml --dry-run",
    "study presets": "study presets",
    "study show": "study show frequency",
    "study gates": "study gates --dry-run",
}
# Below, and in test_trace.py.
ELSEWHERE = {
    "inspect STUDY", "study run", "study merge", "study report", "trace",
    "methods --check", "inspect ZOO", "zoo make",  # tests/edit/test_third_party.py, tests/zoo
    "tune", "study add",
}  # fmt: skip


def save_gpt2(place):
    """Write a model as transformers does."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    GPT2LMHeadModel(config).save_pretrained(place)


@pytest.fixture(scope="module")
def things(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("things")
    (place / "run").symlink_to(trained)
    Corpus(World(120, 3, 10), exposures=2).write(place / "c", probes=0)
    (place / "table.csv").write_text("subject,relation,object\n0,0,1\n0,1,0\n1,0,0\n1,1,2\n")
    (place / "texts.jsonl").write_text('{"text": "one two"}\n')
    (place / "study.toml").write_text(STUDY)
    save_gpt2(place / "model")
    (place / "trace").mkdir()
    site = TracedSite("subject", 1, 0.5, None, None)
    TraceRecord("0" * 64, 1, 10, 3.0, 1, 0, (site,)).write(place / "trace")
    tuning, trial = TuningDirectory(place / "tuning"), Tried(0, {"steps": 9}, 0.5, {}, 1.0)
    tuning.begin({"method": "ft", "objective": "editing"})
    tuning.write(trial)
    tuning.conclude([trial], "ft", "editing", 100)
    return place


def test_one_object_with_the_keys_of_the_page(things, run, monkeypatch):
    monkeypatch.chdir(things)
    assert set(COMMANDS) | ELSEWHERE == set(KEYS)
    for command, words in COMMANDS.items():
        written = run(*shlex.split(words), "--json").json()
        assert list(written) == KEYS[command], command
        for key, value in written.items():
            name, null = OWN_TYPES.get((command, key), TYPES[key])
            assert (null and value is None) or CHECKS[name](value), (command, key, value)


def test_every_key_has_a_type():
    for command, keys in KEYS.items():
        for key in keys:
            assert (command, key) in OWN_TYPES or key in TYPES, (command, key)
    assert {name for name, _ in (*TYPES.values(), *OWN_TYPES.values())} == set(CHECKS)
    assert set(TYPES) <= {key for keys in KEYS.values() for key in keys}
    assert all(key in KEYS[command] for command, key in OWN_TYPES)


def test_a_study_and_its_report(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = "behemoth.report.write_report"
    monkeypatch.setattr(report, lambda study, progress: Path(study, "report", "index.html"))
    Path("s").mkdir()
    Path("s/study.json").touch()
    assert list(run("study", "report", "s", "--json").json()) == KEYS["study report"]
    assert {field.name for field in fields(StudyResult)} <= set(KEYS["study run"])
    assert [field.name for field in fields(Merged)] == KEYS["study merge"]
    assert [field.name for field in fields(Tuned)] == KEYS["tune"]
    assert [field.name for field in fields(TrialRecord)] == KEYS["study add"]


def test_numbers_that_json_does_not_have_are_null(capsys):
    write_json({"a": float("inf"), "b": [{"c": float("nan")}, 1.5], "d": "inf", "e": (True, None)})
    assert (
        capsys.readouterr().out
        == '{"a": null, "b": [{"c": null}, 1.5], "d": "inf", "e": [true, null]}\n'
    )


def test_every_command_takes_it(run):

    from behemoth.cli.main import click_command

    def leaves(command, before=()):
        below = getattr(command, "commands", {})
        if not below:
            yield before, command
        for name, inner in below.items():
            yield from leaves(inner, (*before, name))

    said = {tuple(word for word in command.split() if word.islower() and word[0] != "-")
            for command in KEYS}  # fmt: skip
    for name, command in leaves(click_command()):
        assert any("--json" in option.opts for option in command.params), name
        assert name in said, name
