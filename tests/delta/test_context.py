"""A context before what is asked: as if the tokens stood in the prompt, cached, padded, stacked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.utils import generic

from behemoth import ArgumentError
from behemoth.delta.context import Context, positions_left
from behemoth.delta.delta import Dense, EditDelta
from behemoth.delta.stack import stack_deltas
from behemoth.model.architecture import Architecture
from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model
from behemoth.model.sizes import Size
from behemoth.recall.generation import decode, decode_batch, generate
from behemoth.recall.ragged import Ragged

PROMPTS = [[5, 9, 7], [8, 6, 12, 30, 4], [11]]
EXACT = ("gpt_neox", "gpt2")  # the norms of the others are in float32, see test_families.py

every_family = pytest.mark.parametrize("family", FAMILIES)


def tiny(family):
    size = Size(
        "tiny", 32, 2, 4, 48, family, key_value_heads=2, head_width=8,
        tied=FAMILIES[family].tied, settings={"initializer_range": 0.3},
    )  # fmt: skip
    return build_model(size, 40, seed=0, block_length=64).eval().double()


def before(model, tokens):
    change = Context(torch.tensor(tokens))
    return EditDelta({Architecture.of(model).stream: change}, "by hand", {}, "", 0)


def logits(model, prompts):
    """Of each row by itself, over its own tokens."""
    with torch.no_grad():
        return [model(input_ids=torch.tensor([row])).logits[0] for row in prompts]


@every_family
def test_it_is_as_if_the_tokens_stood_in_the_prompt(family):
    model, said = tiny(family), [3, 17, 22, 9]
    near = {"rtol": 0, "atol": 1e-9 if family in EXACT else 1e-5}
    wanted = logits(model, [said + prompt for prompt in PROMPTS])
    plain = logits(model, PROMPTS)
    answers = generate(model, [said + prompt for prompt in PROMPTS], most=6, stop=())
    with before(model, said).apply(model):
        found = logits(model, PROMPTS)
        again = generate(model, PROMPTS, most=6, stop=())
        assert positions_left(model) == model.config.max_position_embeddings - 4
    for mine, theirs, own in zip(found, wanted, plain, strict=True):
        torch.testing.assert_close(mine, theirs[4:], **near)
        assert not torch.allclose(mine, own, atol=1e-3), "the context has a say"
    assert again == answers, "padded and with a cache"
    torch.testing.assert_close(logits(model, PROMPTS), plain, **near)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_it_asks_transformers_for_nothing_by_an_old_name(monkeypatch):
    """Which is logged once and not warned of, and later gives no cache."""
    told: list[str] = []
    monkeypatch.setattr(generic.logger, "warning_once", told.append)
    model = tiny("gpt_neox")
    with before(model, [3, 17]).apply(model):
        generate(model, PROMPTS, most=2, stop=())
        logits(model, PROMPTS)
    assert told == []


@every_family
def test_contexts_of_several_lengths_stand_side_by_side(family):
    model = tiny(family)
    name = f"{Architecture.of(model).mlp_out(0)}.weight"
    shape = model.get_parameter(name).shape
    other = EditDelta({name: Dense(torch.full(shape, 0.01).double())}, "by hand", {}, "", 0)
    deltas = [before(model, [3, 17, 22, 9]), before(model, [21]), other]
    rows = Ragged.of(PROMPTS)
    alone = []
    for delta in deltas:
        with delta.apply(model):
            alone += decode(model, rows, None, most=5, stop=())
    longest = Ragged.of([prompt for _ in deltas for prompt in PROMPTS])
    device = torch.device("cpu")
    with torch.no_grad(), stack_deltas(model, deltas).attached():
        together = decode_batch(model, longest, None, np.arange(9), 5, frozenset(), device)
    for number, batch in enumerate(alone):
        mine = number * len(PROMPTS) + batch.rows
        torch.testing.assert_close(together.logits[mine], batch.logits, rtol=0, atol=1e-5)
        assert (together.tokens[mine] == batch.tokens).all()


def test_what_does_not_fit_is_refused():
    model = tiny("gpt_neox")
    most = model.config.max_position_embeddings
    with before(model, [3] * (most - 4)).apply(model):
        model(input_ids=torch.tensor([[5] * 4]))
        with pytest.raises(ArgumentError, match=f"5 tokens after a context of {most - 4}, allowed:"
                                                f" {most} tokens together"):  # fmt: skip
            model(input_ids=torch.tensor([[5] * 5]))
        with pytest.raises(ArgumentError, match="allowed: token ids"):
            model(inputs_embeds=torch.zeros(1, 2, 32).double())
    with pytest.raises(ArgumentError, match="gpt_neox of 40 words"):
        before(model, [40]).apply(model)
    head = {Architecture.of(model).head: Context(torch.tensor([3]))}
    with pytest.raises(ArgumentError, match="a Linear, allowed: embedding and blocks there"):
        EditDelta(head, "by hand", {}, "", 0).apply(model)


def test_it_is_saved_and_loaded(tmp_path):
    delta = before(tiny("gpt_neox"), [3, 17])
    delta.save(tmp_path)
    [change] = EditDelta.load(tmp_path).changes.values()
    assert isinstance(change, Context) and repr(change) == "Context(2 tokens)"
    assert change.tokens.tolist() == [3, 17]
