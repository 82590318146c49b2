"""A method of another package, installed for real, is one like our own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "third-party-method"


@pytest.fixture
def installed(tmp_path, monkeypatch, install):
    """The example package, in a folder that comes first on the path."""
    source = tmp_path / "source"
    # pip builds in place; the checkout stays as it is.
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and path.suffix in (".py", ".toml", ".md"):
            target = source / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    site = tmp_path / "site"
    install(source, site)
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("behemoth_shrinkage", None)


def test_it_is_listed_and_does_its_work(installed, model, plans, context):
    from behemoth.edit.registry import get_method, method_names

    assert "shrinkage" in method_names()
    method = get_method("shrinkage", {"share": 0.5})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    (name,) = method.apply(model, plans[:1], context)[0].changes
    with method.apply(model, plans[:1], context)[0].apply(model):
        after = dict(model.named_parameters())[name]
        assert after.equal(0.5 * before[name])


def test_its_settings_are_checked_like_ours(installed):
    from behemoth import ArgumentError
    from behemoth.edit.registry import get_method

    with pytest.raises(ArgumentError, match=r"argument .share.: got 2\.0, allowed: 0 to 1"):
        get_method("shrinkage", {"share": 2.0})


def test_it_keeps_the_contract(installed, run):
    """It is what people copy."""
    ran = run("methods", "--check", "shrinkage")
    assert ran.code == 0, ran.err


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

import torch

from behemoth.delta.delta import EditDelta, LowRank
from behemoth.edit.protocol import Effort, MethodInfo, check_kinds, settings_of
from behemoth.model.architecture import Architecture
from behemoth.support.errors import ArgumentError


@dataclass(frozen=True)
class Jolt:
    \"\"\"A random change of rank one behind the MLP of the last layer.

    Attributes
    ----------
    size : float
        Its norm.
    \"\"\"

    size: float = 0.1

    info: ClassVar[MethodInfo] = MethodInfo(
        name="jolt", family="unlearning", source="none", changes="one MLP matrix",
        kinds=frozenset({"refusal"}), stacks=True, doses=False,
    )

    def __post_init__(self):
        if not self.size > 0:
            raise ArgumentError("size", self.size, "above 0")

    def effort(self):
        return Effort(steps=1, rows=1)

    def apply(self, model, plans, context):
        check_kinds(self, plans)
        names = Architecture.of(model)
        name = f"{names.mlp_out(names.layers - 1)}.weight"
        like = model.get_parameter(name)
        deltas = []
        for plan in plans:
            generator = torch.Generator().manual_seed(context.seed_of(plan))
            left, right = (torch.randn(n, generator=generator).to(like) for n in like.shape)
            left = self.size * left / left.norm()
            change = LowRank(left[:, None], right[None] / right.norm())
            settings = settings_of(self)
            deltas.append(
                EditDelta({name: change}, self.info.name, settings, plan.plan_hash, context.seed)
            )
        return deltas
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a package of one module, as an installer leaves it: plugin(source, *entries)."""

    def plugin(source, *entries):
        place = tmp_path / "plugin"
        about = place / "behemoth_jolt-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: behemoth-jolt\nVersion: 1.0\n"
        )
        lines = ["[behemoth.methods]", *(entries or ["jolt = behemoth_jolt:Jolt"]), ""]
        (about / "entry_points.txt").write_text("\n".join(lines))
        (place / "behemoth_jolt.py").write_text(source)
        monkeypatch.syspath_prepend(str(place))

    yield plugin
    sys.modules.pop("behemoth_jolt", None)


def test_the_command_holds_it_to_what_it_owes(run, plugin):
    plugin(PLUGIN)
    ran = run("methods", "--check", "jolt")
    assert ran.code == 0, ran.err
    kept = [line.split()[0] for line in ran.out.splitlines()]
    assert kept == ["kept"] + ["yes"] * 13


def test_the_command_names_what_is_broken(run, plugin):
    plugin(
        PLUGIN.replace("context.seed_of(plan)", "len(deltas)").replace("check_kinds(self", "(self")
    )
    ran = run("methods", "--check", "jolt", "--json")
    assert ran.code == 1
    broken = [row["name"] for row in json.loads(ran.out)["promises"] if row["broken"]]
    assert broken == [
        "the same delta alone and among others",
        "kinds of edits that it is not for are refused",
        "the same for a model of another family, with tied embeddings",
    ]
    assert "broken: kinds of edits that it is not for are refused: edits of kind remap" in ran.err


def test_the_command_names_a_class_without_settings(run, plugin):
    from behemoth.edit import MethodError
    from behemoth.edit.registry import get_method

    plugin(PLUGIN.replace("@dataclass(frozen=True)", "").replace("settings_of(self)", "{}"))
    ran = run("methods", "--check", "jolt", "--json")
    assert ran.code == 1, ran.err
    broken = [row["broken"] for row in json.loads(ran.out)["promises"] if row["broken"]]
    assert broken == [
        "it is no frozen dataclass (`@dataclass(frozen=True)` above its class), whose fields are "
        "its settings"
    ]
    said = "method jolt cannot be loaded: it is no frozen dataclass (`@dataclass("
    with pytest.raises(MethodError, match=re.escape(said)):
        get_method("jolt", {"size": 2.0})
    assert run("methods", "jolt").refused(1).startswith(said)


