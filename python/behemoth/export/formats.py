"""The formats there are."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from .protocol import Format

__all__ = ["FORMATS", "get_format"]

FORMATS = (
    "megatron", "olmo", "datatrove", "litdata", "llmc", "text", "parquet",
    "jsonl", "chat", "hf-dataset",
)  # fmt: skip
"""Names of the formats: each is a module of this package that has a `FORMAT`."""


def get_format(name: str) -> Format:
    """Give a format.

    Raises
    ------
    ArgumentError
        For an unknown name; it suggests the nearest one.
    """
    if name not in FORMATS:
        raise ArgumentError.unknown("to", name, FORMATS)
    return import_module(f"{__package__}.{name.replace('-', '_')}").FORMAT
