"""`behemoth methods`: the table of editing and unlearning methods."""

from __future__ import annotations

from typing import Annotated

import typer

from behemoth.support.extras import needed

from .console import console, write_json


def methods(
    json: Annotated[
        bool,
        typer.Option("--json", help="A list of objects with name, family, source and changes."),
    ] = False,
) -> None:
    """List the editing and unlearning methods: what each changes, and the paper it is from.

    Methods of other packages (entry points `behemoth.methods`) stand at the end.
    """
    with needed():
        from behemoth.edit.registry import method_names, method_type

        rows: list[dict[str, str]] = []
        for name in method_names():
            try:
                info = method_type(name).info
            except (ImportError, AttributeError) as error:
                # One broken method of another package must not take the others away.
                if getattr(error, "name", None) == "torch":
                    raise
                console(stderr=True).print(f"method {name} cannot be loaded: {error}", markup=False)
                continue
            rows.append(
                {
                    "name": name,
                    "family": info.family,
                    "source": info.source,
                    "changes": info.changes,
                }
            )
    if json:
        write_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("name", "family", "changes", "source"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["name"], row["family"], row["changes"], row["source"])
    console().print(table)
