"""MEND's network: factors of a matrix's gradient in, factors of its update out.

Mitchell et al., 2022 (arXiv 2110.11309, equation 3). Each matrix has a network of its own, so that
the published scales and offsets by layer are part of its weights.

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

    With z the input and the gradient of a token side by side, less their mean and over their
    standard deviation: h = z + max(0, U1 V1 z + b1), then h + U2 V2 h + b2, which is input and
    gradient of the update. With U and b zero, as they begin, it is the identity.

    Attributes
    ----------
    mean, spread : float [f]
        Of z before.
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
        """The identity over features like these.

        Parameters
        ----------
        features_nf : float [n, f]
            Inputs and gradients of many tokens, side by side.
        rank : int
        rate : float
            Step size to begin with.
        generator : torch.Generator
            On the CPU; of the draws.
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
        """What training changes: all but the statistics."""
        return [getattr(self, name) for name in _PARTS[2:]]

    def __call__(self, features: Tensor) -> Tensor:
        """Factors [..., f] of the update."""
        z = (features - self.mean) / (self.spread + 1e-7)
        hidden = z @ self.first_in.T @ self.first_out.T + self.first_bias
        # It begins at 0, where relu and clamp have no gradient: nothing of it would ever learn.
        h = z + torch.where(hidden >= 0, hidden, 0)
        return h + h @ self.second_in.T @ self.second_out.T + self.second_bias


Editors = Mapping[str, Editor]
"""By module."""


def saved(editors: Editors) -> dict[str, Tensor]:
    """The tensors of editors by name."""
    return {
        f"{name}:{part}": getattr(one, part) for name, one in editors.items() for part in _PARTS
    }


def restored(tensors: Mapping[str, Tensor], like: Tensor) -> dict[str, Editor]:
    """Editors of what `saved` gave, where a tensor is and of its type.

    They are copies: tensors that lie in a file's bytes round otherwise in products.
    """
    names = dict.fromkeys(key.rpartition(":")[0] for key in tensors)
    return {
        name: Editor(**{part: tensors[f"{name}:{part}"].to(like).clone() for part in _PARTS})
        for name in names
    }


def update(editor: Editor, inputs: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of an update, - rate sum_t gradient_t input_t^T, of rows [..., T, ·].

    A token without a gradient has no part in it.

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
    """The update of each module by rows, each with a share of its own [n]."""
    changes = {}
    for name, (inputs, gradients) in factors.items():
        left_not, right_nti = update(editors[name], inputs, gradients)
        left = (left_not * shares[:, None, None]).transpose(0, 1).flatten(1)
        right = right_nti.flatten(0, 1)
        used = (left != 0).any(0)
        changes[name] = LowRank(left[:, used], right[used])
    return changes
