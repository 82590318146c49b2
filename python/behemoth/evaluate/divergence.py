"""The divergence of next-token distributions, by one rule for probes, texts and twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["divergences"]


def divergences(reference: Tensor, other: Tensor) -> Tensor:
    """Return KL(reference || other) of each row, in nats, never below 0.

    Terms of probability 0 in the reference count 0, whatever their probability in the other.

    Parameters
    ----------
    reference, other : float64 [rows, vocabulary]
        Log-probabilities. In float64: the terms of a small divergence cancel.

    Returns
    -------
    float64 [rows]
    """
    terms = reference.exp() * (reference - other)
    return terms.masked_fill_(reference.isneginf(), 0.0).sum(1).clamp_min(0.0)
