"""Does what was forgotten come back when weights are rounded? Round-to-nearest to a few bits.

Small updates fall within a rounding step, so that rounding can undo an unlearning
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

__all__ = ["evaluate_quantised", "quantise"]


def quantise(model: nn.Module, bits: int) -> AppliedDelta:
    """Round every matrix of a model to the nearest of 2^bits - 1 levels, row by row, in place.

    Symmetric: the levels of a row are multiples of max |w| / (2^(bits-1) - 1). Where a matrix is
    [in, out], a row is a column: what gives one output is rounded together.

    Parameters
    ----------
    model : nn.Module
    bits : int
        2 to 16.

    Returns
    -------
    AppliedDelta
        Gives the model its weights back, bit-exactly, at the end of a ``with`` block.
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
    batch_size: int | None = None,
) -> pl.DataFrame:
    """Evaluate an edited model with rounded weights.

    Parameters
    ----------
    model : GPTNeoXForCausalLM
        Without the edit; it stays as it is.
    corpus : Corpus
    plan : EditPlan
    delta : EditDelta
        Of the whole plan.
    bits : sequence of int
    groups : collection of str, optional
        Groups of probes that are asked, as a plan of theirs (`EditPlan.asking`); all by default.
    batch_size : int, optional

    Returns
    -------
    polars.DataFrame
        Rows of `evaluate_model`, stage ``after``, with a column bits (UInt32): 32 for weights
        that are not rounded. The edited model is rounded as a whole, but for what answers for
        modules (codebooks, side memories); known and kl are against the unedited model as it is.
    """
    from .frame import evaluate_model

    plan = plan if groups is None else plan.asking(groups)
    whole = evaluate_model(model, corpus, plan, {None: delta}, batch_size=batch_size)
    after = whole.filter(pl.col("stage") == "after")
    frames = [after.with_columns(pl.lit(32, pl.UInt32).alias("bits"))]
    for count in bits:
        frame = evaluate_changed(
            model, corpus, plan, delta, partial(quantise, bits=count), batch_size=batch_size
        )
        frames.append(frame.with_columns(pl.lit(count, pl.UInt32).alias("bits")))
    return pl.concat(frames)
