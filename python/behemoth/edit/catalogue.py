"""The table of methods in docs/methods.md, generated from the methods.

``python -m behemoth.edit.catalogue docs/methods.md`` rewrites it between two markers; a test
compares the file with it.
"""

from __future__ import annotations

import sys
from typing import Any

from behemoth.plan.request import KINDS
from behemoth.support.pages import Section, linked

from .protocol import changes_of, settings_of
from .registry import OWN_METHODS, method_type

__all__ = ["SECTION", "catalogue", "setting_text"]


def catalogue() -> str:
    """Return the built-in methods as Markdown: a table, then the defaults of their settings."""
    rows = ["| name | family | changes | kinds | stacks | source |", "|---|---|---|---|---|---|"]
    defaults: list[str] = []
    for name in OWN_METHODS:
        kind = method_type(name)
        info = kind.info
        kinds = ", ".join(known for known in KINDS if known in info.kinds)
        stacks = "yes" if info.stacks else "no"
        every = "all" if len(info.kinds) == len(KINDS) else kinds
        source = linked(info.source)
        rows.append(
            f"| `{name}` | {info.family} | {changes_of(kind)} | {every} | {stacks} | {source} |"
        )
        settings = " ".join(
            f"{key}={setting_text(value)}" for key, value in settings_of(kind()).items()
        )
        defaults.append(f"- `{name}`: `{settings}`")
    return "\n".join([*rows, "", "## Defaults", "", *defaults])


def setting_text(value: Any) -> str:
    """Return the value of a setting as ``--set`` reads it."""
    if isinstance(value, list):
        return ",".join(map(setting_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


SECTION = Section(
    "<!-- methods: written by behemoth.edit.catalogue -->",
    "<!-- end of methods -->",
    catalogue,
)
"""The section of docs/methods.md that contains the table."""


if __name__ == "__main__":
    SECTION.write(sys.argv[1])
