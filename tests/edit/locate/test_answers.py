"""Edits of answers of several tokens: every token is given, each behind those before it."""

import pytest
import torch

from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.grace import Grace
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext

FEW = {"samples": 2_000, "prefixes": 0, "steps": 60, "learning_rate": 0.3, "decay": 0.0,
       "clamp": 20.0}  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [
        Rome(**FEW),
        Memit(**FEW, weight=0.01),
        Emmet(**FEW, slack=0.0),
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
