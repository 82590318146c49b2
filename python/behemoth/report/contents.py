"""Headings of a page, and the table of contents that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from behemoth.support.text import plural_text

from .style import Figure

__all__ = ["Heading", "contents_part"]

_FEWEST = 3  # a shorter page needs no contents


@dataclass(frozen=True)
class Heading:
    """Heading of a section of a page.

    Attributes
    ----------
    title : str
    anchor : str
        HTML id, unique on the page.
    """

    title: str
    anchor: str

    def html(self) -> str:
        """Return the heading as HTML."""
        return f'<h2 id="{escape(self.anchor)}">{escape(self.title)}</h2>'


def contents_part(headings: Sequence[Heading], figures: Sequence[Figure]) -> str:
    """Return links to the sections and figures of a page as HTML; empty for a short page.

    Parameters
    ----------
    headings : sequence of Heading
    figures : sequence of Figure
        Figures in the order of their numbers.
    """
    if len(headings) < _FEWEST:
        return ""
    sections = "".join(_link(each.anchor, each.title) for each in headings)
    drawn = "".join(f"<li>{_link(figure.name, figure.title)}</li>" for figure in figures)
    listed = (
        f"<details><summary>{plural_text(len(figures), 'figure')}</summary><ol>{drawn}</ol>"
        "</details>"
        if figures
        else ""
    )
    return f'<nav aria-label="Contents"><div>{sections}</div>{listed}</nav>'


def _link(anchor: str, title: str) -> str:
    return f'<a href="#{escape(anchor)}">{escape(title)}</a>'
