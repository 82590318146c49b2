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

    None stands for the layer before the last, but never the first of several: of two layers it is
    the last. In the first one `grace` and `wise` held 4 and none of 60 edits of a `pico`, in the
    last 59 and 7.

    It declares `layer` without being a dataclass, so that methods place it among their settings.
    """

    layer: int | None

    def low_rank(self) -> bool:
        """Return false: the change is one of a module."""
        return False

    def module(self, model: nn.Module) -> str:
        """Return the name of the matrix."""
        return Architecture.of(model).mlp_out(self.layer_of(model))

    def layer_of(self, model: nn.Module) -> int:
        """Return the number of its layer, from 0."""
        if self.layer is None:
            last = Architecture.of(model).layers - 1
            return max(last - 1, min(last, 1))
        [layer] = chosen_layers(model, (self.layer,))
        return layer
