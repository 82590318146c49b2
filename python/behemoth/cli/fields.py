"""Options made from the fields of a config: what a field's documentation says is its help."""

from __future__ import annotations

import inspect
import re
from typing import Any

import typer


def field_help(config: type) -> dict[str, str]:
    """Give the documentation of each field of a dataclass with a numpydoc docstring."""
    text = inspect.getdoc(config) or ""
    found: dict[str, str] = {}
    for name, body in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", text, re.MULTILINE):
        found[name] = " ".join(body.split())
    return found


def option(config: type, name: str, metavar: str | None = None) -> Any:
    """Make the option of a field; its default is that of the config."""
    return typer.Option(metavar=metavar, help=field_help(config)[name])
