"""`behemoth ask`: let a model continue prompts, before and after an edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.extras import needed
from behemoth.support.process import prepare

from . import parse
from .console import console, write_json
from .edit import CORPUS, DEVICE
from .options import Option, command
from .places import check_corpus, check_source

if TYPE_CHECKING:
    import polars as pl

OPTIONS = (
    Option("edit", "N", "Number of one of the single edits.", parse.count),
    Option("most", "N", "Maximum number of tokens of an answer.", parse.at_least(1), 16),
    Option("top", "N", "Number of the likeliest next tokens that are shown.", parse.count, 5),
    CORPUS,
    DEVICE,
)


@command(*OPTIONS)
def ask(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_EDIT", help="A training run, a model or an edit.")
    ],
    prompts: Annotated[
        list[str],
        typer.Argument(metavar="PROMPT", help="Text in the words of the corpus to continue."),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Let a model continue text; an edit, without and with it.

    Shows the greedy answer up to a period, its probability, and the likeliest next tokens.
    """
    prepare()
    with needed():
        check_source("source", source)
        check_corpus("corpus", given.get("corpus"))
        from behemoth.evaluate import ask as answers

        found = answers(source, prompts, **given)
    if json:
        write_json({"source": source, "answers": found.to_dicts()})
    else:
        _show(found)


def _show(found: pl.DataFrame) -> None:
    from rich.table import Table

    screen = console()
    for (prompt,), rows in found.group_by("prompt", maintain_order=True):
        screen.print(str(prompt))
        table = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        table.add_column(overflow="fold")
        for row in rows.unique("stage", maintain_order=True).iter_rows(named=True):
            likely = ", ".join(f"{one['token']} {one['probability']:.3f}" for one in row["next"])
            stage = f"  {row['stage']}" if rows["stage"].n_unique() > 1 else " "
            table.add_row(stage, row["answer"], f"{row['probability']:.3f}", f"next: {likely}")
        screen.print(table)
