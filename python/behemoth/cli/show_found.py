"""Output of `behemoth inspect` for anything but corpora and runs: a few rows each."""

from __future__ import annotations

from typing import Any

from .console import console, values_table

__all__ = ["show_found"]


def show_found(directory: str, found: dict[str, Any]) -> None:
    """Print a description returned by `behemoth.inspect`."""
    out = console()
    out.print(f"{directory}: {found['is']}\n")
    table = values_table()
    for name, value in found.items():
        if name not in ("directory", "is"):
            table.add_row(name.replace("_", " "), _text(value))
    out.print(table)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if not isinstance(value, list):
        return str(value)
    items = [_text(item) for item in value]
    # Labels of methods, such as "lora, steps 10", have commas of their own.
    return ("; " if any(", " in item for item in items) else ", ").join(items)