def test_the_command_names_a_class_without_apply(run, plugin):
    plugin(PLUGIN.replace("def apply(", "def applied("))
    ran = run("methods", "--check", "jolt", "--json")
    assert ran.code == 1, ran.err
    broken = [row["broken"] for row in json.loads(ran.out)["promises"] if row["broken"]]
    assert broken == ["it has no `info` or no `apply`"]


def test_an_object_in_place_of_a_class_is_named(run, plugin):
    plugin(f"{PLUGIN}\n\nJolt = Jolt()\n")
    said = "method jolt cannot be loaded: it is an object of Jolt, not a class"
    assert run("methods", "jolt").refused(1).startswith(said)
    assert said.partition(": ")[2] in run("methods").err


FORGOTTEN = """
from behemoth.edit.methods.ft import FineTuning
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.protocol import MethodInfo
from dataclasses import dataclass, replace


class Jolt(FineTuning):
    margin: float = 2.0
    steps: int = 60
    info = replace(FineTuning.info, name="jolt")


@dataclass(frozen=True)
class Lacking(GradientMethod):
    info = replace(FineTuning.info, name="lacking")
"""


def test_a_subclass_is_no_dataclass_by_its_base(run, plugin):
    """Its annotations are no settings, and its defaults those of the base."""
    plugin(FORGOTTEN)
    ran = run("methods", "--check", "jolt")
    assert ran.code == 1
    assert "broken: a frozen dataclass with `info` and `apply`, under its name: it is no" in ran.err
    assert "it is no frozen dataclass (`@dataclass(frozen=True)`" in run("methods").err
    assert "cannot be loaded: it is no frozen dataclass" in run("methods", "jolt").refused(1)


def test_no_command_runs_a_class_without_settings(run, plugin, contract_run, study, tmp_path):
    """It would run with the defaults of its base, in place of those that it states."""
    import behemoth as bh

    plugin(FORGOTTEN)
    bh.plan(contract_run, edits=1, repeats=1, probes=1).save(tmp_path / "plan")
    said = "method jolt cannot be loaded: it is no frozen dataclass (`@dataclass(frozen=True)` abov"
    study.write_text(study.read_text().replace('"ft"', '"jolt"').replace('"refusal"', '"remap"'))
    out = ("--out", tmp_path / "out")
    for command in (
        ("edit", contract_run, "--plan", tmp_path / "plan", "--method", "jolt", *out),
        ("tune", "jolt", "--on", contract_run, "--trials", 2, *out),
        ("study", "run", study, *out),
    ):
        ran = run(*command)
        assert ran.code == 1 and said in ran.err.splitlines()[-1]
        assert not (tmp_path / "out").exists()


def test_a_class_without_an_objective_is_named(run, plugin):
    plugin(FORGOTTEN, "lacking = behemoth_jolt:Lacking")
    said = "method lacking cannot be loaded: it lacks `objective`"
    assert said in run("methods").err
    assert said in run("methods", "--check", "lacking").refused(1)
    assert said in run("methods", "lacking").refused(1)


def test_a_method_that_is_not_there_has_no_promises(run):
    assert "'--check': got jolt, allowed: " in run("methods", "--check", "jolt").refused(2)


BROKEN = "bad_import = behemoth_nowhere:Nothing"
SAID = "method bad_import cannot be loaded: No module named 'behemoth_nowhere'"


def test_one_that_cannot_be_imported_is_named(run, plugin):
    plugin(PLUGIN, BROKEN, "jolt = behemoth_jolt:Jolt")
    assert run("methods", "--check", "bad_import").refused(1) == SAID
    ran = run("methods", "--json")
    assert ran.err.splitlines() == [SAID]
    assert json.loads(ran.out)["methods"][-1]["name"] == "jolt"


def test_a_family_that_there_is_not_is_named_with_the_method(run, plugin):
    plugin(PLUGIN.replace('"unlearning"', '"unlearn"'))
    said = "method jolt cannot be loaded: argument 'family': got unlearn (did you mean unlearning?)"
    assert run("methods", "--check", "jolt").refused(1).startswith(said)
    ran = run("methods")
    assert ran.code == 0 and ran.err.startswith(said) and "lora" in ran.out


def test_what_its_module_raises_is_named_with_its_type(run, plugin):
    plugin("{}['boom']")
    said = "method jolt cannot be loaded: KeyError: 'boom'"
    assert run("methods", "jolt").refused(1) == said
    assert run("methods").err.splitlines() == [said]


def test_a_class_without_a_description_is_not_listed(run, plugin):
    plugin("class Jolt:\n    info = {}\n")
    said = "method jolt cannot be loaded: its info is a dict, not a MethodInfo"
    assert run("methods").err.splitlines() == [said]


