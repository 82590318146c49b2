"""Pages of documentation that hold what the code says of itself, between two marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .errors import ArgumentError
from .files import write_bytes

__all__ = ["between", "linked", "renew"]

_ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")


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


def linked(text: str) -> str:
    """Give a text with links where it names papers of arXiv.

    Examples
    --------
    >>> linked("arXiv 2401.06121")
    '[arXiv 2401.06121](https://arxiv.org/abs/2401.06121)'
    """
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def renew(file: str, renewed: Callable[[str], str]) -> None:
    """Write what `renewed` makes of the text of a page in its place."""
    page = Path(file)
    write_bytes(page, renewed(page.read_text(encoding="utf-8")).encode())
