"""EMMET: every key of a batch gives its target, and one key is ROME."""

import torch

from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext


def test_update_meets_its_equality_constraints(equations):
    keys, residuals, covariance = equations(6)
    change = Emmet(slack=0.0, ridge=0.0).solve(keys, residuals, covariance, keys.T[:0])
    torch.testing.assert_close(change.to_dense() @ keys, residuals, rtol=0, atol=1e-10)
    assert change.rank == 6


def test_update_has_the_least_norm_under_the_covariance(equations):
    keys, residuals, covariance = equations(4)
    dense = Emmet(slack=0.0, ridge=0.0).solve(keys, residuals, covariance, keys.T[:0]).to_dense()
    # Lagrange: the gradient of tr(D C D^T), 2 D C, lies in the span of the constraints.
    gradient = dense @ covariance.matrix_ff
    basis, _ = torch.linalg.qr(keys)
    torch.testing.assert_close(gradient @ basis @ basis.T, gradient, rtol=0, atol=1e-9)


def test_one_subject_is_rome(equations):
    keys, residuals, covariance = equations(1)
    emmet = Emmet(slack=0.0).solve(keys, residuals, covariance, keys.T[:0]).to_dense()
    rome = Rome(ridge=Emmet().ridge).solve(keys, residuals, covariance, keys.T[:0]).to_dense()
    torch.testing.assert_close(emmet, rome)


def test_slack_lets_equalities_give_way(equations):
    keys, residuals, covariance = equations(3)
    change = Emmet(slack=100.0, absolute=True).solve(keys, residuals, covariance, keys.T[:0])
    assert (change.to_dense() @ keys).norm() < 0.9 * residuals.norm()


def test_edits_of_one_subject_are_one_constraint(network, compiled, small_corpus):
    plan = compiled(30, independent=True)
    subjects = plan.edits["subject"].n_unique()
    assert subjects < len(plan)
    method = Emmet(layers=(1,), steps=2, samples=2_000, prefixes=1, token="subject")
    [delta] = method.apply(network, [plan], EditContext(small_corpus))
    [change] = delta.changes.values()
    assert change.rank == subjects