def test_one_with_a_name_that_is_taken_is_ignored_and_named(run, plugin):
    from behemoth.edit.registry import method_names

    plugin(PLUGIN, "rome = behemoth_jolt:Jolt")
    ran = run("methods", "--json")
    assert ran.err.splitlines() == ["method rome of behemoth-jolt is ignored: the name is taken"]
    names = [row["name"] for row in json.loads(ran.out)["methods"]]
    assert names == method_names() and names.count("rome") == 1
    assert "behemoth_jolt" not in sys.modules


def test_the_command_says_what_is_not_checked(run, plugin):
    plugin(PLUGIN.replace("        deltas = []", "        raise KeyError('boom')"))
    ran = run("methods", "--check", "jolt", "--json")
    assert ran.code == 1
    assert [row["broken"] for row in json.loads(ran.out)["promises"]] == [None, "KeyError: 'boom'"]
    assert ran.err.splitlines()[-2:] == [
        "broken: one delta for each plan, in their order: KeyError: 'boom'",
        "not checked: 11 promises, which build on that one",
    ]


STUDY = """
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
[[method]]
family = "unlearning"
[[method]]
name = "ft"
"""


@pytest.fixture
def study(tmp_path):
    """A study of a family, to which the methods of the plugin belong."""
    file = tmp_path / "board.toml"
    file.write_text(STUDY)
    return file


def test_a_board_leaves_out_what_cannot_be_loaded(run, plugin, study):
    plugin(PLUGIN, BROKEN, "jolt = behemoth_jolt:Jolt")
    ran = run("study", "run", study, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    labels = json.loads(ran.out)["labels"]
    assert {"npo", "jolt", "ft"} <= set(labels) and "bad_import" not in labels
    assert [line for line in ran.err.splitlines() if "bad_import" in line] == [SAID]


def test_a_board_leaves_out_a_class_without_settings(run, plugin, study):
    plugin(PLUGIN.replace("@dataclass(frozen=True)", "").replace("settings_of(self)", "{}"))
    ran = run("study", "run", study, "--dry-run", "--json")
    assert ran.code == 0 and "jolt" not in json.loads(ran.out)["labels"]
    assert "method jolt cannot be loaded: it is no frozen dataclass (`@" in ran.err


def test_trials_of_a_method_that_broke_are_not_dropped(run, plugin, study, tmp_path):
    from behemoth.study.directory import StudyDirectory
    from behemoth.study.file.spec import read_study
    from behemoth.study.work.record import record_of

    plugin(PLUGIN)
    definition, directory = read_study(study), StudyDirectory(tmp_path / "board")
    directory.path.mkdir()
    expansion = definition.expand()
    directory.begin(definition.text, record_of(definition, expansion, 1, directory))
    assert "jolt" in {row.method for row in directory.read().trials}
    (tmp_path / "plugin/behemoth_jolt.py").write_text("import behemoth_notthere")
    del sys.modules["behemoth_jolt"]
    ran = run("study", "run", study, "--out", directory.path)
    said = "method jolt cannot be loaded: No module named 'behemoth_notthere'"
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"behemoth: error: {said}")
    assert "jolt" in {row.method for row in directory.read().trials}


def test_methods_that_are_not_chosen_are_not_imported(run, plugin, study):
    plugin("raise KeyError('boom')", BROKEN, "jolt = behemoth_jolt:Jolt")
    chosen = "--methods", "npo,ft"
    ran = run("study", "run", study, *chosen, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert set(json.loads(ran.out)["labels"]) == {"npo", "ft"}
    assert "cannot be loaded" not in ran.err
    shown = run("study", "show", study, *chosen)
    assert shown.code == 0 and shown.err == "" and 'name = "npo"' in shown.out


def test_a_chosen_one_that_cannot_be_loaded_is_an_error(run, plugin, study):
    plugin(PLUGIN, BROKEN, "jolt = behemoth_jolt:Jolt")
    ran = run("study", "run", study, "--methods", "npo,bad_import", "--dry-run")
    assert ran.refused(1) == SAID


def test_one_that_a_study_does_without_is_not_told_about(run, plugin, study):
    plugin(PLUGIN, BROKEN, "jolt = behemoth_jolt:Jolt")
    line = 'family = "unlearning"'
    study.write_text(STUDY.replace(line, f'{line}\nwithout = ["bad_import", "jolt"]'))
    ran = run("study", "run", study, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert "jolt" not in json.loads(ran.out)["labels"] and "bad_import" not in ran.err


def test_what_it_raises_is_one_line_of_the_command(run, plugin, trained, tmp_path):
    from behemoth import Corpus, World
    from behemoth.plan import EditRequest, compile_plan

    plugin(PLUGIN.replace("        deltas = []", "        raise KeyError('boom')"))
    corpus = Corpus(World(120, 3, 10), exposures=2)
    compile_plan(corpus, EditRequest(edits=1, kind="refusal")).save(tmp_path / "plan")
    words = "edit", trained, "--plan", tmp_path / "plan", "--method", "jolt"
    ran = run(*words, "--out", tmp_path / "e")
    assert ran.refused(1) == "method jolt failed: KeyError: 'boom'"
    ran = run(*words, "--out", tmp_path / "e", "--debug")
    assert 'raise KeyError("boom")' in ran.err or "raise KeyError('boom')" in ran.err
