"""A method of another package, installed for real, is one like our own."""

from __future__ import annotations

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
