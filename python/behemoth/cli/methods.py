"""`behemoth methods`: the table of editing and unlearning methods."""

from __future__ import annotations

from typing import Annotated

import typer

from behemoth.support.extras import needed

from .console import console, write_columns, write_json


def methods(
    json: Annotated[
        bool,
        typer.Option("--json", help="Report as one JSON object on stdout."),
    ] = False,
) -> None:
    """List the editing and unlearning methods: what each changes, and the paper it is from.

    Methods of other packages (entry points `behemoth.methods`) stand at the end.
    """
    with needed():
        from behemoth.edit.protocol import changes_of
        from behemoth.edit.registry import method_names, method_type

        rows: list[dict[str, str]] = []
        for name in method_names():
            try:
                kind = method_type(name)
                info, changes = kind.info, changes_of(kind)
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
                    "changes": changes,
                }
            )
    if json:
        write_json({"methods": rows})
        return
    columns = ("name", "family", "changes", "source")
    write_columns([columns, *([row[column] for column in columns] for row in rows)])
