from copy import deepcopy

import polars as pl
import pytest
import torch

from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.study.results import Results
from behemoth.study.trial.durability import as_batch, log_steps, retention, train_on
from behemoth.train.run import read_run


def test_steps():
    assert log_steps(1) == [0, 1]
    assert log_steps(8) == [0, 1, 2, 4, 8]
    assert log_steps(9) == [0, 1, 2, 4, 8, 9]


def test_rows_that_hold_an_edited_fact_are_left_out(corpus):
    request = EditRequest(edits=30, independent=True, repeats=2, regular=4, probes=0)
    plan = compile_plan(corpus, request)
    edited = set(plan.edits["fact"])
    kept = as_batch(plan).training
    others = kept.filter(pl.col("role") != "edit")
    assert not edited & set(others["fact"]) and others.height
    assert edited & set(plan.training.filter(pl.col("role") != "edit")["fact"])
    assert kept.filter(pl.col("role") == "edit").height == 30


def test_the_frame_of_a_study(finished):
    frame = Results.open(finished[0]).retention.collect()
    assert sorted(frame["step"].unique()) == [0, 1, 2, 3]
    assert frame.height == 8 * 4 * 4
    assert ((frame["margin"] > 0) == frame["kept"]).all()


@pytest.fixture
def ran(finished):
    run = read_run(next((finished[0] / "models").glob("[!.]*")))
    request = EditRequest(edits=6, independent=True, repeats=2, regular=4, probes=0)
    return run, run.load_model("cpu"), compile_plan(run.corpus, request)


def test_a_corpus_that_says_otherwise_wears_edits_down(ran):
    run, model, plan = ran
    before = {name: value.clone() for name, value in model.state_dict().items()}
    method = get_method("ft", {"steps": 30, "learning_rate": 1e-3})
    context = EditContext(run.corpus)
    config = run.config
    frame, failure = retention(model, run.corpus, plan, method, context, config, steps=40, rate=1.0)
    assert failure is None
    margins = frame.group_by("step", maintain_order=True).agg(pl.col("margin").mean())["margin"]
    assert margins[0] > 1 and margins[-1] < margins[0] / 2
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "settings"),
    [("grace", {"steps": 30}), ("wise", {"steps": 20}), ("ike", {"demonstrations": 2})],
)
def test_training_goes_through_what_an_edit_attached(ran, name, settings):
    """Adam's steps are those of the edited model's own loss, not of its weights alone."""
    run, model, plan = ran
    edited = deepcopy(model)
    [delta] = get_method(name, settings).apply(model, [as_batch(plan)], EditContext(run.corpus))
    delta.apply(edited)
    weights = {}
    for kind, start in (("with", edited), ("without", model)):
        own = deepcopy(start)
        list(train_on(own, run.corpus, run.config, 2, 1.0))
        weights[kind] = torch.cat([value.flatten() for value in own.parameters()])
    assert not torch.equal(weights["with"], weights["without"])


def test_a_batch_that_breaks_down_says_so(ran):
    run, model, plan = ran
    method = get_method("ft", {"steps": 5, "learning_rate": 1e30})
    config = run.config
    frame, failure = retention(
        model, run.corpus, plan, method, EditContext(run.corpus), config, steps=2, rate=0.1
    )
    assert frame.is_empty() and failure.startswith("loss")
