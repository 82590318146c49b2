"""An edit made by another tool: the difference of its model and the unedited one."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from behemoth._gen import digest, digest_file
from behemoth.delta.delta import Change, Dense, EditDelta
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError
from behemoth.train.model_source import is_model, weight_files

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["foreign_delta", "weights_id"]

_ALLOWED = "a model of transformers (config.json and safetensors)"


def weights_id(model: str | PathLike[str]) -> str:
    """Return an identifier of the weights of a saved model: 16 hexadecimal digits.

    Raises
    ------
    ArgumentError
        When there is no model.
    """
    files = weight_files(_place_of(model))
    return digest("\n".join(map(digest_file, files)).encode())[:16]


def foreign_delta(
    model: str | PathLike[str], name: str, unedited: PreTrainedModel, plan: EditPlan
) -> EditDelta:
    """Make a delta from a model that another tool has edited and saved.

    Parameters
    ----------
    model : path
        A directory written by `save_pretrained`.
    name : str
        Name of the method.
    unedited : PreTrainedModel
        The model that was edited.
    plan : EditPlan
        The plan of all edits, made as one batch.

    Returns
    -------
    EditDelta
        Dense changes of all parameters that differ.

    Raises
    ------
    ArgumentError
        When there is no model, or its parameters have other names or shapes.
    CorpusError
        When it is damaged.
    """
    import torch

    from behemoth.model.load import load_model

    new = dict(load_model(_place_of(model)).named_parameters())
    own = dict(unedited.named_parameters())
    odd = sorted(own.keys() ^ new.keys()) or [
        each for each in own if own[each].shape != new[each].shape
    ]
    if odd:
        raise ArgumentError(
            "model", f"{fspath(model)}, which differs in {odd[0]}", "one made of the same model"
        )
    changes: dict[str, Change] = {}
    with torch.no_grad():
        for each, parameter in own.items():
            difference = new[each].to(parameter.device) - parameter.float()
            if bool(difference.any()):
                changes[each] = Dense(difference)
    return EditDelta(
        changes=changes, method=name, settings={}, plan_hash=plan.plan_hash, seed=0
    )  # fmt: skip


def _place_of(model: str | PathLike[str]) -> Path:
    place = path_of("model", model, _ALLOWED)
    if not is_model(place):
        raise ArgumentError("model", as_found(place), _ALLOWED)
    return place
