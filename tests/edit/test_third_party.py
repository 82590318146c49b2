"""A method of another package, installed for real, is one like our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "third-party-method"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example package, in a folder that comes first on the path."""
    source = tmp_path / "source"
    # pip builds in place; the checkout stays as it is.
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and path.suffix in (".py", ".toml", ".md"):
            target = source / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", site, source]
    subprocess.run(command, check=True)
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
    """Install a package of one module, as an installer leaves it: plugin(source)."""

    def plugin(source):
        place = tmp_path / "plugin"
        about = place / "behemoth_jolt-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: behemoth-jolt\nVersion: 1.0\n"
        )
        (about / "entry_points.txt").write_text("[behemoth.methods]\njolt = behemoth_jolt:Jolt\n")
        (place / "behemoth_jolt.py").write_text(source)
        monkeypatch.syspath_prepend(str(place))

    yield plugin
    sys.modules.pop("behemoth_jolt", None)


def test_the_command_holds_it_to_what_it_owes(run, plugin):
    plugin(PLUGIN)
    ran = run("methods", "--check", "jolt")
    assert ran.code == 0, ran.err
    kept = [line.split()[0] for line in ran.out.splitlines()]
    assert kept == ["kept"] + ["yes"] * 12


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
    ]
    assert "broken: kinds of edits that it is not for are refused: edits of kind remap" in ran.err


def test_the_command_names_a_class_without_settings(run, plugin):
    from behemoth import ArgumentError
    from behemoth.edit.registry import get_method

    plugin(PLUGIN.replace("@dataclass(frozen=True)", "").replace("settings_of(self)", "{}"))
    ran = run("methods", "--check", "jolt", "--json")
    assert ran.code == 1, ran.err
    broken = [row["broken"] for row in json.loads(ran.out)["promises"] if row["broken"]]
    assert broken == ["it is not a frozen dataclass whose fields are its settings"]
    with pytest.raises(ArgumentError, match="argument 'size': got an unknown setting of jolt"):
        get_method("jolt", {"size": 2.0})


def test_a_method_that_is_not_there_has_no_promises(run):
    assert "'--check': got jolt, allowed: " in run("methods", "--check", "jolt").refused(2)
