"""`behemoth models`: list the sizes of models."""

from __future__ import annotations

from typing import Any

import typer

from .console import write_columns, write_json
from .options import command

_SHOWN = ("name", "family", "width", "layers", "heads", "hidden")


@command()
def models(given: dict[str, Any], json: bool) -> None:
    """List the sizes of models and their default training."""
    from behemoth.model.sizes import SIZES
    from behemoth.train.config import TUNED, default_config

    rows: list[dict[str, Any]] = []
    for size in SIZES.values():
        config = default_config(size.name)
        rows.append(
            {name: getattr(size, name) for name in _SHOWN}
            | {
                "parameters": size.parameters,
                "block_length": config.block_length,
                "batch_size": config.batch_size,
                "learning_rate": config.learning_rate,
                "tuned": size.name in TUNED,
            }
        )
    if json:
        write_json({"models": rows})
        return
    header = [name.replace("_", " ") for name in rows[0]]
    cells = [[_text(value) for value in row.values()] for row in rows]
    write_columns([header, *cells], right=range(2, len(header)))
    typer.echo(
        "\nparameters: without embedding and head, whose size is the vocabulary's\n"
        "tuned: whether the defaults were chosen by runs of our own, or from the literature"
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
