"""Evaluation of an edited model whose weights are changed once more, against the unedited one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import nn

from behemoth.delta.delta import AppliedDelta, Change, Dense, parameters_of, tied_names

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan

    from .unedited import Unedited

__all__ = ["change_in_place", "evaluate_changed"]


def change_in_place(
    matrices: Mapping[str, nn.Parameter], rule: Callable[[Tensor], None]
) -> AppliedDelta:
    """Change some parameters of a model by an in-place rule, without gradients.

    Returns
    -------
    AppliedDelta
        Restores the parameters bit-exactly at the end of a ``with`` block.
    """
    originals = {name: value.detach().clone() for name, value in matrices.items()}
    with torch.no_grad():
        for value in matrices.values():
            rule(value)
    return AppliedDelta(matrices, originals)


def evaluate_changed(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    change: Callable[[nn.Module], AppliedDelta],
    *,
    batch_size: int | None = None,
    unedited: Unedited | None = None,
) -> pl.DataFrame:
    """Evaluate an edited model after a further change of its matrices.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit; it is left unchanged.
    corpus : Corpus
    plan : EditPlan
    delta : EditDelta
        The delta of the complete plan.
    change : callable
        Changes the model in place; returns a context manager that undoes the change.
    batch_size, unedited
        See `evaluate_model`.

    Returns
    -------
    polars.DataFrame
        Rows of `evaluate_model`, stage ``after``: known and kl refer to the unedited model without
        the change.
    """
    from .frame import evaluate_model

    with delta.apply(model), change(model):
        changed = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if parameter.ndim == 2
        }
    # The model is unedited again: all differences from it form one delta.
    own = dict(model.named_parameters())
    # A tied parameter has one name in `changed`, and the delta may have it under another.
    tied = tied_names(parameters_of(model))
    changes: dict[str, Change] = {
        name: kept
        for name, kept in delta.changes.items()
        if changed.keys().isdisjoint(tied.get(name, ()))
    }
    for name, value in changed.items():
        changes[name] = Dense(value.float() - own[name].detach().float())
    whole = replace(delta, changes=changes)
    frame = evaluate_model(
        model, corpus, plan, {None: whole}, batch_size=batch_size, unedited=unedited
    )
    return frame.filter(pl.col("stage") == "after")
