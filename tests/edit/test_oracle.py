"""The twin as oracle: a model fine-tuned on the edits comes close to one that never knew better."""

from __future__ import annotations

import polars as pl
import pytest

from behemoth import Corpus, World
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate.forget_quality import forget_quality
from behemoth.evaluate.frame import evaluate_model
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train import default_config, train
from behemoth.train.run import read_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """What the model, the fine-tuned model and the retrained twin say to the same probes."""
    corpus = Corpus(World(subjects=60, relations=3, objects=10, seed=4), exposures=48)
    place = tmp_path_factory.mktemp("oracle") / "run"
    config = default_config("nano", batch_size=4, epochs=1.5, threads=1, tensorboard=False)
    train(corpus, out=place, config=config)
    run = read_run(place)
    model = run.load_model("cpu")
    plan = compile_plan(corpus, EditRequest(edits=12, distinct=False, repeats=8, regular=40))
    context = EditContext(corpus=corpus, run=place)
    found = {}
    # Twelve facts at once want more steps than one, for which the defaults are tuned.
    for name, settings in (("ft", {"steps": 200, "learning_rate": 2e-4}), ("retrain", {})):
        (delta,) = get_method(name, settings).apply(model, [plan], context)
        frame = evaluate_model(model, corpus, plan, {None: delta})
        found[name] = frame.filter(pl.col("stage") == "after")
        found["before"] = frame.filter(pl.col("stage") == "before")
    return found


def share(frame, group, column):
    return frame.filter(pl.col("group") == group)[column].mean()


def test_the_model_knew_the_old_facts_and_the_twin_never_did(frames):
    assert share(frames["before"], "edited", "old_match") > 0.9
    assert share(frames["retrain"], "edited", "old_match") < 0.2
    assert share(frames["retrain"], "edited", "exact_match") > 0.9


def test_fine_tuning_approaches_the_twin(frames):
    ft, twin, before = frames["ft"], frames["retrain"], frames["before"]
    assert share(ft, "edited", "exact_match") > 0.9
    # Forget quality: the scores of the forgotten facts are those of the twin, not of the model.
    near = forget_quality(ft, twin, score="log_probability")
    far = forget_quality(before, twin, score="log_probability")
    assert far.p_value < 1e-3
    assert near.statistic < far.statistic
    # And elsewhere it says what the twin says, nearly always.
    kept = ~pl.col("must_change") & (pl.col("group") != "forget")
    same = (ft.filter(kept)["generated"] == twin.filter(kept)["generated"]).mean()
    assert same > 0.85
