import pytest
import torch

from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.study.trial.batched_geometry import shapes, spectra


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_spectra_are_those_of_each_matrix():
    changes = [
        Dense(random(6, 9)),
        LowRank(random(6, 2, seed=1), random(2, 9, seed=2)),
        Dense(random(9, 6, seed=3)),
        LowRank(random(6, 2, seed=4), random(2, 9, seed=5)),
        Dense(random(7, seed=6)),
        LowRank(random(3, 4, seed=7), random(4, 9, seed=8)),
    ]
    for change, values in zip(changes, spectra(changes), strict=True):
        dense = change.to_dense()
        wanted = torch.linalg.svdvals(dense if dense.ndim == 2 else dense[None])[: len(values)]
        assert torch.allclose(values.float(), wanted, atol=1e-5)
        assert values.square().sum().sqrt() == pytest.approx(float(dense.norm()), rel=1e-5)


def test_dense_matrices_are_decomposed_for_some_edits_only():
    model = torch.nn.Linear(4, 3)
    deltas = {
        edit: EditDelta({"weight": Dense(random(3, 4)), "bias": Dense(random(3))}, "m", {}, "p", 0)
        for edit in range(3)
    }
    deltas[3] = EditDelta({}, "m", {}, "p", 0, failure="loss nan")
    frame = shapes(deltas, model, [1])
    weights = frame.filter(parameter="weight")
    assert weights["edit"].to_list() == [0, 1, 2]
    assert [rank is None for rank in weights["rank"]] == [True, False, True]
    norm = float(random(3, 4).norm())
    assert weights["norm"].to_list() == pytest.approx([norm] * 3, rel=1e-5)
    assert frame.filter(parameter="bias")["rank"].to_list() == [None] * 3  # no matrix
    assert frame.filter(parameter="bias")["norm"].null_count() == 0
    assert shapes({0: deltas[3]}, model, [0]).is_empty()


def test_no_change_has_rank_0():
    model = torch.nn.Linear(4, 3)
    delta = EditDelta({"weight": Dense(torch.zeros(3, 4))}, "m", {}, "p", 0)
    row = shapes({None: delta}, model, [None]).row(0, named=True)
    assert (row["edit"], row["norm"], row["rank"], row["effective_rank"]) == (None, 0, 0, 0)
