"""What a model, a plan and a trial are known by: hashes of all that decides what they are.

Names, labels and questions are in none of them, so a study can be renamed, extended and cut
without doing anything twice. Where a hash is equal, so is the work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest, digest_file
from behemoth.train.config import FREE, TrainConfig

if TYPE_CHECKING:
    from behemoth.plan.request import EditRequest

    from .measurement import Measurement
    from .method import MethodChoice

__all__ = ["FORMAT", "canonical", "model_id", "plan_id", "trial_id"]

FORMAT = 1
"""Goes up when the same settings come to mean something else."""
_FRAMES = 2
"""Goes up when the columns of a trial's frames come to mean something else."""
_DIGITS = 16


def canonical(value: object) -> str:
    """Write a value as JSON in one way only: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def model_id(spec: Mapping[str, Any], config: TrainConfig) -> str:
    """Name a trained model.

    Parameters
    ----------
    spec : mapping
        The corpus' full normalised spec (`Corpus.spec`), world included.
    config : TrainConfig
        Fields that move no weight do not count.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    train = {name: value for name, value in asdict(config).items() if name not in FREE}
    # Of named sizes, trained as a whole: as it was before there were others.
    for name in ("architecture", "start", "lora_rank", "lora_alpha"):
        if train[name] is None:
            del train[name]
    if train["weights"] == "fp32":
        del train["weights"]
    if config.start is not None:  # what is there counts, and not where
        weights = sorted(Path(config.start).glob("*.safetensors"))
        train["start"] = [digest_file(file) for file in weights]
    return _hash({"what": "model", "spec": spec, "train": train})


def plan_id(
    spec_hash: str, request: EditRequest, chosen_in: Mapping[str, Any] | None = None
) -> str:
    """Name a plan of edits.

    Parameters
    ----------
    spec_hash : str
        Of the corpus that it is for.
    request : EditRequest
    chosen_in : mapping, optional
        The full spec of the corpus that its facts were chosen in, where that is another one.
    """
    return _hash(
        {"what": "plan", "spec": spec_hash, "request": request.to_dict(), "chosen_in": chosen_in}
    )


def trial_id(model: str, plan: str, choice: MethodChoice, measure: Measurement) -> str:
    """Name a trial: a method, with its settings, that carries out a plan on a model.

    Parameters
    ----------
    model, plan : str
        Their names.
    choice : MethodChoice
        Its name and all of its settings count, its label does not.
    measure : Measurement
    """
    return _hash(
        {"what": "trial", "model": model, "plan": plan, "method": choice.name,
         "settings": choice.settings, "measure": measure.to_dict(), "frames": _FRAMES}
    )  # fmt: skip


def _hash(value: Mapping[str, Any]) -> str:
    return digest(canonical({"format": FORMAT, **value}).encode())[:_DIGITS]
