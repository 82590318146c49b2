"""Registry of the export formats."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from .protocol import Bridge, Format, ModelFormat

__all__ = ["BRIDGES", "FORMATS", "MODELS", "get_format"]

FORMATS = (
    "megatron", "olmo", "datatrove", "litdata", "llmc", "text", "parquet",
    "jsonl", "chat", "hf-dataset",
)  # fmt: skip
"""Names of the formats of corpora: each is a module of this package with a `FORMAT`."""

BRIDGES = ("counterfact", "zsre", "easyedit", "tofu", "lm-eval")
"""Names of the formats of plans, also modules."""

MODELS = ("hf",)
"""Names of the formats of edited models, also modules."""


def get_format(name: str) -> Format | Bridge | ModelFormat:
    """Return a format by its name.

    Raises
    ------
    ArgumentError
        If the name is unknown; the nearest one is suggested.
    """
    names = (*FORMATS, *BRIDGES, *MODELS)
    if name not in names:
        raise ArgumentError.unknown("to", name, names)
    return import_module(f"{__package__}.{name.replace('-', '_')}").FORMAT
