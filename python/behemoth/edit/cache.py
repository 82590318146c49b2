"""Tensors that methods keep in files between calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from behemoth.support import files
from behemoth.support.checks import check_directory, path_of

__all__ = ["cache_place", "digest_of", "read_tensors", "write_tensors"]

_DIGEST = "sha256"


def cache_place(cache: str | PathLike[str]) -> Path:
    """Return the directory of a cache, which need not exist.

    Raises
    ------
    ArgumentError
        When there is a file in its place.
    """
    allowed = "a directory"
    place = path_of("cache", cache, allowed)
    check_directory("cache", place, allowed)
    return place


def read_tensors(file: Path) -> dict[str, Tensor] | None:
    """Read what `write_tensors` wrote; return None for a missing, damaged or other file."""
    files.sweep(file)  # a killed writer may have left its folder beside a complete file
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as opened:
            # Copies: products of tensors that are mapped from a file round differently.
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
            said = (opened.metadata() or {}).get(_DIGEST)
    except SafetensorError:
        return None
    # Without the digest a flipped bit would go unnoticed into every edit made with the tensors.
    return tensors if said == digest_of(tensors) else None


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors with their digest; concurrent trials may share a directory."""
    files.write_tensors(file, tensors, {_DIGEST: digest_of(tensors)})


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors with their names, shapes and types."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(bits.numpy().tobytes())
    return digest.hexdigest()
