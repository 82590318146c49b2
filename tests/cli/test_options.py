"""The tables of options: what is read by whom, and that the defaults shown are those that apply."""

import inspect
import json
from dataclasses import asdict

import pytest

import behemoth as bh
from behemoth.cli import edit, evaluate, export, gen, import_, plan, push, study, train, tune
from behemoth.cli.options import Option, command
from behemoth.corpus import spec
from behemoth.model.sizes import SIZES

COMMANDS = (
    (edit.OPTIONS, "edit"),
    (evaluate.OPTIONS, "evaluate"),
    (export.OPTIONS, "export"),
    (gen._WRITTEN, "gen"),
    (import_.OPTIONS, "import_"),
    (plan.OPTIONS, "plan"),
    (push.OPTIONS, "push"),
    (tune.OPTIONS, "tune"),
)


@pytest.mark.parametrize(("options", "verb"), COMMANDS, ids=[verb for _, verb in COMMANDS])
def test_options_are_parameters_and_show_their_defaults(options, verb):
    known = inspect.signature(getattr(bh, verb)).parameters
    for row in options:
        if row.key == "litgpt":  # an export, which is the command's own
            continue
        assert row.key in known, row.key
        if row.metavar is not None and row.default is not None:
            assert known[row.key].default == row.default, row.key


def test_options_of_suites_are_parameters():
    known = set(inspect.signature(bh.evaluate_suite).parameters)
    assert {row.key for row in evaluate.SUITE} <= known
    assert {"plan", "out", "device"} <= known


def test_options_of_studies_show_their_defaults():
    from behemoth.study.gates import run_gates

    known = inspect.signature(run_gates).parameters
    own = [row for row in study.GATES if row.key != "pages"]  # which are the report's
    assert all(row.default in (None, known[row.key].default) for row in own)
    assert {row.key for row in study.RUN} - {"dry_run"} <= set(
        inspect.signature(bh.study).parameters
    )


def test_what_a_world_has_when_nothing_is_said_is_the_same_in_the_engine():
    world = bh.World.from_spec({})
    assert (world.spec["subjects"], world.num_relations) == (spec.SUBJECTS, spec.RELATIONS)
    assert {row["objects"] for row in world.relation_table} == {spec.OBJECTS}
    assert bh.World().spec == world.spec


def test_every_field_of_a_config_has_its_option():
    fields = {row.key for row in train.OPTIONS} - {"out", "force", "memory"}
    assert fields <= set(inspect.signature(bh.TrainConfig).parameters)
    assert {"learning_rate", "document_mask", "compile"} <= fields


def test_defaults_of_training_are_shown_unless_they_depend_on_the_size():
    settings = [asdict(bh.default_config(name)) for name in SIZES]
    rows = {row.key: row for row in train.OPTIONS if row.key in settings[0]}
    for key, row in rows.items():
        values = {repr(each[key]) for each in settings}
        if key == "model":
            assert row._shown == " [nano]"
        elif isinstance(row.default, bool):
            on, _, off = row.name.partition("/")
            assert values == {repr(row.default)}
            assert row._shown == f" [{(on if row.default else off)[2:]}]" and off
        else:
            assert row._shown == (f" [{row.default}]" if row.default is not None else "")
            assert values == {repr(row.default)} or (len(values) > 1 and row.default is None)
    unshown = {key for key, row in rows.items() if not row._shown and settings[0][key] is not None}
    assert unshown == {"accumulate", "batch_size", "block_length", "learning_rate"}


def test_defaults_of_a_model_to_start_from_are_those_that_the_help_says(trained, run):
    config = json.loads((trained / "config.json").read_text())
    said = " ".join(run("train", "--help").out.split())
    for words, given in (("With --from they are", {"start": trained}),
                         ("with --config", {"architecture": config})):  # fmt: skip
        made = bh.default_config(**given)
        rate = f"{made.learning_rate:.0e}".replace("e-0", "e-")
        assert f"{words} {made.block_length}, {made.batch_size} and {rate}" in said


def test_a_command_is_given_what_was_said():
    seen = []

    @command(
        Option("out", "DIR", "help", required="a directory"),
        Option("count", "N", "help", lambda name, text: (name, int(text))),
        Option("deep", None, "help"),
    )
    def verb(source: str, given, json):
        """Say something."""
        seen.append((source, given, json))

    assert list(inspect.signature(verb).parameters) == ["source", "out", "count", "deep", "json"]
    verb(source="a", out="b", count="3", deep=None, json=False)
    verb(source="a", out="b", count=None, deep=True, json=True)
    assert seen == [
        ("a", {"out": "b", "count": ("--count", 3)}, False),
        ("a", {"out": "b", "deep": True}, True),
    ]
    with pytest.raises(bh.ArgumentError, match="argument '--out': got nothing, allowed: a dir"):
        verb(source="a", out=None, count=None, deep=None, json=False)
