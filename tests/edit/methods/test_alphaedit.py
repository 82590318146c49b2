"""AlphaEdit: preserved keys keep their outputs; the null space by energy and by directions."""

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.locate.covariance import Covariance
from behemoth.edit.methods.alphaedit import AlphaEdit, null_space
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method


def test_null_space_leaves_out_the_share_of_energy():
    values = torch.tensor([50.0, 30.0, 15.0, 4.0, 0.9, 0.1], dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    matrix = rotation @ torch.diag(values) @ rotation.T
    for energy, kept in ((0.8, 4), (0.95, 3), (0.99, 2), (0.9985, 1)):
        basis = null_space(*torch.linalg.eigh(matrix), energy - 1e-9)
        assert basis.shape == (6, kept)
        projector = basis @ basis.T
        torch.testing.assert_close(projector @ projector, projector)
        wanted = rotation[:, 6 - kept :] @ rotation[:, 6 - kept :].T
        torch.testing.assert_close(projector, wanted, rtol=0, atol=1e-9)


def test_null_space_has_a_share_of_the_directions_where_the_spectrum_is_flat():
    values = torch.tensor([2.0, 1.8, 1.6, 1.4, 1.2, 1.0], dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    matrix = rotation @ torch.diag(values) @ rotation.T
    assert null_space(*torch.linalg.eigh(matrix), 0.999).shape == (6, 0)
    for directions, kept in ((0.5, 3), (0.7, 4), (0.99, 5)):
        basis = null_space(*torch.linalg.eigh(matrix), 0.999, directions)
        wanted = rotation[:, 6 - kept :] @ rotation[:, 6 - kept :].T
        torch.testing.assert_close(basis @ basis.T, wanted, rtol=0, atol=1e-9)
    # Where energy leaves more to the null space it decides, and an eigenvalue does before both.
    assert null_space(*torch.linalg.eigh(matrix), 0.3, 0.5).shape == (6, 4)
    assert null_space(*torch.linalg.eigh(matrix), 0.999, 0.5, eigenvalue=1.1).shape == (6, 1)


def test_an_edit_comes_about_where_the_spectrum_is_flat(equations):
    keys, residuals, _ = equations(3)
    covariance = Covariance(torch.diag(torch.linspace(1, 2, 24, dtype=torch.float64)), 500)
    change = AlphaEdit().solve(keys, residuals, covariance, keys.T[:0]).to_dense()
    assert (change @ keys).norm() > 0.3 * residuals.norm()
    alone = AlphaEdit(directions=0).solve(keys, residuals, covariance, keys.T[:0]).to_dense()
    assert not alone.any(), "by energy alone there is no null space"


def test_null_space_does_not_depend_on_the_scale(equations):
    _, _, covariance = equations(1)
    matrix = covariance.matrix_ff
    own, scaled = (null_space(*torch.linalg.eigh(each), 0.9) for each in (matrix, 1e-6 * matrix))
    assert own.shape == scaled.shape


def test_preserved_keys_keep_their_outputs(equations):
    keys, residuals, covariance = equations(4, rank=10)
    change = AlphaEdit(energy=1 - 1e-9, damping=0.1).solve(keys, residuals, covariance, keys.T[:0])
    _, vectors = torch.linalg.eigh(covariance.matrix_ff)
    preserved = vectors[:, -10:] @ torch.randn(10, 7, dtype=torch.float64)
    assert (change.to_dense() @ preserved).abs().max() < 1e-10
    assert (change.to_dense() @ keys).norm() > 0.5 * residuals.norm()
    assert change.rank == 4


@pytest.mark.parametrize("count", [3, 9])  # fewer keys than directions, and more
def test_update_solves_the_published_equations(equations, count):
    keys, residuals, covariance = equations(count, rank=12)
    earlier = torch.randn(5, 24, dtype=torch.float64)
    method = AlphaEdit(energy=0.999, directions=0, damping=0.3)
    dense = method.solve(keys, residuals, covariance, earlier).to_dense()
    basis = null_space(*torch.linalg.eigh(covariance.matrix_ff), 0.999)
    projector = basis @ basis.T
    damping = 0.3 * (projector @ keys).square().sum(0).mean()
    matrix = projector @ (keys @ keys.T + earlier.T @ earlier) + damping * torch.eye(24)
    torch.testing.assert_close(matrix @ dense.T, projector @ keys @ residuals.T)


def test_earlier_keys_are_held(equations):
    keys, residuals, covariance = equations(3, rank=8)
    earlier = torch.randn(2, 24, dtype=torch.float64)
    method = AlphaEdit(energy=0.999)
    free = method.solve(keys, residuals, covariance, earlier[:0]).to_dense()
    held = method.solve(keys, residuals, covariance, 100 * earlier).to_dense()
    assert (held @ earlier.T).norm() < 0.01 * (free @ earlier.T).norm()


def test_applies(network, compiled, small_corpus):
    method = AlphaEdit(layers=(0, 1), steps=3, samples=2_000, prefixes=1)
    plan = compiled(3)
    [delta] = method.apply(network, [plan], EditContext(small_corpus))
    assert delta.failure is None
    tokens = plan.training.filter(role="edit").unique("edit")["answer"].list.len().sum()
    assert {change.rank for change in delta.changes.values()} == {tokens}


def test_an_empty_null_space_is_a_failure(network, compiled, small_corpus):
    method = AlphaEdit(steps=2, samples=2_000, prefixes=0, eigenvalue=1e-300)
    [delta] = method.apply(network, [compiled(1)], EditContext(small_corpus))
    assert not delta.changes
    assert delta.failure == "no change of layer 2 that is allowed acts on the keys of the edit"


@pytest.mark.parametrize("directions", [-0.1, 1.0])
def test_what_is_refused(directions):
    with pytest.raises(ArgumentError, match=r"argument 'directions': got .*, allowed: from 0 and"):
        AlphaEdit(directions=directions)


def test_it_inverts_no_covariance_and_so_has_no_ridge():
    with pytest.raises(ArgumentError, match="argument 'ridge': got an unknown setting of alpha"):
        get_method("alphaedit", {"ridge": 1e-5})
    assert get_method("memit", {"ridge": 0.0}).ridge == 0
