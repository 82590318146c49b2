"""Pages of documentation that hold what the code says of itself, between two marks."""

from __future__ import annotations

from .errors import ArgumentError

__all__ = ["between"]


def between(text: str, begin: str, end: str, body: str) -> str:
    """Give the text of a page with something else between its marks.

    Raises
    ------
    ArgumentError
        When the page lacks them.
    """
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ArgumentError("page", "one without marks", f"with {begin} and {end}")
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"
