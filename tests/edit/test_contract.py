"""One contract for every method there is: what `EditMethod` and `EditDelta` promise."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from behemoth.delta.delta import EditDelta
from behemoth.delta.module import ModuleChange
from behemoth.delta.stack import stack_deltas
from behemoth.edit.protocol import EditContext, EditMethod, answers
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.stacking import stack_size
from behemoth.evaluate.dose import first_dose
from behemoth.plan import EditRequest, compile_plan

# So few steps that the whole registry takes seconds; fields that a method lacks are left out.
QUICK = {"steps": 2, "training_steps": 2, "samples": 256, "facts": 6}

# How far two calls may differ, relative to a change's norm. In float64 rounding is 1e-16 of a
# gradient and Adam adds 1e-8 to what it divides by; `retrain` trains in float32 whatever the model
# is, and what rounds otherwise there (--perturb) moves 6e-3 of the change.
SAME = {"retrain": 0.05}


@pytest.fixture
def model(contract_run):
    from transformers import AutoModelForCausalLM

    # In float64, where two calls may differ by rounding, but not by what Adam makes of it.
    return AutoModelForCausalLM.from_pretrained(contract_run, dtype=torch.float64).eval()


def plans_for(method, corpus):
    kind = "remap" if "remap" in method.info.kinds else "refusal"
    request = EditRequest(edits=2, kind=kind, repeats=2, same_object=4, same_relation=4, regular=4)
    return compile_plan(corpus, request).singles()


def quick(name):
    fields = {field.name for field in dataclasses.fields(type(get_method(name)))}
    return get_method(name, {key: value for key, value in QUICK.items() if key in fields})


def tensors(change):
    """What is compared of a change: its product, or what a memory holds."""
    return (
        list(change.parts().values()) if isinstance(change, ModuleChange) else [change.to_dense()]
    )


def distance(one, other):
    """The norm of the difference of two deltas' changes, relative to that of one."""
    assert one.keys() == other.keys()
    parts = [
        pair
        for name, change in one.items()
        for pair in zip(tensors(change), tensors(other[name]), strict=True)
    ]
    apart = sum(float((a - b).square().sum()) for a, b in parts)
    return (apart / sum(float(b.square().sum()) for _, b in parts)) ** 0.5


@pytest.mark.parametrize("name", method_names())
def test_contract(name, contract_corpus, contract_run, model, tmp_path):
    method = quick(name)
    assert isinstance(method, EditMethod) and method.info.name == name
    plans = plans_for(method, contract_corpus)
    context = EditContext(
        corpus=contract_corpus, seed=5, cache=tmp_path / "cache", run=contract_run
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    deltas = method.apply(model, plans, context)
    assert len(deltas) == len(plans)
    for plan, delta in zip(plans, deltas, strict=True):
        assert (delta.method, delta.plan_hash, delta.seed) == (name, plan.plan_hash, 5)
        assert delta.failure is None and delta.changes, delta.failure
        assert set(delta.of_parameters) <= set(before)
        assert set(delta.of_modules) <= {module for module, _ in model.named_modules()}
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "model stays"
    assert all(not module._forward_hooks for module in model.modules()), "no hooks stay"

    delta = deltas[0]
    if method.info.doses:
        rival = "other" if method.info.forgets() else "new"
        dose = first_dose(delta.trace, f"log_probability_{rival}", hold=0)
        assert 0 <= dose.dose <= answers(method).effort().steps
    rows = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for plan in plans for row in plan.training["prompt"]], batch_first=True
    )
    with torch.no_grad():
        unedited = model(input_ids=rows).logits
        alone = []
        for one in deltas:
            with one.apply(model):
                alone.append(model(input_ids=rows).logits)
        with stack_deltas(model, deltas).attached():
            together = model(input_ids=rows.repeat(len(deltas), 1)).logits
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-9, atol=1e-9)
    assert all(not torch.equal(logits, unedited) for logits in alone), "an edit does something"
    applied = delta.apply(model)
    for parameter, value in model.named_parameters():
        if parameter not in delta.changes:
            assert torch.equal(value, before[parameter]), f"{parameter} is not named"
    applied.revert()
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "reverts"
    assert all(not module._forward_hooks for module in model.modules()), "no hooks stay"

    delta.save(tmp_path / "delta")
    loaded = EditDelta.load(tmp_path / "delta")
    assert loaded.settings == delta.settings and loaded.trace == delta.trace
    for parameter, change in delta.changes.items():
        for part, tensor in vars(change).items():
            assert torch.equal(getattr(loaded.changes[parameter], part), tensor), parameter

    again = answers(method).in_sequence(model, context)(plans[0])
    assert distance(again.changes, delta.changes) <= SAME.get(name, 1e-6)


@pytest.mark.parametrize("name", method_names())
def test_answers(name, model):
    """What it says of itself."""
    method, said = quick(name), answers(quick(name))
    effort = said.effort()
    assert (effort.steps > 0 and effort.rows > 0) != (effort.trainings > 0)
    sizes = [said.stack_bytes(model, count) for count in (1, 2, 8)]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert stack_size(method, model) > 1 if method.info.stacks else stack_size(method, model) == 1
    assert stack_size(method, model, 2) <= 2

    batch = said.for_batch(100)
    assert type(batch) is type(method)
    assert answers(batch).effort().rows >= effort.rows
    assert answers(batch).effort().steps == effort.steps


def test_a_method_that_says_nothing(contract_corpus, model):
    """The bare protocol is enough: callers get the defaults."""

    class Bare:
        info = dataclasses.replace(get_method("ft").info, name="bare", family="unlearning")

        def apply(self, model, plans, context):
            return [plan.plan_hash for plan in plans]

    method, said = Bare(), answers(Bare())
    assert isinstance(method, EditMethod)
    assert (said.effort().steps, said.effort().rows, said.effort().trainings) == (20, 8, 0)
    assert said.stack_bytes(model, 3) == 3 * 4 * sum(p.numel() for p in model.parameters())
    assert said.for_batch(7) is said.method
    plan = plans_for(method, contract_corpus)[0]
    assert said.in_sequence(model, EditContext(corpus=contract_corpus))(plan) == plan.plan_hash
    assert method.info.doses and method.info.forgets()


@pytest.mark.parametrize(
    ("name", "named", "nameless"),
    [("ft", False, False), ("rome", False, False), ("npo", True, True), ("retrain", False, True)],
)
def test_goals(name, named, nameless):
    info = get_method(name).info
    assert (info.forgets(), info.forgets(nameless=True)) == (named, nameless)


def test_a_stack_is_as_large_as_there_is_memory_for(model, monkeypatch):
    from behemoth.edit import stacking

    method = get_method("ft")
    one = answers(method).stack_bytes(model, 1)
    for room, count in ((0, 1), (one, 1), (5 * one, 5), (5.5 * one, 5), (1e15, 64)):
        monkeypatch.setattr(stacking, "_BYTES", room)
        assert stack_size(method, model) == count
    assert stack_size(method, model, 7) == 7
