import polars as pl
import pytest
import torch

from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.delta.module import Codebook, SideMemory
from behemoth.evaluate.geometry import GEOMETRY, geometry
from behemoth.study.trial.batched_geometry import shapes


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


def test_a_codebook_has_no_norm_and_a_side_memory_that_of_its_change(random_model):
    model = random_model(50)
    module = "gpt_neox.layers.0.mlp.dense_4h_to_h"
    own = model.get_parameter(f"{module}.weight").detach()
    one = torch.ones(1)
    memories = {
        0: Codebook(torch.zeros(1, 64).double(), torch.zeros(1, 32), one.double()),
        1: SideMemory(0.5 * own, one[0]),
    }
    deltas = {
        edit: EditDelta({module: memory}, "by hand", {}, "", 0) for edit, memory in memories.items()
    }
    frame = geometry(deltas, model)
    assert frame.schema == pl.Schema(GEOMETRY)
    book, side = frame.iter_rows(named=True)
    assert book["parameter"] == side["parameter"] == module
    assert book["norm"] is None and book["relative_norm"] is None and book["spectrum"] is None
    assert side["relative_norm"] == pytest.approx(0.5)
    of_study = shapes(deltas, model, [1]).to_dicts()
    assert [row["norm"] for row in of_study] == [None, pytest.approx(side["norm"])]
    assert of_study[1]["rank"] == 32
