"""A dose is one of the delta that is given: enough at that step, and not yet one step before."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.registry import get_method, method_names, method_type
from behemoth.evaluate.dose import doses, first_dose

DOSED = [
    name
    for name in method_names()
    if issubclass(kind := method_type(name), GradientMethod) and kind.info.doses
]
# Rates at which each flips or forgets a fact of the little model within the steps, but not at once:
# most at the tenth. The last steps are there for a flip to hold.
RATES = {"ft_l": 3e-2, "lora": 1e-2, "rmu": 3e-2, "task_vector": 1e-2}
STEPS = {"lora": 25, "ft_svd": 35, "kl_min": 45}
FEW = 20
PLAIN = {"ft_l": {"epsilon": 1.0}, "rmu": {"retain": 0.0}}


def plan_for(name, plan_of):
    if "remap" in method_type(name).info.kinds:
        return plan_of(0)
    return plan_of(0, answer=(25, 26), kind="refusal")


@pytest.fixture
def knowing(model, plan_of, context):
    """A model, in float64, that gives the old answers of all plans."""
    model = model.double()
    learnt = get_method("task_vector", {"steps": 20, "learning_rate": 3e-3, "strength": -1.0})
    (delta,) = learnt.apply(model, [plan_of(0)], context)
    delta.apply(model)
    return model


def said(model, plan):
    """Mean log-probabilities of new, old and likeliest other token where old and new part."""
    edited = plan.training.filter(pl.col("role") == "edit")
    rows = []
    for prompt, new, old in edited.select("prompt", "answer", "old_answer").iter_rows():
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        others = scores.clone()
        others[old[0]] = -torch.inf
        rows.append((scores[new[0]], scores[old[0]], others.max()))
    return [float(sum(column) / len(column)) for column in zip(*rows, strict=True)]


def achieved(method, model, plan):
    new, old, other = said(model, plan)
    return (other if method.info.forgets() else new) > old


def settings_of_run(name, steps):
    own = {"steps": steps, "learning_rate": RATES.get(name, 3e-3), **PLAIN.get(name, {})}
    return get_method(name, own)


@pytest.mark.parametrize("name", DOSED)
def test_the_delta_at_its_dose_is_enough_and_one_step_before_is_not(
    name, knowing, plan_of, context
):
    plan = plan_for(name, plan_of)
    most = STEPS.get(name, FEW)
    method = settings_of_run(name, most)
    assert not achieved(method, knowing, plan)
    (whole,) = method.apply(knowing, [plan], context)
    dose, reached, *_ = first_dose(whole.trace, forgets=method.info.forgets())
    assert reached and 1 < dose <= most
    for steps, enough in ((dose, True), (dose - 1, False)):
        (delta,) = settings_of_run(name, steps).apply(knowing, [plan], context)
        with delta.apply(knowing):
            assert achieved(method, knowing, plan) == enough, (dose, steps)
            # Not only on the right side: the trace has what the model says with the delta in.
            measured = said(knowing, plan)
        names = ("new", "old", "other")
        traced = [delta.trace[-1][f"log_probability_{one}"] for one in names]
        assert traced == pytest.approx(measured, rel=1e-7, abs=1e-9)


FORGETTING = ("grad_ascent", "npo", "rmu", "task_vector")


@pytest.mark.parametrize("name", FORGETTING)
@pytest.mark.parametrize("old", [(21, 22), (21, 23, 22)])
def test_an_answer_of_several_tokens_is_forgotten_when_greedy_decoding_leaves_it(
    name, old, model, plan_of, context
):
    """Whichever of its tokens gives way first, and whatever the new answer is."""
    model = model.double()
    learnt = get_method("task_vector", {"steps": 30, "learning_rate": 3e-3, "strength": -1.0})
    (delta,) = learnt.apply(model, [plan_of(0, old_answer=old)], context)
    delta.apply(model)

    def leads():
        """The least lead of old tokens over others, by prompt: the mean over both decides."""
        lead = []
        for prompt in ([5, 6, 7], [6, 7]):
            with torch.no_grad():
                ids = torch.tensor([[*prompt, *old[:-1]]])
                scores = model(input_ids=ids).logits[0, -len(old) :].log_softmax(-1)
            own = scores.gather(1, torch.tensor(old)[:, None])[:, 0]
            others = scores.scatter(1, torch.tensor(old)[:, None], -torch.inf).amax(1)
            lead.append((own - others).min())
        return float(sum(lead) / 2)

    assert leads() > 0
    method = settings_of_run(name, FEW)
    found = []
    # They part at the first token, at the second, or nowhere: one answer begins the other.
    for answer in ((20,), (21, 20), old[:1]):
        plan = plan_of(0, answer=answer, old_answer=old)
        (whole,) = method.apply(model, [plan], context)
        found.append(first_dose(whole.trace, forgets=True))
    dose, reached, *_ = found[0]
    assert found == [found[0]] * 3
    assert reached and 1 < dose <= FEW
    for steps, enough in ((dose, True), (dose - 1, False)):
        (delta,) = settings_of_run(name, steps).apply(model, [plan], context)
        last = delta.trace[-1]
        with delta.apply(model):
            assert (leads() < 0) == enough
            lead = last["log_probability_old_weakest"] - last["log_probability_other"]
            assert lead == pytest.approx(leads(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["rome", "memit", "emmet", "encore", "alphaedit", "retrain"])
def test_methods_whose_steps_are_none_of_the_delta_have_no_dose(name):
    assert not method_type(name).info.doses


def test_steps_of_a_search_are_no_dose(network, small_corpus, compiled, tmp_path):
    from behemoth.edit.protocol import EditContext

    plan = compiled(2, independent=True)
    method = get_method("rome", {"steps": 3, "samples": 256})
    context = EditContext(corpus=small_corpus, cache=tmp_path)
    deltas = dict(enumerate(method.apply(network, plan.singles(), context)))
    # Its trace looks like one, and shows how the search went.
    assert all(first_dose(delta.trace) is not None for delta in deltas.values())
    deltas = dict(zip(plan.edits["edit"].to_list(), deltas.values(), strict=True))
    frame = doses(deltas, plan)
    assert frame["dose"].to_list() == [None, None] and frame["reached"].to_list() == [None, None]


def test_as_returned_is_what_is_given(knowing, plan_of, context):
    """Also for a plan that stops on its way."""
    settings = {"steps": 30, "learning_rate": 3e-3, "part": "mlp", "truncation": 1}
    stopped = get_method("ft_svd", {**settings, "stop_loss": 3.0})
    (delta,) = stopped.apply(knowing, [plan_of(0)], context)
    assert 1 < len(delta.trace) < 31
    assert {row["rank"] for row in delta.geometry()} == {1}
    with delta.apply(knowing):
        new, old, other = said(knowing, plan_of(0))
    last = delta.trace[-1]
    traced = [last[f"log_probability_{one}"] for one in ("new", "old", "other")]
    assert traced == pytest.approx([new, old, other], rel=1e-7, abs=1e-9)
