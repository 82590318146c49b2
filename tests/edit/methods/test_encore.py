"""ENCORE: MEMIT with the norm of the change in its equations, and a search that stops early."""

import pytest
import torch

from behemoth.edit.methods.encore import Encore
from behemoth.edit.methods.memit import Memit
from behemoth.edit.protocol import EditContext

FEW = {"token": "subject", "layers": (0, 1), "steps": 5, "samples": 2_000, "prefixes": 2}
LONG = {**FEW, "token": "prompt", "steps": 40, "decay": 0.0, "clamp": 20.0}


@pytest.mark.parametrize("earlier", [0, 7])
@pytest.mark.parametrize("count", [5, 30])  # fewer keys than neurons, and more
def test_update_solves_its_normal_equations(equations, count, earlier):
    keys, residuals, covariance = equations(count)
    before = equations(earlier or 1)[0].T[:earlier]
    method = Encore(weight=7.0, norm=3.0, absolute=True, ridge=0.0)
    change = method.solve(keys, residuals, covariance, before)
    normal = 7.0 * covariance.matrix_ff + 3.0 * torch.eye(24).double() + before.T @ before
    left = change.to_dense() @ (normal + keys @ keys.T)
    torch.testing.assert_close(left, residuals @ keys.T, rtol=0, atol=1e-10)
    assert change.rank == count


@pytest.mark.parametrize("count", [5, 30])
def test_norm_is_a_share_of_the_corpus_at_its_weight(equations, count):
    keys, residuals, covariance = equations(count)
    matrix = covariance.matrix_ff
    weight = 0.5 * (keys * torch.linalg.solve(matrix, keys)).sum(0).mean()
    weighted = {"weight": float(weight), "norm": float(0.2 * weight * matrix.diagonal().mean())}
    changes = [
        method.solve(keys, residuals, covariance, keys.T[:0]).to_dense()
        for method in (
            Encore(weight=0.5, norm=0.2, ridge=0.0),
            Encore(**weighted, absolute=True, ridge=0.0),
        )
    ]
    torch.testing.assert_close(*changes, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("count", [1, 5, 30])
@pytest.mark.parametrize("settings", [{}, {"weight": 3.0, "absolute": True}])
def test_without_a_norm_the_update_is_memits(equations, count, settings):
    keys, residuals, covariance = equations(count)
    encore = Encore(norm=0.0, **settings).solve(keys, residuals, covariance, keys.T[:0])
    memit = Memit(**settings).solve(keys, residuals, covariance, keys.T[:0])
    torch.testing.assert_close(encore.to_dense(), memit.to_dense(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stop_after", [None, 0])
def test_without_norm_and_early_stopping_an_edit_is_memits(
    network, compiled, small_corpus, stop_after
):
    plans, context = [compiled(3, seed=1), compiled(2, seed=2)], EditContext(small_corpus)
    network.double()
    same = {**LONG, "stop_loss": 0.0}
    wanted = Memit(**same).apply(network, plans, context)
    found = Encore(**same, norm=0.0, stop_after=stop_after).apply(network, plans, context)
    for one, other in zip(found, wanted, strict=True):
        distance = sum(
            float((change.to_dense() - other.changes[name].to_dense()).norm())
            for name, change in one.changes.items()
        )
        assert (distance < 1e-8) == (stop_after is None)


def test_the_update_gets_smaller_as_its_norm_weighs_more(equations):
    keys, residuals, covariance = equations(5)
    norms = [
        float(Encore(norm=norm).solve(keys, residuals, covariance, keys.T[:0]).to_dense().norm())
        for norm in (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0)
    ]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.2 * norms[0]


def test_plans_side_by_side_equal_one_by_one(network, compiled, small_corpus):
    """Each of their vectors stops by itself."""
    network.double()
    plans = [compiled(2, seed=1), compiled(3, seed=2), compiled(1, seed=3)]
    method = Encore(**LONG)
    context = EditContext(small_corpus)
    together = method.apply(network, plans, context)
    lasts = [max(row["step"] for row in delta.trace) for delta in together]
    assert len(set(lasts)) > 1
    for plan, delta in zip(plans, together, strict=True):
        [alone] = method.apply(network, [plan], context)
        assert len(delta.trace) == len(alone.trace)
        for name, change in delta.changes.items():
            torch.testing.assert_close(change.to_dense(), alone.changes[name].to_dense())


def test_earlier_edits_of_a_sequence_are_disturbed_less(network, compiled, small_corpus):
    method = Encore(**{**FEW, "layers": (1,)}, weight=1e-3, norm=1e-3)
    context = EditContext(small_corpus)
    sequence = method.in_sequence(network, context)
    sequence(compiled(3, seed=1))
    earlier = sequence.memory()["1"].clone()
    second = compiled(3, seed=2)
    [free] = method.apply(network, [second], context)
    [name] = free.changes
    moved = [
        (delta.changes[name].to_dense().double() @ earlier.T).norm()
        for delta in (sequence(second), free)
    ]
    assert moved[0] < moved[1]
