"""`behemoth edit`: apply a method to a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.process import prepare

from .console import Stopped, console, write_json


def edit(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished training run.")],
    plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="A plan of edits (`behemoth plan`).")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="A method (`behemoth methods`).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="key=value", help="A setting of the method; repeatable."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="EDIT", help="Directory to write; one that is unfinished is resumed."),
    ] = None,
    single: Annotated[
        bool,
        typer.Option(
            "--single", help="Each edit by itself, from the unedited model; else one batch."
        ),
    ] = False,
    seed: Annotated[str, typer.Option(metavar="N", help="Key of the method's draws.")] = "0",
    stack: Annotated[
        str, typer.Option(metavar="N", help="Most single edits at once, where methods stack.")
    ] = "64",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write low-rank changes as PEFT adapters, too.")
    ] = False,
    cache: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where covariances are kept between calls.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="cpu|cuda", help="Where the model goes [a GPU if any].")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace another edit; it stays in EDIT/.replaced-1 until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Apply an editing or unlearning method to a run, and write what it changed.

    The run stays as it is: an edit directory holds differences.
    """
    if plan is None:
        raise ArgumentError("--plan", "nothing", "a plan directory (`behemoth plan`)")
    if method is None:
        raise ArgumentError("--method", "nothing", "a method (`behemoth methods` lists them)")
    if out is None:
        raise ArgumentError("--out", "nothing", "a directory to write")
    values = _settings(settings or [])
    key = parse.count("--seed", seed)
    most = parse.count("--stack", stack, 1)
    prepare()
    with needed():
        from behemoth.edit.apply import edit as apply

        from .progress import Bars

        try:
            with Bars() as bars:
                done = apply(
                    run,
                    plan,
                    method,
                    out,
                    settings=values,
                    single=single,
                    seed=key,
                    stack=most,
                    adapter=adapter,
                    force=force,
                    cache=None if cache is None else Path(cache),
                    device=device,
                    progress=bars.bar("editing", "edits"),
                )
        except KeyboardInterrupt:
            raise Stopped(f"run the same command again to go on with {out}") from None
    if json:
        write_json(asdict(done))
    else:
        kind = "single edits" if single else "edits in one batch"
        speed = f", {done.edits_per_second:,.1f} edits/s" if done.edits_per_second else ""
        console().print(f"{out}: {done.edits:,} {kind} by {done.method}{speed}")
        for row in done.failed:
            which = "the batch" if row.edit is None else f"edit {row.edit}"
            console(stderr=True).print(f"{which} failed: {row.failure}", markup=False)
        console(stderr=True).print(
            f"next: behemoth evaluate {out} --plan {plan} --out FRAME.parquet"
        )
    if done.failed and len(done.failed) == (done.edits if single else 1):
        raise typer.Exit(1)


def _settings(words: list[str]) -> dict[str, str]:
    """Read ``key=value`` words."""
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise ArgumentError("--set", word, "key=value, such as rank=4")
        values[key.strip()] = value.strip()
    return values
