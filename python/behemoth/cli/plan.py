"""`behemoth plan`: compile a plan of edits."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.cli import parse
from behemoth.plan.request import KINDS, TARGETS, EditRequest, field_help
from behemoth.support.errors import ArgumentError

from .console import console, write_json

if TYPE_CHECKING:
    import polars as pl

    from behemoth.plan.plan import EditPlan

_DEFAULTS = {field.name: field.default for field in fields(EditRequest)}


def _number(name: str) -> Any:
    default = _DEFAULTS[name]
    shown = "" if default is None else f" [{default}]"
    return typer.Option(metavar="N", help=field_help(name) + shown)


def plan(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_CORPUS",
            help="A training run, a corpus directory, a spec directory or a spec TOML.",
        ),
    ],
    out: Annotated[str | None, typer.Option(metavar="PLAN", help="Directory to write.")] = None,
    edits: Annotated[str | None, _number("edits")] = None,
    kind: Annotated[str, typer.Option(metavar="|".join(KINDS), help=field_help("kind"))] = "remap",
    relation: Annotated[str | None, _number("relation")] = None,
    target: Annotated[
        str, typer.Option(metavar="|".join(TARGETS), help=field_help("target"))
    ] = "subject",
    to: Annotated[str, typer.Option(metavar="distinct|one", help=field_help("to"))] = "distinct",
    distinct: Annotated[
        bool, typer.Option("--distinct/--any-objects", help=field_help("distinct"))
    ] = True,
    independent: Annotated[
        bool, typer.Option("--independent", help=field_help("independent"))
    ] = False,
    exposures: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help=field_help("exposures"))
    ] = None,
    fraction: Annotated[str | None, typer.Option(metavar="F", help=field_help("fraction"))] = None,
    correlated_only: Annotated[
        bool, typer.Option("--correlated-only", help=field_help("correlated_only"))
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="F.parquet|F.csv",
            help="The facts to edit, in place of --edits: columns fact, or subject and relation, "
            "and for remaps perhaps object, the new one.",
        ),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="F.parquet|F.csv",
            help="Edit only facts that a model knows: a column fact and, as recall frames have "
            "it, perhaps exact_match (in any wording will do).",
        ),
    ] = None,
    repeats: Annotated[str | None, _number("repeats")] = None,
    same_object: Annotated[str | None, _number("same_object")] = None,
    same_relation: Annotated[str | None, _number("same_relation")] = None,
    regular: Annotated[str | None, _number("regular")] = None,
    probes: Annotated[str | None, _number("probes")] = None,
    probed: Annotated[str | None, _number("probed")] = None,
    wordings: Annotated[str | None, _number("wordings")] = None,
    seed: Annotated[str | None, _number("seed")] = None,
    litgpt: Annotated[
        bool,
        typer.Option(
            "--litgpt", help="Write PLAN/litgpt/*.jsonl (instruction, input, output) as well."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace another plan; it stays in PLAN/.replaced-1 until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Compile a plan of edits: the edits, their training mixture and their probes.

    The same options on the same corpus give the same plan.
    """
    if out is None:
        raise ArgumentError("--out", "nothing", "a directory to write")
    given = {
        "edits": edits, "relation": relation, "repeats": repeats, "same_object": same_object,
        "same_relation": same_relation, "regular": regular, "probes": probes, "probed": probed,
        "wordings": wordings, "seed": seed,
    }  # fmt: skip
    numbers = {
        name: parse.count(_option(name), text) for name, text in given.items() if text is not None
    }
    levels = None if exposures is None else _levels(exposures)
    request = EditRequest(
        kind=parse.choice("--kind", kind, KINDS),
        target=parse.choice("--target", target, TARGETS),
        to=parse.choice("--to", to, ("distinct", "one")),
        distinct=distinct,
        independent=independent,
        exposures=levels,
        fraction=None if fraction is None else parse.number("--fraction", fraction),
        correlated_only=correlated_only,
        **numbers,
    )
    from behemoth.corpus.source import read_source
    from behemoth.export.litgpt import export_litgpt
    from behemoth.plan.compile import compile_plan

    corpus = read_source(source).make_corpus()
    made = compile_plan(
        corpus,
        request,
        table=None if table is None else _read("--table", table),
        known=None if known is None else _known(known),
    )
    place = made.save(out, force=force)
    if litgpt:
        export_litgpt(made, corpus, place / "litgpt")
    if json:
        write_json(_report(made, out))
    else:
        _show(made, source, out)


def _report(made: EditPlan, out: str) -> dict[str, Any]:
    return {
        "out": out,
        "plan_hash": made.plan_hash,
        "spec_hash": made.spec_hash,
        "kind": made.request.kind,
        "edits": len(made),
        "training": made.training.height,
        "rows": made.rows,
        "roles": dict(made.training.group_by("role", maintain_order=True).len().iter_rows()),
        "probes": made.probes.height,
        "groups": made.groups,
    }


def _show(made: EditPlan, source: str, out: str) -> None:
    from rich.table import Table

    screen = console()
    screen.print(
        f"{out}: {len(made):,} edits ({made.request.kind}), {made.rows:,} rows of training, "
        f"{made.probes.height:,} probes"
    )
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("group", "probes", "must change"):
        table.add_column(name, justify="left" if name == "group" else "right")
    must = dict(made.probes.group_by("group").agg(_must()).iter_rows())
    for group, count in made.groups.items():
        table.add_row(group, f"{count:,}", f"{must[group]:,}")
    screen.print(table)
    console(stderr=True).print(
        f"next: behemoth edit {source} --plan {out} --method NAME --out EDIT"
    )


def _must() -> pl.Expr:
    import polars as pl

    return pl.col("must_change").sum()


def _levels(text: str) -> tuple[int, ...]:
    return tuple(parse.count("--exposures", part) for part in text.split(","))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(name: str, path: str) -> pl.DataFrame:
    """Read a Parquet or CSV file."""
    import polars as pl

    allowed = "a Parquet or CSV file with a column fact, or subject and relation"
    if not Path(path).is_file():
        raise ArgumentError(name, path, allowed)
    try:
        return pl.read_csv(path) if path.endswith(".csv") else pl.read_parquet(path)
    except pl.exceptions.PolarsError:
        raise ArgumentError(name, path, allowed) from None


def _known(path: str) -> Any:
    """Read the facts that a model knows: all of a table, or those with an exact match."""
    import polars as pl

    frame = _read("--known", path)
    if "fact" not in frame.columns:
        raise ArgumentError("--known", path, "a table with a column fact")
    if "exact_match" in frame.columns:
        frame = frame.filter(pl.col("exact_match").cast(pl.Boolean))
    return frame["fact"].unique().to_numpy()
