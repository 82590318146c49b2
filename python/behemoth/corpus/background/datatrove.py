"""Token files of datatrove and nanotron: ``NAME.ds`` beside ``NAME.ds.index``."""

from __future__ import annotations

from os import fspath
from pathlib import Path

from behemoth.support.errors import ArgumentError

from .tokens import TokenFile, fitted, raw_ends

__all__ = ["read"]


def read(file: Path, vocabulary: int | None) -> TokenFile:
    """Read the index of ``NAME.ds``: raw uint64, one past the last token of each document."""
    index = file.with_name(f"{file.name}.index")
    if not index.is_file():
        raise ArgumentError(
            "background", f"{fspath(file)} without {index.name}", "files that datatrove wrote"
        )
    return fitted(file, index, raw_ends(index))
