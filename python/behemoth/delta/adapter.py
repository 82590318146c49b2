"""Low-rank deltas as PEFT adapters, which `peft` loads onto the run's model."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from behemoth.model.architectures import FAMILIES, Family
from behemoth.support.errors import ArgumentError
from behemoth.support.files import replacing, write_tensors
from behemoth.train.model_source import CONFIG, read_config

from .delta import EditDelta, LowRank

__all__ = ["save_adapter"]


def _family(base: Path | None) -> Family | None:
    """Return the family of a saved model; None without one."""
    if base is None or not (base / CONFIG).is_file():
        return None
    return FAMILIES[read_config(base, "base")["model_type"]]


def _is_tied(base: Path) -> bool:
    """Return whether a saved model has one matrix for embedding and head."""
    from transformers import AutoConfig

    # The file omits values that are its family's default; the object has them.
    return bool(getattr(AutoConfig.from_pretrained(base), "tie_word_embeddings", False))


def save_adapter(
    delta: EditDelta, directory: str | PathLike[str], base: str | PathLike[str] | None = None
) -> Path:
    """Write a delta as ``adapter_config.json`` and ``adapter_model.safetensors``.

    The factors are as in the delta, so alpha is the rank of each module and the scale 1
    (Hu et al., 2021, arXiv 2106.09685: W + (alpha / r) B A). For an embedding, and in the blocks of
    a family whose matrices are [in, out], as the configuration of `base` states, A is the left
    factor, transposed.

    Parameters
    ----------
    delta : EditDelta
    directory : path
    base : path, optional
        The model that the adapter is for. Without it, the family is taken to be one whose matrices
        are [out, in].

    Raises
    ------
    ArgumentError
        If a change is not of low rank, or of a matrix that embedding and head share, of which PEFT
        would adapt one, or if the delta has no changes, or for a base of an unknown family or of
        quantised weights.
    CorpusError
        If the configuration of `base` is damaged.
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
    model = None if base is None else Path(base)
    family = _family(model)
    families = FAMILIES.values() if family is None else (family,)
    embeddings = {f"{each.stream}.{each.embedding}" for each in families}
    heads = {head for each in families for head in each.heads}
    outside = [module for module in factors if module in embeddings | heads]  # of the blocks
    if outside and model is not None and family is not None and _is_tied(model):
        raise ArgumentError(
            "adapter",
            f"a change of {outside[0]}, which embedding and head share",
            "changes of matrices that are not shared",
        )
    transposed = family is not None and family.transposed
    ranks = {module: factor.rank for module, factor in factors.items()}
    most = max(ranks.values())
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=None if base is None else fspath(base),
        r=most,
        lora_alpha=most,
        lora_dropout=0.0,
        target_modules=list(ranks),
        rank_pattern={module: rank for module, rank in ranks.items() if rank != most},
        alpha_pattern={module: rank for module, rank in ranks.items() if rank != most},
        inference_mode=True,
        fan_in_fan_out=transposed and len(outside) < len(factors),
    )
    tensors = {}
    for module, factor in factors.items():
        keys = ("lora_A.weight", "lora_B.weight")
        if module in embeddings:  # peft keeps these as parameters, [r, vocabulary] and [width, r]
            keys = ("lora_embedding_A", "lora_embedding_B")
        if module in embeddings or (transposed and module not in heads):
            factor = factor.transposed()
        for key, tensor in zip(keys, (factor.right, factor.left), strict=True):
            tensors[f"base_model.model.{module}.{key}"] = tensor
    write_tensors(place / "adapter_model.safetensors", tensors, {"format": "pt"})
    with replacing(place / "adapter_config.json") as temporary:
        config.save_pretrained(fspath(temporary.parent))
    return place
