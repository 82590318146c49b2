"""Norm and rank of many changes, computed in batches.

`EditDelta.geometry`, on which `behemoth.evaluate.geometry` is based, decomposes one matrix after
the other, which takes longer than making the edits. Here matrices of the same shape are decomposed
together, and dense changes only for a few edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch import Tensor, nn

from behemoth.delta.delta import Dense, LowRank, parameters_of
from behemoth.delta.module import ModuleChange
from behemoth.delta.spectra import dense_spectra, product_spectra, ranks
from behemoth.evaluate.geometry import changed_parameter
from behemoth.study.schemas import SHAPES

if TYPE_CHECKING:
    from behemoth.delta.delta import EditDelta, ParameterChange

__all__ = ["shapes", "spectra"]


def shapes(
    deltas: Mapping[int | None, EditDelta], model: nn.Module, decomposed: Iterable[int | None]
) -> pl.DataFrame:
    """Return norm and rank of the changes of edits, by parameter.

    Parameters
    ----------
    deltas : mapping of int or None to EditDelta
    model : nn.Module
        The unedited model.
    decomposed : iterable of int or None
        Edits whose dense changes are decomposed, too; low-rank changes always are.

    Returns
    -------
    polars.DataFrame
        One row per edit and changed parameter: edit (null for a batch), parameter, norm
        (Frobenius), relative_norm (divided by the parameter's norm), rank (numerical: number of
        singular values above 1e-6 of the largest) and effective_rank (Roy and Vetterli, 2007); the
        ranks are null for dense matrices that were not decomposed, and for vectors. A side memory
        is a dense change of its module's weight; all values of a codebook are null.
    """
    parameters = parameters_of(model)
    decomposed_edits = set(decomposed)
    rows: list[dict[str, Any]] = []
    by_parameter: dict[str, list[tuple[int | None, ParameterChange]]] = {}
    for edit, delta in deltas.items():
        for name, change in delta.changes.items():
            weight = change.dense() if isinstance(change, ModuleChange) else change
            if weight is None:
                rows.append(_row(edit, name, None, 0.0, None, None))
                continue
            parameter_change = Dense(weight) if isinstance(weight, Tensor) else weight
            by_parameter.setdefault(name, []).append((edit, parameter_change))
    for name, changes in by_parameter.items():
        parameter_norm = float(changed_parameter(parameters, name).detach().float().norm())
        decomposable: list[tuple[int | None, ParameterChange]] = []
        for edit, change in changes:
            dense = isinstance(change, Dense) and change.change.ndim == 2
            if dense and edit not in decomposed_edits:
                norm = float(torch.linalg.vector_norm(change.to_dense().float()))
                rows.append(_row(edit, name, norm, parameter_norm, None, None))
            else:
                decomposable.append((edit, change))
        values = spectra([change for _, change in decomposable])
        for (edit, change), spectrum in zip(decomposable, values, strict=True):
            rank, effective = ranks(spectrum) if len(change.shape) == 2 else (None, None)
            norm = float(torch.linalg.vector_norm(spectrum))
            rows.append(_row(edit, name, norm, parameter_norm, rank, effective))
    return pl.DataFrame(rows, schema=SHAPES).sort("edit", maintain_order=True)


def spectra(changes: Sequence[ParameterChange]) -> list[Tensor]:
    """Return the singular values of each change, largest first: float64, batched by shape.

    A vector has one singular value, its norm.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, change in enumerate(changes):
        if isinstance(change, LowRank):
            key = ("low", tuple(change.left.shape), tuple(change.right.shape))
        else:
            key = ("dense", tuple(change.change.shape))
        groups.setdefault(key, []).append(place)
    spectrum_of: list[Tensor] = [torch.empty(0)] * len(changes)
    for places in groups.values():
        group = [changes[place] for place in places]
        for place, values in zip(places, _spectra(group), strict=True):
            spectrum_of[place] = values
    return spectrum_of


def _spectra(changes: Sequence[ParameterChange]) -> Tensor:
    """Return the singular values of K changes of the same kind and shape: [K, r]."""
    low = [change for change in changes if isinstance(change, LowRank)]
    if low:
        lefts, rights = [change.left for change in low], [change.right for change in low]
        return product_spectra(torch.stack(lefts), torch.stack(rights))
    return dense_spectra(torch.stack([change.to_dense() for change in changes]))


def _row(
    edit: int | None,
    name: str,
    norm: float | None,
    parameter_norm: float,
    rank: int | None,
    effective: float | None,
) -> dict[str, Any]:
    relative = norm / parameter_norm if norm is not None and parameter_norm > 0 else None
    return {"edit": edit, "parameter": name, "norm": norm, "relative_norm": relative,
            "rank": rank, "effective_rank": effective}  # fmt: skip
