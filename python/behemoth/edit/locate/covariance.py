"""The uncentred covariance of keys over the corpus: the directions that occur in an MLP's inputs.

It is accumulated in float64 batch by batch, so memory does not grow with the sample. With a cache
directory it is computed once for each model, corpus, layout, sample size and layer. The layout is
that of training: for a model trained with a document mask, an edit at a prompt's last token
preserved a fifth of the facts with the same object if the covariance was computed over packed
blocks, and four fifths over documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from behemoth.edit.cache import digest_of, read_tensors, write_tensors
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.modules import backbone
from behemoth.model.observe import watching
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance, silent

from .equations import plus_diagonal
from .layout import Layout

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["Covariance", "covariances", "model_hash"]


@dataclass(frozen=True)
class Covariance:
    """E[k k^T] of one layer.

    Attributes
    ----------
    matrix_ff : float64 [f, f]
    samples : int
        Number of tokens that it is the mean over.
    """

    matrix_ff: Tensor
    samples: int
    # Every edit solves with the same matrix, and its factor costs more than all else.
    _factors: dict[float | None, tuple[Tensor, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def regularised(self, ridge: float) -> Tensor:
        """Return the matrix plus `ridge` times its mean diagonal, which makes it invertible."""
        return plus_diagonal(self.matrix_ff, ridge * self.matrix_ff.diagonal().mean())

    def solved(self, ridge: float, right_fn: Tensor) -> Tensor:
        """Return the solution of equations with the regularised matrix; NaN if it is singular.

        The matrix is factorised once for each ridge, in the way of `torch.linalg.solve_ex`.
        """
        if ridge not in self._factors:
            self._factors[ridge] = torch.linalg.lu_factor_ex(self.regularised(ridge))
        factor, pivots, info = self._factors[ridge]
        if int(info):
            return torch.full_like(right_fn, torch.nan)
        return torch.linalg.lu_solve(factor, pivots, right_fn)

    def eigenvectors(self) -> tuple[Tensor, Tensor]:
        """Return eigenvalues [f], ascending, and eigenvectors [f, f]; computed once."""
        if None not in self._factors:
            self._factors[None] = tuple(torch.linalg.eigh(self.matrix_ff))
        values_f, vectors_ff = self._factors[None]
        return values_f, vectors_ff


def covariances(
    model: nn.Module,
    corpus: Corpus,
    layers: Sequence[int],
    samples: int,
    layout: Layout,
    *,
    cache: Path | None = None,
    step: Advance = silent,
) -> dict[int, Covariance]:
    """Return the covariances of layers, computed in one pass over tokens of the corpus.

    Parameters
    ----------
    model : nn.Module
    corpus : Corpus
        The tokens are the first of its stream; with a schedule they are spread over all of it.
    layers : sequence of int
    samples : int
        Number of tokens; fewer if the corpus has fewer. Tokens whose keys are not finite are
        skipped.
    layout : Layout
        The tokens that the model sees together.
    cache : Path, optional
        Directory to keep them in.
    step : callable, optional
        Called with (done, total) tokens.

    Raises
    ------
    ArgumentError
        If no token has finite keys.
    """
    files: dict[int, Path] = {}
    if cache is not None:
        name = f"{model_hash(model)[:24]}-{corpus.spec_hash[:24]}-{layout.name}-{samples}"
        if layout.is_spread(corpus, samples):
            name += "-spread"
        files = {layer: cache / "covariances" / f"{name}-{layer}.safetensors" for layer in layers}
    device = next(model.parameters()).device
    kept = {layer: _load(file, device) for layer, file in files.items()}
    found = {layer: covariance for layer, covariance in kept.items() if covariance is not None}
    missing = [layer for layer in layers if layer not in found]
    if missing:
        made = _accumulate(model, corpus, missing, samples, layout, step)
        for layer, covariance in made.items():
            if layer in files:
                _save(covariance, files[layer])
        found |= made
    return {layer: found[layer] for layer in layers}


def model_hash(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters with their names, shapes and types."""
    return digest_of(dict(model.named_parameters()))


@torch.no_grad()
def _accumulate(
    model: nn.Module,
    corpus: Corpus,
    layers: Sequence[int],
    samples: int,
    layout: Layout,
    step: Advance,
) -> dict[int, Covariance]:
    architecture = Architecture.of(model)
    parameter = next(model.parameters())
    sums: dict[int, Tensor] = {}
    counts = dict.fromkeys(layers, 0)
    with evaluating(model), ExitStack() as stack:
        seen = {
            layer: stack.enter_context(watching(model.get_submodule(architecture.mlp_out(layer))))
            for layer in layers
        }
        done = 0
        for tokens_bt, own_bt in layout.batches(corpus, samples):
            backbone(model)(input_ids=tokens_bt.to(parameter.device), use_cache=False)
            for layer in layers:
                keys_nf = seen[layer]["input"][own_bt.to(parameter.device)].double()
                keys_nf = keys_nf[keys_nf.isfinite().all(-1)]
                product = keys_nf.T @ keys_nf
                sums[layer] = sums[layer] + product if layer in sums else product
                counts[layer] += len(keys_nf)
            done += int(own_bt.sum())
            step(min(done, samples), samples)
    if not all(counts.values()):
        raise ArgumentError("model", "one whose keys are not finite on any token", "finite weights")
    return {layer: Covariance(sums[layer] / counts[layer], counts[layer]) for layer in layers}


def _load(file: Path, device: torch.device) -> Covariance | None:
    tensors = read_tensors(file)
    if tensors is None:
        return None
    return Covariance(tensors["covariance"].to(device), int(tensors["samples"]))


def _save(covariance: Covariance, file: Path) -> None:
    samples = torch.tensor(covariance.samples)
    write_tensors(file, {"covariance": covariance.matrix_ff, "samples": samples})
