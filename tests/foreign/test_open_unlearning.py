"""Trainers of open-unlearning on a run: edited models that forget.

Needs a clone of open-unlearning (``OPEN_UNLEARNING``) and the Python of an environment with its
requirements (``OPEN_UNLEARNING_PYTHON``); docs/from-open-unlearning.md names the versions. Nothing
of the network is asked.
"""

import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

import behemoth as bh

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).parents[2] / "examples" / "open_unlearning.py"
TRAINERS = ("GradAscent", "GradDiff", "NPO", "SimNPO", "RMU")


@pytest.fixture(scope="module")
def foreign():
    """The Python of open-unlearning and its clone."""
    names = ("OPEN_UNLEARNING_PYTHON", "OPEN_UNLEARNING")
    if not all(os.environ.get(name) for name in names):
        pytest.skip("could not import 'open-unlearning'")
    return tuple(os.environ[name] for name in names)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that knows its facts, and a plan for it, exported."""
    place = tmp_path_factory.mktemp("open-unlearning")
    world = bh.World(subjects=24, relations=2, objects=6, seed=3)
    corpus = bh.Corpus(world, exposures=64, paraphrases=2)
    corpus.write(place / "corpus", probes=0)
    config = bh.default_config(
        "pico", steps=200, batch_size=8, block_length=64, threads=1, tensorboard=False
    )
    bh.train(place / "corpus", out=place / "run", config=config)
    few = {"repeats": 1, "same_object": 2, "same_relation": 2, "regular": 2, "probes": 2}
    plan = bh.plan(place / "run", edits=8, distinct=False, out=place / "plan", **few)
    bh.export(place / "run", place / "tofu", to="tofu", plan=plan)
    return place, plan


def remembered(source, plan, corpus=None):
    """Mean probability of the forgotten answers."""
    frame = bh.evaluate(source, plan, corpus=corpus)
    edited = frame.filter(pl.col("group") == "edited")
    return edited.select(pl.col("log_probability_old").exp().mean()).item()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_trainer_edits_a_run(trainer, foreign, made, tmp_path):
    place, plan = made
    python, clone = foreign
    out = tmp_path / "edited"
    words = [python, SCRIPT, clone, place / "run", place / "tofu", out, "--trainer", trainer]
    for each in ("max_steps=20", "learning_rate=1e-3", "lr_scheduler_type=constant"):
        words += ["--set", f"++trainer.args.{each}"]
    own = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    before = remembered(place / "run", plan)
    after = remembered(out, plan, place / "corpus")
    assert before > 0.8
    if trainer == "RMU":  # it steers behind the answers' prompts, so these answers hardly change
        assert after != before and after > 0.5
    else:
        assert after < before - 0.05
