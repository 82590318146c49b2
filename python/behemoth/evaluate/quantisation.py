"""Quantisation: whether forgotten facts come back when weights are rounded to a few bits.

Small updates fall within a rounding step, so that round-to-nearest can undo an unlearning
(Zhang et al., 2024, arXiv 2410.16454).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import torch

from behemoth.model.modules import is_transposed
from behemoth.support.errors import ArgumentError

from .perturbed import change_in_place, evaluate_changed

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import AppliedDelta, EditDelta
    from behemoth.plan.edit_plan import EditPlan

    from .unedited import Unedited

__all__ = ["evaluate_quantised", "quantise"]


def quantise(model: nn.Module, bits: int) -> AppliedDelta:
    """Round every matrix of a model to the nearest of 2^bits - 1 levels, row by row, in place.

    Rounding is symmetric: the levels of a row are multiples of max |w| / (2^(bits-1) - 1). If a
    matrix is stored as [in, out], columns are rounded instead: the weights of one output share
    their levels.

    Parameters
    ----------
    model : nn.Module
    bits : int
        Number of bits, 2 to 16.

    Returns
    -------
    AppliedDelta
        Restores the weights bit-exactly at the end of a ``with`` block.

    Raises
    ------
    ArgumentError
        When `bits` is out of range.
    """
    if not 2 <= bits <= 16:
        raise ArgumentError("bits", bits, "2 to 16")
    matrices = {name: value for name, value in model.named_parameters() if value.ndim == 2}
    turned = {id(module.weight) for module in model.modules() if is_transposed(module)}
    levels = 2 ** (bits - 1) - 1

    def rounded(value: Tensor) -> None:
        axis = 0 if id(value) in turned else 1
        step = value.abs().amax(axis, keepdim=True).float() / levels
        steps = (value.float() / step.clamp_min(torch.finfo(torch.float32).tiny)).round()
        value.copy_((steps * step).to(value.dtype))

    return change_in_place(matrices, rounded)


def evaluate_quantised(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    *,
    bits: Sequence[int] = (8, 4),
    groups: Collection[str] | None = None,
    whole: bool = True,
    batch_size: int | None = None,
    unedited: Unedited | None = None,
) -> pl.DataFrame:
    """Evaluate an edited model with rounded weights.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit; it is left unchanged.
    corpus : Corpus
    plan : EditPlan
    delta : EditDelta
        The delta of the complete plan.
    bits : sequence of int
        Numbers of bits, see `quantise`.
    groups : collection of str, optional
        Groups of probes to evaluate (`EditPlan.asking`); all by default.
    whole : bool
        Whether to evaluate the edited model with weights that are not rounded, too.
    batch_size, unedited
        See `evaluate_model`.

    Returns
    -------
    polars.DataFrame
        Rows of `evaluate_model`, stage ``after``, with a column bits (UInt32): 32 for weights
        that are not rounded, if `whole`. The complete edited model is rounded, except changes that
        replace modules (codebooks, side memories); known and kl refer to the unedited, unrounded
        model.
    """
    from .frame import evaluate_model

    plan = plan if groups is None else plan.asking(groups)
    frames = []
    if whole:
        frame = evaluate_model(
            model, corpus, plan, {None: delta}, batch_size=batch_size, unedited=unedited
        )
        after = frame.filter(pl.col("stage") == "after")
        frames.append(after.with_columns(pl.lit(32, pl.UInt32).alias("bits")))
    for count in bits:
        frame = evaluate_changed(
            model, corpus, plan, delta, partial(quantise, bits=count), batch_size=batch_size,
            unedited=unedited,
        )  # fmt: skip
        frames.append(frame.with_columns(pl.lit(count, pl.UInt32).alias("bits")))
    return pl.concat(frames)
