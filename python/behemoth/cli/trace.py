"""`behemoth trace`: find where a model keeps the facts of a plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.extras import MissingExtraError, needed
from behemoth.support.process import prepare
from behemoth.support.text import fixed_text

from . import parse
from .console import complete, console, keep_interrupts, word, write_json
from .edit import CORPUS, DEVICE, MEMORY
from .options import Option, command, flag
from .places import check_corpus, check_plan, check_run

if TYPE_CHECKING:
    from behemoth.evaluate.trace import Traced

OPTIONS = (
    Option("plan", "PLAN", "The plan whose edited facts are traced, as they are before the edits.",
           required="a plan directory (`behemoth plan`)"),
    Option("out", "DIR", "Directory to write.", required="a new or empty directory"),
    Option("samples", "N", "Number of draws of noise for each fact.", parse.at_least(1), 10),
    Option("noise", "F", "Standard deviation of the noise, relative to that of the embeddings "
           "of subjects.",
           parse.number, 3.0),
    Option("window", "N", "Number of layers whose MLPs or attentions are restored together.",
           parse.at_least(1), 1),
    Option("seed", "N", "Seed of the noise.", parse.count, 0),
    flag("force", "Replace the trace in DIR."),
    flag("save", "Store the result in RUN: `edit` then edits at the best place by default."),
    CORPUS,
    DEVICE,
    MEMORY,
)  # fmt: skip


@command(*OPTIONS)
def trace(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished training run, or a model.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Find where a model keeps facts, by causal tracing.

    Noise on a fact's subject removes the answer; the table shows how much of its probability is
    restored by one state of the undisturbed model, by token and layer. DIR contains the frames
    facts.parquet and summary.parquet and, with the extra report, the chart as SVG and PNG.
    """
    keep_interrupts()
    prepare()
    with needed():
        check_run("run", run, model=True)
        check_plan("plan", given["plan"])
        check_corpus("corpus", given.get("corpus"))
        from behemoth.evaluate import trace as find
        from behemoth.evaluate.output import sole_output, unless_stopped
        from behemoth.evaluate.trace import FILES
        from behemoth.plan import EditPlan

        begin = time.perf_counter()
        force = given.get("force", False)
        # The function's result is complete without charts, and refused by the same command.
        with (
            sole_output(given["out"], "a trace", *FILES, force=force) as out,
            unless_stopped(out, *FILES),
        ):
            found = find(run, progress=Bars(), **given)
            seconds = time.perf_counter() - begin
            lacking = _draw(found, out)
    with complete(given["out"]):
        if json:
            write_json(_report(found, given["out"], seconds))
        else:
            _show(found, given["out"])
        messages = console(stderr=True)
        if lacking is not None:
            messages.print(f"no chart: {lacking}")
        single = "--single " if EditPlan.load(given["plan"]).request.independent else ""
        corpus = f"--corpus {word(given['corpus'])} " if given.get("corpus") else ""
        for place in found.places[:1]:
            where = f"--set token={place.token} --set layers={place.layer} "
            messages.print(
                f"next: behemoth edit {word(run)} {corpus}--plan {word(given['plan'])} "
                "--method NAME "
                f"{'' if given.get('save') else where}{single}--out EDIT"
            )


def _draw(found: Traced, out: Path) -> str | None:
    """Write the chart; return a message instead if a package for it is missing."""
    from behemoth.support.files import write_bytes

    try:
        with needed():
            from behemoth.report.render import exported, png, svg
            from behemoth.report.tracing import tracing
    except MissingExtraError as error:
        return str(error)
    drawn = svg(exported(tracing(found.summary)))
    write_bytes(out / "trace.svg", drawn.encode())
    write_bytes(out / "trace.png", png(drawn))
    return None


def _report(found: Traced, out: str, seconds: float) -> dict[str, Any]:
    return {
        "out": out,
        "facts": found.facts["edit"].n_unique(),
        "unknown": found.unknown,
        "noise": found.noise,
        "clean": found.clean,
        "corrupted": found.corrupted,
        "places": [vars(place) for place in found.places],
        "seconds": seconds,
        "summary": found.summary.to_dicts(),
    }


def _show(found: Traced, out: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from behemoth.evaluate.trace import KINDS, ROLES

    screen = console()
    left_out = f", {found.unknown:,} unknown" if found.unknown else ""
    screen.print(
        f"{out}: {found.facts['edit'].n_unique():,} facts{left_out}; probability of the answer "
        f"{found.clean:.3f}, {found.corrupted:.3f} under noise"
    )
    cells = {
        (row["kind"], row["role"], row["layer"]): row for row in found.summary.iter_rows(named=True)
    }
    layers = sorted({layer for _, _, layer in cells})
    most = max(row["indirect_effect"] for row in cells.values())
    for kind in KINDS:
        table = Table(box=None, pad_edge=False, show_edge=False, title=f"\n{kind}",
                      title_justify="left")  # fmt: skip
        table.add_column("token")
        for layer in layers:
            table.add_column(f"layer {layer}", justify="right")
        for role in ROLES:
            own = [cells.get((kind, role, layer)) for layer in layers]
            if any(own):
                table.add_row(role.replace("_", " "), *(Text(*_cell(row, most)) for row in own))
        screen.print(table)
    screen.print()
    for place in found.places:
        ends = "" if place.low is None else f" [{place.low:.3f}, {place.high:.3f}]"
        screen.print(
            f"token={place.token} layers={place.layer}: the MLP there restores "
            f"{place.effect:.3f}{ends}",
        )


def _cell(row: dict[str, Any] | None, most: float) -> tuple[str, str]:
    """Return a number as text, and the style of its background."""
    if row is None:
        return "", ""
    share = max(0.0, min(1.0, row["indirect_effect"] / most)) if most > 0 else 0.0
    shade = round(255 * (1 - 0.75 * share))
    return fixed_text(row["indirect_effect"]), f"black on rgb({shade},{shade},255)"
