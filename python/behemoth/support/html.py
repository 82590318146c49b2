"""The HTML that a notebook shows for an object: a title and a table with two columns."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

__all__ = ["card"]


def card(title: str, rows: Mapping[str, object]) -> str:
    """Return a title and named values as an HTML table; all text is escaped.

    Examples
    --------
    >>> card("World", {"facts": 1200})
    '<table><caption>World</caption><tr><th>facts</th><td>1,200</td></tr></table>'
    """
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_text(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
