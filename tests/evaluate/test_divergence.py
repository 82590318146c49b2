"""Divergences from log-probabilities, also of tokens that have none."""

import pytest
import torch

from behemoth.evaluate import text_losses
from behemoth.evaluate.divergence import divergences

NEVER = -torch.inf


def test_divergences_of_known_distributions():
    half, all_of_one, other = torch.tensor(
        [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]], dtype=torch.float64
    ).log()
    found = divergences(torch.stack([half, all_of_one, half]), torch.stack([other, half, other]))
    assert found.tolist() == pytest.approx(torch.tensor([2.0, 2.0, 2.0]).log().tolist())
    assert divergences(half[None], half[None]).item() == 0.0
    assert divergences(half[None], all_of_one[None]).item() == torch.inf


def test_what_cancels_to_less_than_nothing_is_nothing():
    logs = torch.randn(500, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logs = logs.log_softmax(1)
    assert (divergences(logs, (logs + 1e-17).log_softmax(1)) >= 0).all()


def test_texts_count_tokens_that_the_reference_never_says_as_probes_do():
    before, after = torch.tensor([[1.0, 2.0, NEVER]]), torch.tensor([[1.0, 2.0, 0.0]])
    [found] = text_losses._divergences(before, iter([after]))
    logs = (each.double().log_softmax(1) for each in (before, after))
    assert found.isfinite() and found > 0 and found == divergences(*logs)
