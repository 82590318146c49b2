"""Distances of a model from its twin, against those of whole passes."""

import copy

import polars as pl
import pytest
import torch

from behemoth.evaluate.twin import parameter_distance, twin_divergences


def test_distances_to_a_twin(model, random_model):
    other = random_model(40)
    prompts = pl.Series([[3, 4], [5, 6, 7], [8]] * 120)
    found = twin_divergences(other, model, prompts)
    for number in (0, 1, 2, 300):
        ids = torch.tensor([prompts[number].to_list()])
        with torch.no_grad():
            theirs, ours = (m(ids).logits[0, -1].double().log_softmax(0) for m in (other, model))
        wanted = (theirs.exp() * (theirs - ours)).sum().item()
        assert found[number] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert parameter_distance(model, model) == 0.0
    moved = copy.deepcopy(model)
    with torch.no_grad():
        moved.gpt_neox.layers[0].mlp.dense_4h_to_h.weight[0, 0] += 3.0
    assert parameter_distance(moved, model) == pytest.approx(3.0, abs=1e-6)
