"""State of locate-and-edit methods between layers of an edit, and between edits of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from behemoth.delta.delta import Change

if TYPE_CHECKING:
    from torch import Tensor

    from .covariance import Covariance

__all__ = ["EditorState", "Worked"]


@dataclass
class EditorState:
    """State of a sequence: covariances of the unedited model, and keys of the edits since.

    Attributes
    ----------
    covariances : mapping of layer to Covariance
        Covariances of the unedited model.
    earlier_mf : dict of layer to float64 [m, f]
        Keys of the edits of a sequence so far. Beyond 2 f keys they are replaced by f rows with the
        same sum of k k^T, which is all that an edit needs of them, so that neither the memory nor
        the time of an edit grows with the sequence.
    """

    covariances: Mapping[int, Covariance]
    earlier_mf: dict[int, Tensor] = field(default_factory=dict)

    def remember(self, keys_nf: Mapping[int, Tensor]) -> None:
        """Add the keys of an edit that succeeded."""
        import torch

        for layer, keys in keys_nf.items():
            old = self.earlier_mf.get(layer)
            own = keys if old is None else torch.cat([old, keys])
            if len(own) > 2 * own.shape[1]:
                own = torch.linalg.qr(own, mode="r").R  # R^T R = K^T K
            self.earlier_mf[layer] = own


@dataclass
class Worked:
    """The result of one plan so far."""

    changes: dict[str, Change]
    keys_nf: dict[int, Tensor]
    failures: list[str | None]
    trace: list[dict[str, Any]]
