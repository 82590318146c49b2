"""The matrix of a memory method: the MLP output matrix of one layer, which is a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behemoth.edit.parametrise import chosen_layers
from behemoth.model.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OneLayer"]


class OneLayer:
    """Base of methods with a setting `layer`; negative numbers count from the last.

    It declares `layer` without being a dataclass, so that methods place it among their settings.
    """

    layer: int

    def low_rank(self) -> bool:
        """Return false: the change is one of a module."""
        return False

    def module(self, model: nn.Module) -> str:
        """Return the name of the matrix."""
        return Architecture.of(model).mlp_out(self.layer_of(model))

    def layer_of(self, model: nn.Module) -> int:
        """Return the number of its layer, from 0."""
        [layer] = chosen_layers(model, (self.layer,))
        return layer
