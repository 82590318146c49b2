"""What the fault tests share: one directory of every kind, and bits that flip in it."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.train import TrainConfig

STUDY = """
name = "tiny"
question = "Does it run?"
[world]
subjects = 12
relations = 2
objects = 4
[corpus]
exposures = 2
[train]
model = "pico"
steps = 2
block_length = 32
batch_size = 4
[plan]
independent = true
edits = 2
repeats = 1
same_object = 1
same_relation = 1
regular = 1
probes = 1
[measure]
deltas = true
[[method]]
name = "lora"
label = "LoRA"
settings = { steps = 2 }
"""


@pytest.fixture(scope="session")
def rounds():
    """How many rounds of a test are run: those of the default, or ``FAULTS`` times as many."""
    return lambda default: default * int(os.environ.get("FAULTS", "1"))


@pytest.fixture(scope="session")
def directories(tmp_path_factory, in_process_engine):
    """A corpus, a run, a plan, an edit, a study and an export, by kind."""
    from behemoth.study.file.spec import Study
    from behemoth.study.work import run as work

    place = tmp_path_factory.mktemp("directories")
    corpus = bh.Corpus(bh.World(subjects=30, relations=2, objects=5), exposures=2)
    corpus.write(place / "corpus", probes=20)
    config = TrainConfig(
        model="pico", steps=2, block_length=32, batch_size=4, device="cpu", threads=1,
        tensorboard=False, checkpoint_history=1,
    )  # fmt: skip
    bh.train(place / "corpus", out=place / "run", config=config)
    bh.plan(place / "run", edits=2, independent=True, repeats=1, probes=1).save(place / "plan")
    bh.edit(
        place / "run", place / "plan", "lora", place / "edit", settings={"steps": 2}, adapter=True
    )
    bh.export(place / "corpus", place / "export", to="llmc")
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(work, "_engine", lambda name, path, *others: in_process_engine(path))
        (place / "study.toml").write_text(STUDY)
        work.run_study(Study.parse(STUDY), place / "study")
    return place


@pytest.fixture
def copied(directories, tmp_path):
    """All directories once more, to be damaged."""
    place = tmp_path / "copied"
    shutil.copytree(directories, place)
    return place


@pytest.fixture(scope="session")
def flip():
    """Flip one bit of a file, drawn by a seed; gives which byte."""

    def flip(path: Path, seed: int) -> int:
        data = bytearray(path.read_bytes())
        draw = random.Random(f"{path.name} {seed}")
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        return place

    return flip
