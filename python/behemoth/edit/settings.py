"""Settings of a method in a file, as `behemoth tune` chooses them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, get_type_hints

from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made, read_text

from .registry import check_settings, method_type

__all__ = ["Tuning", "read_settings", "read_tuning", "read_words"]


@dataclass(frozen=True)
class Tuning:
    """What it took to choose settings, as the file of settings says under ``tuning``.

    Attributes
    ----------
    objective : str
        The suite whose score decided.
    trials : int
    seconds : float
        Of all edits of all trials, measuring apart.
    rows : int
        Most rows of a mixture that an edit could take forward and backward.
    score, default_score : float
        What was reached, and what the settings reach that the method has by default.
    """

    objective: str
    trials: int
    seconds: float
    rows: int
    score: float
    default_score: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def read_settings(file: str | PathLike[str], name: str) -> dict[str, Any]:
    """Read the settings that a file has for a method, as `behemoth tune` writes one.

    Parameters
    ----------
    file : path
        TOML with ``name``, the method's, and a table ``settings``.
    name : str
        The method that they should be for.

    Raises
    ------
    ArgumentError
        When there is no such file, or it is for another method.
    """
    table = _read(file)
    if table.get("name") != name:
        raise ArgumentError("settings", f"{fspath(file)}, of {table.get('name')!r}", f"of {name!r}")
    settings = table.get("settings", {})
    if not isinstance(settings, dict):
        raise ArgumentError("settings", settings, "a table")
    return settings


def read_words(words: Mapping[str, str], name: str) -> dict[str, Any]:
    """Read settings as a command line has them, by the types of a method's fields.

    Parameters
    ----------
    words : mapping of str to str
        Lists as ``2,3``, none as ``none``.
    name : str
        Of the method.

    Raises
    ------
    ArgumentError
        For an unknown method or setting, or a text that is no value of it.
    """
    check_settings(words, name)
    hints = get_type_hints(method_type(name))
    return {key: read_text(key, text, hints[key]) for key, text in words.items()}


def read_tuning(file: str | PathLike[str]) -> Tuning | None:
    """Read what it took to choose the settings of a file; None where it does not say.

    Raises
    ------
    ArgumentError
        When there is no such file, or what it says is no tuning.
    """
    table = _read(file).get("tuning")
    try:
        return None if table is None else made(Tuning, table)
    except ArgumentError as error:
        raise error.within("tuning") from None


def _read(file: str | PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        allowed = "a table, or a file of settings (`behemoth tune`)"
        raise ArgumentError("settings", fspath(file), allowed) from None
