"""One contract for every method there is: what `EditMethod` and `EditDelta` promise."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from behemoth.delta.delta import EditDelta
from behemoth.edit.protocol import EditContext, EditMethod
from behemoth.edit.registry import get_method, method_names
from behemoth.plan import EditRequest, compile_plan

# So few steps that the whole registry takes seconds; fields that a method lacks are left out.
QUICK = {"steps": 2, "target_steps": 2, "samples": 256, "covariance_tokens": 2048}

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


def distance(one, other):
    """The norm of the difference of two deltas' changes, relative to that of one."""
    assert one.keys() == other.keys()
    parts = [(change.to_dense(), other[name].to_dense()) for name, change in one.items()]
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
        assert set(delta.changes) <= set(before)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "model stays"
    assert all(not module._forward_hooks for module in model.modules()), "no hooks stay"

    delta = deltas[0]
    applied = delta.apply(model)
    for parameter, value in model.named_parameters():
        if parameter not in delta.changes:
            assert torch.equal(value, before[parameter]), f"{parameter} is not named"
    assert any(not torch.equal(p, before[n]) for n, p in model.named_parameters())
    applied.revert()
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "reverts"

    delta.save(tmp_path / "delta")
    loaded = EditDelta.load(tmp_path / "delta")
    assert loaded.settings == delta.settings and loaded.trace == delta.trace
    for parameter, change in delta.changes.items():
        for part, tensor in vars(change).items():
            assert torch.equal(getattr(loaded.changes[parameter], part), tensor), parameter

    again = method.apply(model, plans[:1], context)[0]
    assert distance(again.changes, delta.changes) <= SAME.get(name, 1e-6)
