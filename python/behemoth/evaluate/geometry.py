"""Update geometry: size of each change, and number of its directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from behemoth.delta.delta import parameters_of

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.delta import EditDelta

__all__ = ["GEOMETRY", "changed_parameter", "geometry"]

GEOMETRY: dict[str, Any] = {
    "edit": pl.UInt32,
    "method": pl.String,
    "parameter": pl.String,
    "norm": pl.Float64,
    "relative_norm": pl.Float64,
    "rank": pl.UInt32,
    "effective_rank": pl.Float64,
    "spectrum": pl.List(pl.Float64),
}
"""Columns of the frame that `geometry` returns."""


def geometry(deltas: Mapping[int | None, EditDelta], model: nn.Module) -> pl.DataFrame:
    """Return norm, rank and spectrum of the changes of edits, by parameter.

    Parameters
    ----------
    deltas : mapping of int or None to EditDelta
        Deltas of single edits by number, or None to that of a batch.
    model : nn.Module
        The model without the edits.

    Returns
    -------
    polars.DataFrame
        One row per changed parameter: edit (null for a batch), method, parameter, norm
        (Frobenius), relative_norm (relative to the norm of the parameter), rank (numerical),
        effective_rank (Roy and Vetterli, 2007) and spectrum (singular values, largest first); the
        last three are null for biases and other vectors, which are no matrices. For a side memory
        the module's name stands for its weight; for a codebook, which has no norm, all numbers are
        null.
    """
    parameters = parameters_of(model)
    rows = []
    for edit, delta in deltas.items():
        for row in delta.geometry():
            relative = None
            if row["norm"] is not None:
                own = float(changed_parameter(parameters, row["parameter"]).detach().float().norm())
                relative = row["norm"] / own if own > 0 else float("inf")
            rows.append({"edit": edit, "method": delta.method, "relative_norm": relative, **row})
    return pl.DataFrame(rows, schema=GEOMETRY)


def changed_parameter(parameters: Mapping[str, nn.Parameter], name: str) -> nn.Parameter:
    """Return the parameter of a name, or the weight of the module of that name."""
    return parameters[name] if name in parameters else parameters[f"{name}.weight"]
