"""What locate-and-edit methods keep from one step to the next, and from one edit to the next."""

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
    """What a method knows of the model that it started from, and of its edits since.

    Attributes
    ----------
    covariances : mapping of layer to Covariance
        Of the unedited model.
    earlier_mf : dict of layer to float64 [m, f]
        Keys of the edits of a sequence so far.
    """

    covariances: Mapping[int, Covariance]
    earlier_mf: dict[int, Tensor] = field(default_factory=dict)

    def remember(self, keys_nf: Mapping[int, Tensor]) -> None:
        """Add keys of an edit that went through."""
        import torch

        for layer, keys in keys_nf.items():
            old = self.earlier_mf.get(layer)
            self.earlier_mf[layer] = keys if old is None else torch.cat([old, keys])


@dataclass
class Worked:
    """What became of one plan."""

    changes: dict[str, Change]
    keys_nf: dict[int, Tensor]
    failures: list[str | None]
    trace: list[dict[str, Any]]
