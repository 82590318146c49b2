"""What is kept of modules while a model runs, and that nothing of it stays behind."""

import pytest
import torch

from behemoth.model.observe import outputs_of, watching, with_offsets

TOKENS = torch.tensor([[5, 9, 12, 5], [3, 4, 2, 7]])
MLP = "gpt_neox.layers.1.mlp.dense_4h_to_h"


def hooks(model):
    return [name for name, own in model.named_modules() if own._forward_hooks]


def test_input_and_output_of_a_module(model):
    module = model.get_submodule(MLP)
    with torch.no_grad(), watching(module) as seen:
        model(input_ids=TOKENS)
    assert seen["input"].shape == (2, 4, 32)
    assert torch.equal(module(seen["input"]), seen["output"])
    assert hooks(model) == []


def test_outputs_of_several_modules_by_key(model):
    blocks = dict(enumerate(model.gpt_neox.layers))
    with torch.no_grad(), outputs_of(blocks) as seen:
        said = model(input_ids=TOKENS, output_hidden_states=True)
    assert list(seen) == [0, 1]
    assert torch.equal(seen[0], said.hidden_states[1])
    assert torch.equal(model.gpt_neox.final_layer_norm(seen[1]), said.hidden_states[2])


def test_gradients_with_respect_to_outputs_are_those_of_a_bias(model):
    with with_offsets(model, [MLP]) as seen:
        loss = model(input_ids=TOKENS, labels=TOKENS).loss
    [(inputs, offset)] = seen.values()
    bias = model.get_submodule(MLP).bias
    by_token, by_bias = torch.autograd.grad(loss, [offset, bias])
    torch.testing.assert_close(by_token.sum((0, 1)), by_bias)
    assert not inputs.requires_grad
    assert hooks(model) == []


def test_hooks_are_removed_after_an_error(model):
    with pytest.raises(RuntimeError, match="inside"), outputs_of({0: model.gpt_neox}):
        raise RuntimeError("inside")
    assert hooks(model) == []
