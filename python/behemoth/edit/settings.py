"""Files of a method's settings, as `behemoth tune` writes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, get_type_hints

from behemoth.support.checks import as_found
from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made, read_text

from .registry import check_settings, method_type

__all__ = ["Tuning", "read_settings", "read_tuning", "read_words"]


@dataclass(frozen=True)
class Tuning:
    """How settings were chosen, from the table ``tuning`` of the file of settings.

    Attributes
    ----------
    objective : str
        The suite whose score was maximised.
    trials : int
    seconds : float
        Duration of all edits of all trials, without evaluation.
    rows : int
        Maximum number of rows of a mixture that an edit could pass forward and backward.
    score, default_score : float
        Scores of the chosen settings, and of the method's default settings.
    default_steps : int, optional
        Number of steps that `default_score` was obtained with, if `rows` allowed fewer than the
        default.
    spec_hash, world_id, plan_hash : str, optional
        Hash of the corpus's spec, id of its world (`behemoth.train.run.world_id`) and hash of the
        plan of the trials; missing in files of earlier versions.
    """

    objective: str
    trials: int
    seconds: float
    rows: int
    score: float
    default_score: float
    default_steps: int | None = None
    spec_hash: str | None = None
    world_id: str | None = None
    plan_hash: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that have a value as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_settings(file: str | PathLike[str], name: str) -> dict[str, Any]:
    """Read the settings of a method from a file, as `behemoth tune` writes one.

    Parameters
    ----------
    file : path
        TOML with the method's ``name`` and a table ``settings``.
    name : str
        The method that the file must be for.

    Raises
    ------
    ArgumentError
        If the file is missing or not TOML, or is for another method.
    """
    table = _read(file)
    if table.get("name") != name:
        raise ArgumentError("settings", f"{fspath(file)}, of {table.get('name')!r}", f"of {name!r}")
    settings = table.get("settings", {})
    if not isinstance(settings, dict):
        raise ArgumentError("settings", settings, "a table")
    return settings


def read_words(words: Mapping[str, str], name: str) -> dict[str, Any]:
    """Parse settings from command-line text, by the types of a method's fields.

    Parameters
    ----------
    words : mapping of str to str
        Lists as ``2,3``, None as ``none``.
    name : str
        Name of the method.

    Raises
    ------
    ArgumentError
        For an unknown method or setting, or a text that is not a value of its type.
    """
    check_settings(words, name)
    hints = get_type_hints(method_type(name))
    return {key: read_text(key, text, hints[key]) for key, text in words.items()}


def read_tuning(file: str | PathLike[str]) -> Tuning | None:
    """Read how the settings of a file were chosen; return None if it has no table ``tuning``.

    Raises
    ------
    ArgumentError
        If the file is missing or not TOML, or its table ``tuning`` is invalid.
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
        raise ArgumentError("settings", as_found(file), allowed) from None
