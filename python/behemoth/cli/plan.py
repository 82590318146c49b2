"""`behemoth plan`: compile a plan of edits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.plan.request import EditRequest, read_kind
from behemoth.support.bars import Bars
from behemoth.support.errors import renamed
from behemoth.support.text import plural_text

from . import parse
from .console import console, keep_interrupts, saying, word, write_json
from .options import Option, command, field_options, flag, force

if TYPE_CHECKING:
    import polars as pl

    from behemoth.corpus import Corpus
    from behemoth.plan import EditPlan

OPTIONS = (
    Option("out", "PLAN", "Directory to write.", required="a directory to write"),
    *field_options(
        EditRequest,
        without=("facts",),  # set by --table
        distinct={"names": "--distinct/--any-objects"},
        kind={"read": read_kind},
        relation={"metavar": "N|NAME", "read": parse.number_or_name},
    ),
    Option("table", "F.parquet|F.csv",
           "The facts to edit, in place of --edits: columns fact, or subject and relation, "
           "and for remaps optionally object or new_object, the new one; by number, or by name if "
           "things have names (with a grammar, subjects by number only)."),
    Option("known", "F.parquet|F.csv",
           "Edit only facts that a model knows: a column fact and optionally, as in recall "
           "frames, exact_match (recalled in any one wording is enough)."),
    flag("litgpt", "Write PLAN/litgpt/*.jsonl (instruction, input, output) as well."),
    force("the plan that is there", "PLAN"),
)  # fmt: skip


@command(*OPTIONS)
def plan(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_CORPUS",
            help="A training run, a corpus directory, a spec directory or a spec TOML.",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Compile a plan: edits, their training mixture, their probes.

    The same options on the same corpus give the same plan.
    """
    from behemoth.corpus.source import read_source
    from behemoth.export.litgpt import export_litgpt
    from behemoth.plan import PlanWarning, plan as compile_plan
    from behemoth.store.source import at_hand

    keep_interrupts()
    out, litgpt = given["out"], given.pop("litgpt", False)
    known = given.get("known")
    with renamed(spec="RUN_OR_CORPUS", directory="--out"):
        allowed = "a training run, a corpus directory, a spec directory or a spec TOML"
        corpus = read_source(source, allowed).make_corpus()
        with saying(PlanWarning):
            made = compile_plan(corpus, progress=Bars(), **given)
    if litgpt:
        with saying(PlanWarning):
            export_litgpt(made, corpus, Path(out) / "litgpt")
    if json:
        write_json(_report(made, out))
    else:
        _show(made, source, out, corpus, to_edit=(at_hand("source", source) / "run.json").is_file())
    if known is not None:
        _warn(known, corpus)


def _warn(known: str, corpus: Corpus) -> None:
    """Warn if a recall frame covers only some facts: no others are chosen."""
    from behemoth.plan.table_edits import read_facts

    frame = read_facts("known", known)
    asked, facts = frame["fact"].n_unique(), corpus.world.num_facts
    if "exact_match" in frame.columns and asked < facts:
        console(stderr=True).print(
            f"{known} covers {asked:,} of {facts:,} facts: none of the others is edited"
        )


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


_NAMED = 3  # edits that are shown with the names of their subjects and objects


def _show(made: EditPlan, source: str, out: str, corpus: Corpus, *, to_edit: bool) -> None:
    from rich.table import Table

    screen = console()
    screen.print(
        f"{out}: {plural_text(len(made), 'edit')} ({made.request.kind}), "
        f"{made.rows:,} rows of training, {made.probes.height:,} probes"
    )
    if len(levels := made.edits.group_by("exposures").len().sort("exposures")) > 1:
        counts = ", ".join(f"{level:,}: {count:,}" for level, count in levels.iter_rows())
        screen.print(f"edits by exposures: {counts}")
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("group", "probes", "must change"):
        table.add_column(name, justify="left" if name == "group" else "right")
    must = dict(made.probes.group_by("group").agg(_must()).iter_rows())
    for group, count in made.groups.items():
        table.add_row(group, f"{count:,}", f"{must[group]:,}")
    screen.print(table)
    if corpus.world.names is not None:
        rows = corpus.world.named(made.edits.head(_NAMED)).iter_rows(named=True)
        for row in rows:
            new = made.request.kind if row["new_object"] is None else row["new_object_name"]
            screen.print(
                f"{row['subject_name']}, {row['relation_name']}: {row['old_object_name']} -> {new}",
            )
        if len(made) > _NAMED:
            screen.print("...")
    run, first, single = word(source), "", " --single" if made.request.independent else ""
    if not to_edit:  # for a corpus, a model has to be trained first
        run, first = "RUN", f"behemoth train {word(source)} --out RUN, then "
    console(stderr=True).print(
        f"next: {first}behemoth edit {run} --plan {word(out)} --method NAME{single} --out EDIT"
    )


def _must() -> pl.Expr:
    import polars as pl

    return pl.col("must_change").sum()
