"""Magnitude pruning: whether forgotten facts come back when small weights are removed.

The weights of smallest magnitude of each linear map are set to 0 (Han et al., 2015, arXiv
1506.02626). Like rounding, this can undo small changes while a model keeps what it knows well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from behemoth.model.architecture import Architecture
from behemoth.support.errors import ArgumentError

from .perturbed import change_in_place, evaluate_changed

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import AppliedDelta, EditDelta
    from behemoth.plan.edit_plan import EditPlan

    from .unedited import Unedited

__all__ = ["evaluate_pruned", "prune"]


def prune(model: nn.Module, share: float) -> AppliedDelta:
    """Set the smallest weights of every linear map within the blocks to 0, in place.

    Parameters
    ----------
    model : nn.Module
        A model; embeddings, the head and biases are not pruned.
    share : float
        Share of each matrix, in [0, 1), rounded down to complete weights; of equal magnitudes,
        those that come first are cut.

    Returns
    -------
    AppliedDelta
        Restores the weights bit-exactly at the end of a ``with`` block.

    Raises
    ------
    ArgumentError
        When `share` is out of range.
    """
    if not 0 <= share < 1:
        raise ArgumentError("share", share, "from 0 to below 1")
    names = Architecture.of(model).linear_modules("both")
    own = dict(model.named_parameters())
    matrices = {f"{name}.weight": own[f"{name}.weight"] for name in names}

    def cut(value: Tensor) -> None:
        order = value.abs().flatten().argsort(stable=True)
        value.view(-1)[order[: int(share * value.numel())]] = 0

    return change_in_place(matrices, cut)


def evaluate_pruned(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    *,
    shares: Sequence[float] = (0.1, 0.3),
    groups: Collection[str] | None = None,
    batch_size: int | None = None,
    unedited: Unedited | None = None,
) -> pl.DataFrame:
    """Evaluate an edited model without its smallest weights.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit; it is left unchanged.
    corpus : Corpus
    plan : EditPlan
    delta : EditDelta
        The delta of the complete plan.
    shares : sequence of float
        Shares of weights to cut, see `prune`.
    groups : collection of str, optional
        Groups of probes to evaluate (`EditPlan.asking`); all by default.
    batch_size, unedited
        See `evaluate_model`.

    Returns
    -------
    polars.DataFrame
        Rows of `evaluate_model`, stage ``after``, with a column share (Float64). The complete
        edited model is pruned; known and kl refer to the unedited, unpruned model.
    """
    plan = plan if groups is None else plan.asking(groups)
    return pl.concat(
        evaluate_changed(
            model,
            corpus,
            plan,
            delta,
            partial(prune, share=share),
            batch_size=batch_size,
            unedited=unedited,
        ).with_columns(pl.lit(share, pl.Float64).alias("share"))
        for share in shares
    )
