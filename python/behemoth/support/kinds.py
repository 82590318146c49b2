"""What a directory is, by the record in it, or a TOML file; for refusals of one of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path

__all__ = ["KINDS", "as_grammar", "held", "is_grammar", "kind_of"]

KINDS = {
    "manifest.json": "a corpus",
    "run.json": "a run",
    "plan.toml": "a plan",
    "edit.json": "an edit",
    "delta.json": "a delta",
    "suite.json": "a suite",
    "trace.json": "a trace",  # after runs, which may have one
    "tuning.json": "a tuning",
    "study.json": "a study",
    "gates.json": "a directory of gates",
    "zoo.json": "a zoo",
    "export.json": "an export",
    "spec.toml": "a spec",  # after corpora and runs, which have one
}
"""What a directory with a record is."""
_MODEL, _WEIGHTS, _TOKENIZER = "config.json", "*.safetensors", "tokenizer.json"
_ADAPTER = "adapter_config.json"


def kind_of(place: Path) -> str | None:
    """Return what a directory is, such as ``a run``; None for anything unknown, and for no one.

    Only names are looked at: the record of a damaged directory says what it is as well.
    """
    for record, kind in KINDS.items():
        if (place / record).is_file():
            return kind
    # A model has its tokenizer beside it.
    if (place / _MODEL).is_file() and any(place.glob(_WEIGHTS)):
        return "a model"
    # PEFT saves the tokenizer beside the adapter, and the model elsewhere.
    if (place / _ADAPTER).is_file():
        return "an adapter (merge it: `merge_and_unload().save_pretrained(DIR)` of PEFT)"
    return "a tokenizer" if (place / _TOKENIZER).is_file() else None


def held(place: Path, other: str) -> str:
    """Return the text of a directory for an error, with what it holds instead of what is allowed.

    Parameters
    ----------
    place : Path
    other : str
        The name of something in it that is not allowed there.
    """
    kind = KINDS.get(other) or kind_of(place)
    return f"{place}, which {f'is {kind}' if kind else f'holds something else ({other})'}"


def is_grammar(table: Mapping[str, object]) -> bool:
    """Return whether the contents of a TOML file are those of a grammar."""
    return "subject" in table and "relations" in table


def as_grammar(file: str | PathLike[str]) -> str:
    """Return the text of a grammar for the error of a reader of other files."""
    return f"{fspath(file)}, a grammar (for `behemoth grammar check` and `behemoth gen --grammar`)"
