"""Ids of models, plans and trials: hashes of everything that determines them.

Names, labels and questions are not hashed, so a study can be renamed, extended and cut without
carrying out any work twice. Units with equal ids are equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest, digest_file
from behemoth.train.config import FREE, TrainConfig
from behemoth.train.model_source import weight_files

if TYPE_CHECKING:
    from behemoth.plan.request import EditRequest

    from .measurement import Measurement
    from .method import MethodChoice

__all__ = ["FORMAT", "canonical", "model_id", "plan_id", "trial_id"]

FORMAT = 1
"""Increased when the same settings come to have another meaning."""
_FRAMES = 2
"""Increased when the columns of a trial's frames come to have another meaning."""
_DIGITS = 16


def canonical(value: object) -> str:
    """Return a value as canonical JSON: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def model_id(spec: Mapping[str, Any], config: TrainConfig) -> str:
    """Return the id of a trained model.

    Parameters
    ----------
    spec : mapping
        The corpus' full normalised spec (`Corpus.spec`), world included.
    config : TrainConfig
        Configuration of the training; fields that do not affect the weights are not hashed.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    train = {name: value for name, value in asdict(config).items() if name not in FREE}
    # Fields that were added later are hashed only if set, so that older ids stay the same.
    for name in ("architecture", "start", "lora_rank", "lora_alpha"):
        if train[name] is None:
            del train[name]
    if train["weights"] == "fp32":
        del train["weights"]
    if config.start is not None:  # the weights count, and not their path
        train["start"] = [_digest_of(file) for file in weight_files(Path(config.start))]
    return _hash({"what": "model", "spec": spec, "train": train})


def plan_id(
    spec_hash: str, request: EditRequest, chosen_in: Mapping[str, Any] | None = None
) -> str:
    """Return the id of a plan of edits.

    Parameters
    ----------
    spec_hash : str
        Hash of the spec of the plan's corpus.
    request : EditRequest
    chosen_in : mapping, optional
        Full spec of the corpus in which its facts are chosen, if that is another one.
    """
    return _hash(
        {"what": "plan", "spec": spec_hash, "request": request.to_dict(), "chosen_in": chosen_in}
    )


def trial_id(model: str, plan: str, choice: MethodChoice, measure: Measurement) -> str:
    """Return the id of a trial: a method, with its settings, that applies a plan to a model.

    Parameters
    ----------
    model, plan : str
        Ids of the model and of the plan.
    choice : MethodChoice
        The method; its name and all its settings are hashed, its label is not.
    measure : Measurement
    """
    return _hash(
        {"what": "trial", "model": model, "plan": plan, "method": choice.name,
         "settings": choice.settings, "measure": measure.to_dict(), "frames": _FRAMES}
    )  # fmt: skip


def _digest_of(file: Path) -> str:
    about = file.stat()
    return _digest_once(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_once(file: Path, size: int, changed: int) -> str:
    """Return the digest of a file, read once for all models that start from it as it is."""
    return digest_file(file)


def _hash(value: Mapping[str, Any]) -> str:
    return digest(canonical({"format": FORMAT, **value}).encode())[:_DIGITS]
