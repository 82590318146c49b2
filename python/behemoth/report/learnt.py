"""The part of a leaderboard's page about the facts that its models knew before the edits."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import polars as pl

from behemoth.study.analysis.learnt import ENOUGH
from behemoth.support.text import plural_text

from .page import Table, table_part
from .style import NOTHING

__all__ = ["learnt_parts", "unlearnt", "world_name"]

_WHAT = (
    "Known before: the edited facts, over all plans, that the unedited model generates in a "
    "wording that it was trained on. Written facts recalled: the share over all written facts of "
    "the corpus, averaged over models."
)


def world_name(grammar: str | None) -> str:
    """Return the name of a world: its grammar, or "plain tokens" without one."""
    return grammar or "plain tokens"


def unlearnt(found: pl.DataFrame) -> list[str]:
    """Return a sentence for each world and number of edits with few known facts among the edited.

    Parameters
    ----------
    found : polars.DataFrame
        Rows of one suite from `behemoth.study.analysis.learnt.learnt`.
    """
    return [
        f"{world_name(row['grammar'])}, {plural_text(row['edits'], 'edit')}: the models knew only "
        f"{row['known']:,} of the {row['facts']:,} edited facts before the edit "
        f"({row['share']:.0%}). Unknown facts can be neither changed nor forgotten, so these "
        "numbers say little about the methods."
        for row in found.filter(pl.col("share") < ENOUGH).iter_rows(named=True)
    ]


def learnt_parts(found: pl.DataFrame, field: str) -> Iterator[str]:
    """Yield the table of all worlds, for the part of a suite.

    Parameters
    ----------
    found : polars.DataFrame
        See `unlearnt`.
    field : str
        Heading of the part.
    """
    if found.is_empty():
        return
    heads = ("world", "#edits", "#models", "#known before", "#written facts recalled")
    rows = [
        [
            world_name(row["grammar"]),
            f"{row['edits']:,}",
            f"{row['models']:,}",
            f"{row['known']:,} of {row['facts']:,}\n{row['share']:.0%}",
            NOTHING if row["recall"] is None else f"{row['recall']:.0%}",
        ]
        for row in found.iter_rows(named=True)
    ]
    yield f"<h3>{escape(field)}: what the models knew before</h3><p>{escape(_WHAT)}</p>"
    yield table_part(Table(heads, rows), f"{field}, known before")
