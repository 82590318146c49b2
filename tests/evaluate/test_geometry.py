import polars as pl
import pytest
import torch

from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.evaluate.geometry import GEOMETRY, geometry


def test_norm_rank_and_spectrum(random_model):
    model = random_model(50)
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    weight = dict(model.named_parameters())[name]
    left, right = torch.zeros(32, 2), torch.zeros(2, 64)
    left[0, 0] = left[1, 1] = 1
    right[0, 0], right[1, 1] = 3, 4
    deltas = {
        3: EditDelta({name: LowRank(left, right)}, "lora", {}, "", 0),
        None: EditDelta({name: Dense(weight.detach().clone())}, "ft", {}, "", 0),
        5: EditDelta({}, "lora", {}, "", 0, failure="loss nan at step 0"),
    }
    frame = geometry(deltas, model)
    assert frame.schema == pl.Schema(GEOMETRY)
    low, dense = frame.iter_rows(named=True)
    assert (low["edit"], low["rank"]) == (3, 2)
    assert low["norm"] == pytest.approx(5)
    assert low["spectrum"] == pytest.approx([4, 3], rel=1e-5)
    assert low["relative_norm"] == pytest.approx(5 / float(weight.detach().norm()))
    assert dense["edit"] is None
    assert dense["relative_norm"] == pytest.approx(1, rel=1e-5)
