"""The layer of memory methods, by default and as set."""

from __future__ import annotations

import pytest

from behemoth.edit.registry import get_method
from behemoth.model.build import build_model
from behemoth.model.sizes import Size


def of_layers(count):
    return build_model(Size("tiny", 16, count, 2, 32), 40, seed=0, block_length=32)


@pytest.mark.parametrize("name", ["grace", "wise"])
@pytest.mark.parametrize(("layers", "chosen"), [(1, 0), (2, 1), (3, 1), (6, 4)])
def test_the_default_is_the_layer_before_the_last_but_never_the_first_of_several(
    name, layers, chosen
):
    model = of_layers(layers)
    method = get_method(name)
    assert method.layer_of(model) == chosen
    assert method.module(model) == f"gpt_neox.layers.{chosen}.mlp.dense_4h_to_h"
    assert method.place(model).count(f"layer {chosen} of {layers}") == 1


@pytest.mark.parametrize("name", ["grace", "wise"])
def test_a_layer_that_is_set_is_taken_as_it_is(name):
    model = of_layers(2)
    chosen = [get_method(name, {"layer": layer}).layer_of(model) for layer in (-2, -1, 0, 1)]
    assert chosen == [0, 1, 0, 1]
