"""The examples of docstrings run in a folder of their own, where what they name is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

STUDY = """
name = "tiny"
[world]
subjects = 40
relations = 2
objects = 5
[corpus]
exposures = 8
[train]
steps = 2
block_length = 32
batch_size = 4
[plan]
edits = 2
independent = true
repeats = 2
probes = 1
[[method]]
name = "lora"
settings = { steps = 2 }
"""


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that took two steps, for examples that need one."""
    import behemoth as bh

    corpus = bh.Corpus(bh.World(subjects=40, relations=2, objects=5), exposures=8)
    config = bh.default_config("nano", steps=2, batch_size=4, block_length=32, threads=1)
    return bh.train(corpus, out=tmp_path_factory.mktemp("examples") / "run", config=config)


@pytest.fixture(autouse=True)
def _example(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run where "run" is read, a study where "study.toml" is."""
    assert isinstance(request.node, pytest.DoctestItem)
    monkeypatch.chdir(tmp_path)
    text = "".join(example.source for example in request.node.dtest.examples)  # type: ignore
    if '"run"' in text and 'out="run"' not in text:
        shutil.copytree(request.getfixturevalue("tiny_run"), "run")
    if '"study.toml"' in text:
        (tmp_path / "study.toml").write_text(STUDY)
        from behemoth.study.work import run as runs

        engine = request.getfixturevalue("in_process_engine")
        monkeypatch.setattr(runs, "_engine", lambda name, path, *_: engine(path))
