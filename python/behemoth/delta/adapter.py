"""Low-rank deltas as PEFT adapters, which `peft` loads onto the run's model."""

from __future__ import annotations

import json
from os import PathLike, fspath
from pathlib import Path

from safetensors.torch import save_file

from behemoth.model.architectures import find_family
from behemoth.support.errors import ArgumentError
from behemoth.support.files import replacing

from .delta import EditDelta, LowRank

__all__ = ["save_adapter"]


def _transposed(base: Path) -> bool:
    """Return whether the matrices of a model's blocks are [in, out]; false without a model."""
    file = base / "config.json"
    if not file.is_file():
        return False
    return find_family(json.loads(file.read_text(encoding="utf-8")), "base").transposed


def save_adapter(
    delta: EditDelta, directory: str | PathLike[str], base: str | PathLike[str] = ""
) -> Path:
    """Write a delta as ``adapter_config.json`` and ``adapter_model.safetensors``.

    The factors are as in the delta, so alpha is the rank of each module and the scale 1
    (Hu et al., 2021, arXiv 2106.09685: W + (alpha / r) B A). For a family whose matrices are
    [in, out], as the configuration of `base` states, A is the left factor, transposed.

    Parameters
    ----------
    delta : EditDelta
    directory : path
    base : path, optional
        The model that the adapter is for.

    Raises
    ------
    ArgumentError
        If a change is not of low rank, or the delta has no changes.
    """
    from peft import LoraConfig

    place = Path(directory)
    factors: dict[str, LowRank] = {}
    for name, change in delta.changes.items():
        if not isinstance(change, LowRank) or not name.endswith(".weight"):
            raise ArgumentError(
                "adapter",
                f"a delta of {delta.method} with {change!r} of {name}",
                "changes of low rank, such as those of lora",
            )
        factors[name.removesuffix(".weight")] = change
    if not factors:
        raise ArgumentError(
            "adapter",
            f"a delta of {delta.method} without changes ({delta.failure})",
            "one with changes of low rank",
        )
    transposed = _transposed(Path(base))
    ranks = {module: factor.rank for module, factor in factors.items()}
    most = max(ranks.values())
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=fspath(base),
        r=most,
        lora_alpha=most,
        lora_dropout=0.0,
        target_modules=list(ranks),
        rank_pattern={module: rank for module, rank in ranks.items() if rank != most},
        alpha_pattern={module: rank for module, rank in ranks.items() if rank != most},
        inference_mode=True,
        fan_in_fan_out=transposed,
    )
    tensors = {}
    for module, factor in factors.items():
        if transposed:
            factor = factor.transposed()
        prefix = f"base_model.model.{module}"
        tensors[f"{prefix}.lora_A.weight"] = factor.right.detach().cpu().contiguous()
        tensors[f"{prefix}.lora_B.weight"] = factor.left.detach().cpu().contiguous()
    with replacing(place / "adapter_model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    with replacing(place / "adapter_config.json") as temporary:
        config.save_pretrained(fspath(temporary.parent))
    return place
