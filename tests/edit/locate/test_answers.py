"""Edits of answers of several tokens: every token is given, each behind those before it."""

import pytest
import torch

from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.encore import Encore
from behemoth.edit.methods.grace import Grace
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext
from behemoth.edit.record import failures_within

FEW = {"samples": 2_000, "prefixes": 0, "steps": 60, "learning_rate": 0.3, "decay": 0.0,
       "clamp": 20.0}  # fmt: skip


METHODS = pytest.mark.parametrize("kind", [Rome, Memit, Emmet, Encore, AlphaEdit])
QUICK = {"samples": 2_000, "prefixes": 0, "steps": 3, "clamp": 2.0}


@METHODS
def test_a_trace_has_one_row_for_each_step_of_an_edit(kind, network, small_corpus, compiled):
    plan, context = compiled(2), EditContext(corpus=small_corpus)
    assert (plan.training.filter(role="edit")["answer"].list.len() > 1).all()
    for single in plan.singles():
        [delta] = kind(**QUICK).apply(network, [single], context)
        assert [row["step"] for row in delta.trace] == [0, 1, 2, 3]
        assert {row["edit"] for row in delta.trace} == set(single.edits["edit"])
        assert all("log_probability_old" in row for row in delta.trace)
    [delta] = kind(**QUICK).apply(network, [plan], context)
    rows = [(row["edit"], row["step"]) for row in delta.trace]
    assert rows == [(edit, step) for edit in plan.edits["edit"] for step in range(4)]


@METHODS
def test_an_edit_fails_alone_if_it_fails_in_a_batch(kind, network, small_corpus, compiled):
    """A token of its answer has no target vector: of the others there is no edit."""
    plan, context = compiled(4), EditContext(corpus=small_corpus)
    rows = plan.training.filter(role="edit").to_dicts()
    broken = next(
        row["answer"][0] for row in rows
        if len(row["answer"]) > 1 and row["answer"][0] not in row["prompt"]
    )  # fmt: skip
    with torch.no_grad():
        network.get_input_embeddings().weight[broken] = torch.nan
    method = kind(**QUICK)
    [whole] = method.apply(network, [plan], context)
    failed = [row.edit for row in failures_within(whole)]
    assert whole.failure is None and 0 < len(failed) < len(plan)
    alone = method.apply(network, plan.singles(), context)
    numbers = plan.edits["edit"]
    assert failed == [edit for edit, delta in zip(numbers, alone, strict=True) if delta.failure]
    assert all((delta.failure is None) == bool(delta.changes) for delta in alone)
    sequence = method.in_sequence(network, context)
    assert sequence(plan.single(failed[0])).failure is not None
    assert not sequence.memory(), "of an edit that failed"


@pytest.mark.parametrize(
    "method",
    [
        Rome(**FEW),
        Memit(**FEW, weight=0.01),
        Emmet(**FEW, slack=0.0),
        Encore(**FEW, weight=0.01, norm=0.0),
        AlphaEdit(**FEW, damping=0.001, energy=0.5),
        Grace(layer=-1, learning_rate=0.3),
    ],
    ids=lambda method: method.info.name,
)
def test_all_tokens_of_an_answer_are_given(method, network, small_corpus, compiled):
    plan = compiled(1)
    [row] = plan.training.filter(role="edit").unique("edit").iter_rows(named=True)
    assert len(row["answer"]) > 1
    [delta] = method.apply(network, [plan], EditContext(corpus=small_corpus))
    text = torch.tensor([row["prompt"] + row["answer"][:-1]])
    with torch.no_grad(), delta.apply(network):
        given = network(input_ids=text).logits[0, len(row["prompt"]) - 1 :].argmax(-1)
    assert given.tolist() == row["answer"]
