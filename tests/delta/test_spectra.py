"""Spectra of many changes at a time, and ranks of spectra that are known."""

import pytest
import torch

from behemoth.delta.spectra import dense_spectra, product_spectra, ranks


@pytest.mark.parametrize("shape", [(6, 2, 9), (3, 4, 9), (6, 5, 4)])
def test_spectra_are_those_of_the_dense_matrices(shape):
    generator = torch.Generator().manual_seed(0)
    outputs, columns, inputs = shape
    left = torch.randn(3, outputs, columns, generator=generator)
    right = torch.randn(3, columns, inputs, generator=generator)
    found = product_spectra(left, right)
    assert found.shape == (3, min(shape)) and found.dtype == torch.float64
    dense = left.double() @ right.double()
    wanted = torch.linalg.svdvals(dense)
    torch.testing.assert_close(found, wanted[:, : min(shape)])
    torch.testing.assert_close(dense_spectra(dense), wanted, rtol=1e-6, atol=1e-6)


def test_a_vector_has_one_singular_value():
    assert dense_spectra(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[5.0], [0.0]]


def test_ranks_of_known_spectra():
    assert ranks(torch.zeros(3, dtype=torch.float64)) == (0, 0.0)
    assert ranks(torch.tensor([2.0, 2.0, 2.0, 2.0, 1e-7])) == (4, pytest.approx(4, rel=1e-5))
    assert ranks(torch.tensor([5.0])) == (1, pytest.approx(1))
