"""`behemoth evaluate`: ask a run, or what an edit made of it, a plan's probes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.process import prepare

from .console import console, write_json

if TYPE_CHECKING:
    import polars as pl


def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_EDIT", help="A training run or an edit directory.")
    ],
    plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="The plan whose probes are asked.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FRAME.parquet", help="File to write.")] = None,
    stack: Annotated[str, typer.Option(metavar="N", help="Most edited models in one pass.")] = "64",
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="N", help="Prompts in one pass [512 on a CPU, else 4096]."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="cpu|cuda", help="Where the model goes [a GPU if any].")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Evaluate a run or an edit: one row for each (edit, probe, stage), as a Parquet table.

    Of a run there is the stage `before` only, of an edit also `after`. The metrics that are
    shown are means of the rows; intervals need several models.
    """
    if plan is None:
        raise ArgumentError("--plan", "nothing", "a plan directory (`behemoth plan`)")
    if out is None:
        raise ArgumentError("--out", "nothing", "a Parquet file to write")
    if Path(out).is_dir():
        raise ArgumentError("--out", out, "a file name")
    most = parse.count("--stack", stack, 1)
    rows = None if batch_size is None else parse.count("--batch-size", batch_size, 1)
    prepare()
    with needed():
        from behemoth.evaluate.aggregate import aggregate
        from behemoth.evaluate.frame import evaluate as ask
        from behemoth.support.files import replacing

        from .progress import Bars

        begin = time.perf_counter()
        with Bars() as bars:
            progress = bars.bar("evaluating", "models")
            frame = ask(source, plan, stack=most, batch_size=rows, device=device, progress=progress)
        seconds = time.perf_counter() - begin
        with replacing(Path(out)) as temporary:
            frame.write_parquet(temporary)
        metrics = aggregate(frame, by=("stage",), resamples=1)
    if json:
        write_json(_report(frame, metrics, out, seconds))
    else:
        _show(frame, metrics, out)


def _report(frame: pl.DataFrame, metrics: pl.DataFrame, out: str, seconds: float) -> dict[str, Any]:
    columns = ("stage", "metric", "version", "filter", "value", "rows", "edits")
    return {
        "out": out,
        "rows": frame.height,
        "edits": frame["edit"].n_unique(),
        "stages": sorted(frame["stage"].unique().to_list(), reverse=True),
        "seconds": seconds,
        "metrics": metrics.select(columns).to_dicts(),
    }


def _show(frame: pl.DataFrame, metrics: pl.DataFrame, out: str) -> None:
    import polars as pl
    from rich.table import Table

    screen = console()
    edits = frame["edit"].drop_nulls().n_unique()
    screen.print(f"{out}: {frame.height:,} rows, {edits:,} edits")
    stages = [name for name in ("before", "after") if name in set(frame["stage"])]
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("metric")
    for name in stages:
        table.add_column(name, justify="right")
        table.add_column("if known", justify="right")
    found = {
        (row["metric"], row["stage"], row["filter"]): row["value"]
        for row in metrics.iter_rows(named=True)
    }
    for name in metrics["metric"].unique(maintain_order=True):
        cells = [found.get((name, stage, kept)) for stage in stages for kept in ("all", "known")]
        table.add_row(name, *("" if cell is None else f"{cell:.3f}" for cell in cells))
    screen.print(table)
    groups = frame.group_by("group", "stage", maintain_order=True).agg(
        pl.col("probe").len(), pl.col("exact_match").mean()
    )
    table = Table(box=None, pad_edge=False, show_edge=False, title="\nExact matches",
                  title_justify="left")  # fmt: skip
    for name in ("group", "probes", *stages):
        table.add_column(name, justify="left" if name == "group" else "right")
    shares = {(row["group"], row["stage"]): row for row in groups.iter_rows(named=True)}
    for group in groups["group"].unique(maintain_order=True):
        rows = [shares[group, stage] for stage in stages]
        table.add_row(
            group, f"{rows[0]['probe']:,}", *(f"{row['exact_match']:.3f}" for row in rows)
        )
    screen.print(table)
