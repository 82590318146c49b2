"""Pages of documentation that hold what the code says of itself, between two marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import ArgumentError
from .files import write_bytes

__all__ = ["Section", "linked"]

_ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")


@dataclass(frozen=True)
class Section:
    """What stands between two marks of a page, and is made by a function.

    Attributes
    ----------
    begin, end : str
        The marks, each on a line of its own.
    body : callable
        Gives what belongs between them, as Markdown.
    """

    begin: str
    end: str
    body: Callable[[], str]

    def renewed(self, text: str) -> str:
        """Give the text of a page with the section made anew.

        Raises
        ------
        ArgumentError
            When the page lacks the marks.
        """
        before, first, rest = text.partition(self.begin)
        _, last, after = rest.partition(self.end)
        if not first or not last:
            raise ArgumentError("page", "one without marks", f"with {self.begin} and {self.end}")
        return f"{before}{self.begin}\n\n{self.body()}\n\n{self.end}{after}"

    def write(self, file: str) -> None:
        """Write the section into a page, by its name, in place of what is there."""
        page = Path(file)
        write_bytes(page, self.renewed(page.read_text(encoding="utf-8")).encode())


def linked(text: str) -> str:
    """Give a text with links where it names papers of arXiv.

    Examples
    --------
    >>> linked("arXiv 2401.06121")
    '[arXiv 2401.06121](https://arxiv.org/abs/2401.06121)'
    """
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)
