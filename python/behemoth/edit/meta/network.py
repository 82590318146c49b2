"""MEND's network: it maps factors of a matrix's gradient to factors of its update.

Mitchell et al., 2022 (arXiv 2110.11309, equation 3). Each matrix has its own network, so the
published scales and offsets by layer are part of its weights.

Shape letters: n rows, T positions, i inputs, o outputs, f = i + o, r rank of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from behemoth.delta.delta import LowRank

from .factors import Factors

__all__ = ["Editor", "Editors", "update"]

_PARTS = ("mean", "spread", "first_in", "first_out", "first_bias", "second_in", "second_out",
          "second_bias", "rate")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Editor:
    """The network of one matrix.

    With z the concatenated input and gradient of a token, minus their mean and divided by their
    standard deviation: h = z + max(0, U1 V1 z + b1), then h + U2 V2 h + b2, which is input and
    gradient of the update. With the initial U and b, which are zero, it is the identity on z.

    Attributes
    ----------
    mean, spread : float [f]
        Mean and standard deviation of the features before normalisation.
    first_in, second_in : float [r, f]
        V1 and V2.
    first_out, second_out : float [f, r]
        U1 and U2.
    first_bias, second_bias : float [f]
        b1 and b2.
    rate : float []
        Natural logarithm of the step size.
    """

    mean: Tensor
    spread: Tensor
    first_in: Tensor
    first_out: Tensor
    first_bias: Tensor
    second_in: Tensor
    second_out: Tensor
    second_bias: Tensor
    rate: Tensor

    @classmethod
    def begin(
        cls, features_nf: Tensor, rank: int, rate: float, generator: torch.Generator
    ) -> Editor:
        """Return the identity on normalised features, with the statistics of these features.

        Parameters
        ----------
        features_nf : float [n, f]
            Concatenated inputs and gradients of many tokens.
        rank : int
        rate : float
            Initial step size.
        generator : torch.Generator
            Generator of the draws, on the CPU.
        """
        width = features_nf.shape[1]
        mean, spread = features_nf.mean(0), features_nf.std(0)

        def drawn() -> Tensor:
            values = torch.randn(rank, width, generator=generator, dtype=torch.float64)
            return (values * width**-0.5).to(features_nf)

        def zeros(*shape: int) -> Tensor:
            return features_nf.new_zeros(shape)

        return cls(
            mean, spread, drawn(), zeros(width, rank), zeros(width), drawn(), zeros(width, rank),
            zeros(width), features_nf.new_tensor(rate).log(),
        )  # fmt: skip

    def learnt(self) -> list[Tensor]:
        """Return the tensors that training changes: all except the statistics."""
        return [getattr(self, name) for name in _PARTS[2:]]

    def __call__(self, features: Tensor) -> Tensor:
        """Return the factors [..., f] of the update."""
        z = (features - self.mean) / (self.spread + 1e-7)
        hidden = z @ self.first_in.T @ self.first_out.T + self.first_bias
        # Initially hidden is 0, where relu and clamp have no gradient: nothing would be learnt.
        h = z + torch.where(hidden >= 0, hidden, 0)
        return h + h @ self.second_in.T @ self.second_out.T + self.second_bias


Editors = Mapping[str, Editor]
"""Networks by module name."""


def saved(editors: Editors) -> dict[str, Tensor]:
    """Return the tensors of editors by name."""
    return {
        f"{name}:{part}": getattr(one, part) for name, one in editors.items() for part in _PARTS
    }


def restored(tensors: Mapping[str, Tensor], like: Tensor) -> dict[str, Editor]:
    """Return editors from the result of `saved`, with the device and dtype of `like`.

    They are copies: products of tensors that are mapped from a file round differently.
    """
    names = dict.fromkeys(key.rpartition(":")[0] for key in tensors)
    return {
        name: Editor(**{part: tensors[f"{name}:{part}"].to(like).clone() for part in _PARTS})
        for name in names
    }


def update(editor: Editor, inputs: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of an update, - rate sum_t gradient_t input_t^T, of rows [..., T, ·].

    A token whose gradient is zero does not contribute.

    Returns
    -------
    float [..., o, T], float [..., T, i]
    """
    made = editor(torch.cat([inputs, gradients], -1))
    there = (gradients != 0).any(-1, keepdim=True)
    made = torch.where(there, made, 0.0)
    width = inputs.shape[-1]
    return -editor.rate.exp() * made[..., width:].mT, made[..., :width]


def changes_of(editors: Editors, factors: Factors, shares: Tensor) -> dict[str, LowRank]:
    """Return the update of each module as a sum over rows, weighted with their shares [n]."""
    changes = {}
    for name, (inputs, gradients) in factors.items():
        left_not, right_nti = update(editors[name], inputs, gradients)
        left = (left_not * shares[:, None, None]).transpose(0, 1).flatten(1)
        right = right_nti.flatten(0, 1)
        used = (left != 0).any(0)
        changes[name] = LowRank(left[:, used], right[used])
    return changes
