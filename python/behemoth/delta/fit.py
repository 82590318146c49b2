"""Whether a model has the parameters that changes are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

    from .delta import ParameterChange

__all__ = ["check_shapes"]


def check_shapes(
    parameters: Mapping[str, nn.Parameter], changes: Mapping[str, ParameterChange]
) -> None:
    """Refuse changes of parameters that a model lacks, or has in another shape.

    Raises
    ------
    ArgumentError
        With the parameter.
    """
    for name, change in changes.items():
        if name not in parameters:
            raise ArgumentError(
                "model", f"one without {name}", "a model with the parameters of the edit"
            )
        got = tuple(parameters[name].shape)
        if change.shape != got:
            raise ArgumentError("model", f"{name} of shape {got}", str(change.shape))
