"""Runs with random weights, and an edit of one with its plan and twin, for the tests of suites."""

import runpy
from pathlib import Path

import pytest

import behemoth as bh
from behemoth import Corpus, Groups, Questions, World


@pytest.fixture(scope="session")
def run_of():
    """Make a run whose weights are random: run_of(place, corpus, seed) -> its directory.

    They are large enough for every token to matter.
    """
    random_run = runpy.run_path(str(Path(__file__).parents[1] / "random_run.py"))["random_run"]

    def run_of(place, corpus, seed, width=32):
        return random_run(
            place, corpus, seed=seed, weights=seed, width=width, spread=0.3, parameters=1000
        )

    return run_of


@pytest.fixture(scope="session")
def edited_run(run_of, tmp_path_factory):
    """A run, its twin, a plan, and an unlearning edit of it."""
    from behemoth.edit import edit

    place = tmp_path_factory.mktemp("suites")
    corpus = Corpus(
        World(90, 3, 10),
        exposures=Groups([0, 2, 8]),
        paraphrases=2,
        held_out=1,
        questions=Questions(1.0, 0.3),
        filler="zipf:tokens=2000,words=50",
    )
    run = run_of(place / "run", corpus, 1)
    plan = bh.plan(run, edits=6, repeats=2, probes=3)
    plan.save(place / "plan")
    twin = run_of(place / "twin", corpus.without(plan.edits["fact"]), 2)
    run_of(place / "alone", corpus, 2)  # the twin's weights, as a model of the plan's corpus
    edited = edit(run, plan, "grad_diff", place / "edit", settings={"steps": 2})
    return run, twin, plan, edited


@pytest.fixture
def few_steps(monkeypatch):
    """Relearning and continued training of two steps, which give a random model nothing back.

    Nor do the usual 40 and 64, which take seconds.
    """
    from behemoth.evaluate.suites import unlearning

    for name in ("relearn", "continue_training"):
        usual = getattr(unlearning, name)

        def fewer(*given, steps, usual=usual, **options):
            return usual(*given, steps=steps[:3], **options)

        monkeypatch.setattr(unlearning, name, fewer)
