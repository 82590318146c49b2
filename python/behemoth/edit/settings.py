"""Settings of a method in a file, as `behemoth tune` chooses them."""

from __future__ import annotations

import tomllib
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.support.errors import ArgumentError

__all__ = ["read_settings"]


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
    try:
        table = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        allowed = "a table, or a file of settings (`behemoth tune`)"
        raise ArgumentError("settings", fspath(file), allowed) from None
    if table.get("name") != name:
        raise ArgumentError("settings", f"{fspath(file)}, of {table.get('name')!r}", f"of {name!r}")
    settings = table.get("settings", {})
    if not isinstance(settings, dict):
        raise ArgumentError("settings", settings, "a table")
    return settings
