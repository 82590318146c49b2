"""Update geometry: how large each change is, and how many directions it has."""

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
"""Columns of what `geometry` gives."""


def geometry(deltas: Mapping[int | None, EditDelta], model: nn.Module) -> pl.DataFrame:
    """Norm, rank and spectrum of the changes of edits, by parameter.

    Parameters
    ----------
    deltas : mapping of int or None to EditDelta
    model : nn.Module
        Without the edits.

    Returns
    -------
    polars.DataFrame
        One row a changed parameter: edit (null for a batch), method, parameter, norm
        (Frobenius), relative_norm (of the parameter's own), rank (numerical), effective_rank
        (Roy and Vetterli, 2007) and spectrum (singular values, largest first). Of a side
        memory the module stands for its weight; of a codebook, which has no norm, all are null.
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
    """The parameter that a row is of: of that name, or the weight of the module of that name."""
    return parameters[name] if name in parameters else parameters[f"{name}.weight"]
