"""Edits in order: each on what the earlier ones left, the model's own bits at the end."""

import numpy as np
import pytest
import torch

from behemoth.delta.delta import EditDelta
from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.lora import Lora
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.plan_sequence import edit_in_sequence
from behemoth.edit.protocol import EditContext

FEW = {"layers": (1,), "steps": 4, "samples": 2_000, "prefixes": 1, "kept": 1}


@pytest.fixture
def context(small_corpus):
    return EditContext(small_corpus)


def test_retention_has_a_row_an_edit_and_a_column_a_fact(network, compiled, context):
    plans = [compiled(2, seed=1), compiled(1, seed=2), compiled(1, seed=3)]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    done = []
    found = edit_in_sequence(network, Emmet(**FEW), plans, context, done.append)
    assert found.retention.shape == (3, 4)
    assert found.recalled.shape == found.log_probability.shape == (4, 4)
    assert found.probes["stage"].to_list() == [0, 0, 1, 2]
    assert found.frame().height == 16
    assert found.retained().shape == (3,)
    assert [(moment.done, moment.total) for moment in done] == [(1, 3), (2, 3), (3, 3)]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def answer_tokens(plan):
    """Of all edits: each has a key of its own."""
    return plan.training.filter(role="edit").unique("edit")["answer"].list.len().sum()


def test_each_edit_sees_the_earlier_ones(network, compiled, context):
    plans = [compiled(1, seed=1), compiled(1, seed=2)]
    found = edit_in_sequence(network, Emmet(**FEW), plans, context)
    [alone] = Emmet(**FEW).apply(network, [plans[1]], context)
    [name] = alone.changes
    assert not torch.equal(alone.changes[name].left, found.deltas[1].changes[name].left)
    [first] = Emmet(**FEW).apply(network, [plans[0]], context)
    torch.testing.assert_close(first.changes[name].left, found.deltas[0].changes[name].left)


def test_merged_deltas_equal_the_sequence(network, compiled, context):
    plans = [compiled(1, seed=1), compiled(2, seed=2)]
    found = edit_in_sequence(network, Emmet(**FEW), plans, context)
    merged = found.merged()
    assert [change.rank for change in merged.values()] == [sum(map(answer_tokens, plans))]
    delta = EditDelta(merged, "emmet", {}, "0", 0)
    tokens = torch.tensor([plans[0].training["prompt"][0].to_list()])
    with torch.no_grad():
        with delta.apply(network):
            once = network(input_ids=tokens).logits
        with found.deltas[0].apply(network), found.deltas[1].apply(network):
            twice = network(input_ids=tokens).logits
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-4)


def test_alphaedit_keeps_the_keys_of_earlier_edits(network, compiled, context):
    plans = [compiled(2, seed=1), compiled(1, seed=2)]
    method = AlphaEdit(**FEW)
    memory = method.start(network, context)
    counts = []
    for plan in plans:
        delta = method.edit_next(network, plan, context, memory)
        assert delta.failure is None
        counts.append(len(memory.earlier_mf[1]))
    assert counts == [answer_tokens(plans[0]), sum(map(answer_tokens, plans))]


@pytest.mark.parametrize("method", [Rome, Memit, Emmet])
def test_no_keys_are_kept_for_methods_that_use_none(network, compiled, context, method):
    """They were copied after every edit and written to every point of a sequence."""
    short = method(**FEW)
    memory = short.start(network, context)
    assert short.edit_next(network, compiled(1, seed=1), context, memory).failure is None
    assert not memory.earlier_mf
    assert short.in_sequence(network, context).memory() == {}


def test_alphaedit_disturbs_earlier_facts_less_with_memory(network, compiled, context):
    method = AlphaEdit(**FEW, energy=0.5, damping=1e-3)
    first, second = compiled(3, seed=1), compiled(3, seed=2)
    memory = method.start(network, context)
    method.edit_next(network, first, context, memory)
    earlier = memory.earlier_mf[1].clone()
    held = method.edit_next(network, second, context, memory)
    [free] = method.apply(network, [second], context)
    [name] = held.changes
    moved = [(delta.changes[name].to_dense().double() @ earlier.T).norm() for delta in (held, free)]
    assert moved[0] < moved[1]


def test_methods_without_a_memory_go_in_sequence_too(network, compiled, context):
    plans = [compiled(1, seed=1), compiled(1, seed=2)]
    found = edit_in_sequence(network, Lora(steps=30, learning_rate=0.05), plans, context)
    assert all(delta.failure is None for delta in found.deltas)
    gain = found.log_probability[1, 0] - found.log_probability[0, 0]
    assert gain > 0
    assert found.recalled.dtype == np.bool_


def test_progress_of_an_edit_never_goes_back(network, compiled, small_corpus, monkeypatch):
    """Covariances and the search for target vectors each ran to the end of the same bar."""
    monkeypatch.setattr("behemoth.edit.locate.target._CHUNK", 1)  # sites one after another
    seen = []
    context = EditContext(
        small_corpus, progress=lambda done, total, _=None, /: seen.append(done / total)
    )
    Memit(**FEW).apply(network, [compiled(3)], context)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1
