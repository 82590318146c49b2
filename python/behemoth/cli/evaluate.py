"""`behemoth evaluate`: evaluate a run or an edit on the probes of a plan."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.process import prepare
from behemoth.support.text import fixed_text, plural_text

from . import parse
from .console import complete, console, keep_interrupts, resumable, write_json
from .edit import CORPUS, DEVICE, MEMORY
from .options import Option, command, flag
from .places import check_corpus, check_plan, check_source
from .show_suite import show_measures

if TYPE_CHECKING:
    import polars as pl

    from behemoth.evaluate.suites.suite import SuiteResult


def known_measures(suite: str | None = None) -> list[str]:
    """Return the names of the measures of a suite, or of all suites, for shell completion."""
    from behemoth.evaluate.suites.names import NAMES

    own = NAMES.values() if suite is None else [NAMES.get(suite, ())]
    return list(dict.fromkeys(chain.from_iterable(own)))


OPTIONS = (
    Option("plan", "PLAN", "The plan whose probes are evaluated.",
           required="a plan directory (`behemoth plan`)", unless=("--suite recall",)),
    Option("out", "FRAME.parquet|DIR", "File to write, or with --suite a directory.",
           required="a Parquet file to write, or with --suite a directory"),
    Option("rank", "first|sequence", "Rank objects by their first token or by whole names.",
           default="first"),
    Option("stack", "N", "Maximum number of edited models in one pass.", parse.at_least(1), 64),
    Option("batch_size", "N", "Prompts in one pass [512 on a CPU, else 4096].", parse.at_least(1)),
    CORPUS,
    DEVICE,
    MEMORY,
    flag("force", "Replace the suite in DIR, or a FRAME.parquet that holds anything but an "
         "evaluation of the same weights and plan."),
)  # fmt: skip

SUITE = (
    Option("suite", "editing|unlearning|sequence|recall",
           "Compute the measures of a suite, with intervals."),
    Option("twin", "RUN", "A run (or edit by an oracle) without the plan's facts, for a suite."),
    Option("facts", "N|all", "For --suite recall: number of facts to evaluate [10,000 at most].",
           partial(parse.sample, minimum=1)),
    Option("measures", "NAME,...", "Only these measures of the suite [all].",
           parse.names("measures", "efficacy,kl"),
           offered_beside=lambda given: known_measures(given.get("suite"))),
)  # fmt: skip
"""Options of suites only."""
_OF_BYSTANDERS = ("editing", "unlearning")
"""Suites whose rows are of one model with the edit; `sequence` has those of several."""


@command(*OPTIONS, *SUITE)
def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_EDIT", help="A training run, a model or an edit.")
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Evaluate a run or an edit on the probes of a plan.

    Writes one row for each (edit, probe, stage), as a Parquet table. A run has the stage `before`
    only, an edit also `after`. The metrics shown are means of the rows; intervals need several
    models. With `--suite` all measures of a suite are computed, and one that cannot be reports what
    is missing: suite.json and the rows are written to DIR. Their intervals come from a bootstrap
    over subjects, documents or edits of this one model.
    """
    keep_interrupts()
    prepare()
    check_source("source", source)
    if "plan" in given:
        check_plan("plan", given["plan"])
    check_corpus("corpus", given.get("corpus"))
    suite = given.pop("suite", None)
    if suite is not None:
        _take(source, suite, given, json)
        return
    for name in ("twin", "facts", "measures"):
        if name in given:
            allowed = "only with --suite editing, unlearning, sequence or recall"
            raise ArgumentError(name, given[name], allowed)
    parse.new_file("--out", given["out"])
    from behemoth.corpus.output import check_target

    check_target(given["out"])  # before the slow imports
    with needed():
        from behemoth.evaluate import aggregate, damaged, evaluate as ask
        from behemoth.evaluate.source import failed_edits, is_model_alone

        begin = time.perf_counter()
        frame = ask(source, progress=Bars(), **given)
        seconds = time.perf_counter() - begin
        metrics = aggregate(frame, by=("stage",), resamples=1)
        alone = is_model_alone(source)
        metrics = _told(metrics, frame, alone=alone)
        lost = damaged(frame)
        broken = failed_edits(source)
    if json:
        report = _report(frame, metrics, given["out"], seconds, broken)
        write_json({**report, "damaged": lost.to_dicts()})
    else:
        _show(frame, metrics, given["out"])
        _note_failed(broken, frame)
        _note_unknown(frame, alone=alone)
        _warn(lost)


def _take(source: str, suite: str, given: dict[str, Any], json: bool) -> None:
    for name in ("stack", "batch_size", "rank"):
        if name in given:
            raise ArgumentError(name, given[name], "not with --suite")
    check_source("twin", given.get("twin"))

    def begun() -> bool:
        from behemoth.evaluate.suites.suite import PARTS

        return (Path(given["out"]) / PARTS).is_dir()

    with needed(), resumable(given["out"], begun):
        from behemoth.evaluate import evaluate_suite

        found = evaluate_suite(source, suite, progress=Bars(), **given)
    with complete(given["out"]):
        if json:
            write_json({"out": given["out"], **found.to_dict()})
        else:
            _show_suite(found, given["out"])


def _show_suite(found: SuiteResult, out: str) -> None:
    screen = console()
    screen.print(
        f"{out}: suite {found.suite} of {found.source}, {found.frame.height:,} rows, "
        f"{found.seconds:.1f} s",
    )
    _note_failed(found.failed_edits, found.frame)
    show_measures(found)
    if found.suite in _OF_BYSTANDERS:
        from behemoth.evaluate import damaged

        _warn(damaged(found.frame))


def _warn(lost: pl.DataFrame) -> None:
    """Warn of groups in which an edit damaged many facts that should have stayed."""
    messages = console(stderr=True)
    for row in lost.iter_rows(named=True):
        messages.print(
            f"damage: {row['group']}: {row['lost']:,} of {row['known']:,} facts that were known "
            f"and should have stayed are gone ({row['share']:.0%})",
        )


def _note_failed(edits: int, frame: pl.DataFrame) -> None:
    """State how many edits failed, and how they count if their rows show the unedited model."""
    from behemoth.evaluate.metrics import failed

    if edits:
        alone = "failure" in frame.columns and not frame.filter(failed()).is_empty()
        how = ": 0 in success, and not measured where nothing must change" if alone else ""
        console(stderr=True).print(f"{plural_text(edits, 'edit')} failed{how}")


def _told(metrics: pl.DataFrame, frame: pl.DataFrame, *, alone: bool) -> pl.DataFrame:
    """Return the metrics that a source has: only an edit says what a model was before it.

    The divergence of a model from itself is 0. Of a model by itself, the facts that it knows are
    those that an edit made elsewhere has not changed.
    """
    import polars as pl

    if "after" not in set(frame["stage"]):
        metrics = metrics.filter(pl.col("metric") != "kl")
    return metrics.filter(filter="all") if alone else metrics


def _note_unknown(frame: pl.DataFrame, *, alone: bool = False) -> None:
    """State how many edited facts the model knew, if not all: others are no edits of knowledge."""
    import polars as pl

    known = frame.filter(pl.col("edit").is_not_null()).unique("edit")["edit_known"]
    if known.is_empty() or known.all(ignore_nulls=False) is not False:
        return
    console(stderr=True).print(
        f"before: the model generated {known.sum():,} of {plural_text(len(known), 'edited fact')}; "
        + (
            "this is the measured model, which does not say what an edit may have changed in it"
            if alone
            else "the columns `if known` are means over facts that it generated"
        )
    )


def _report(
    frame: pl.DataFrame, metrics: pl.DataFrame, out: str, seconds: float, broken: int
) -> dict[str, Any]:
    columns = ("stage", "metric", "version", "filter", "value", "rows", "edits")
    return {
        "out": out,
        "rows": frame.height,
        "edits": frame["edit"].drop_nulls().n_unique(),
        "failed_edits": broken,
        "stages": sorted(frame["stage"].unique().to_list(), reverse=True),
        "seconds": seconds,
        "metrics": metrics.select(columns).to_dicts(),
    }


def _show(frame: pl.DataFrame, metrics: pl.DataFrame, out: str) -> None:
    import polars as pl
    from rich.table import Table

    from behemoth.evaluate.metrics import failed, success

    screen = console()
    edits = frame["edit"].drop_nulls().n_unique()
    screen.print(f"{out}: {frame.height:,} rows, {plural_text(edits, 'edit')}")
    stages = [name for name in ("before", "after") if name in set(frame["stage"])]
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("metric")
    filters = metrics["filter"].unique(maintain_order=True).to_list()
    for name in stages:
        table.add_column(name, justify="right")
        if "known" in filters:
            table.add_column("if known", justify="right")
    found = {
        (row["metric"], row["stage"], row["filter"]): row["value"]
        for row in metrics.iter_rows(named=True)
    }
    for name in metrics["metric"].unique(maintain_order=True):
        cells = [found.get((name, stage, kept)) for stage in stages for kept in filters]
        table.add_row(name, *("" if cell is None else fixed_text(cell) for cell in cells))
    screen.print(table)
    groups = frame.group_by("group", "stage", maintain_order=True).agg(
        pl.col("probe").len(),
        # As in the metrics: of edits that failed nothing is right, or stays.
        success(pl.col("exact_match"))
        .filter(~failed() | pl.col("must_change"))
        .mean()
        .alias("exact_match"),
    )
    title = "\nExact matches with the answers that are right after the edit"
    table = Table(box=None, pad_edge=False, show_edge=False, title=title, title_justify="left")
    for name in ("group", "probes", *stages):
        table.add_column(name, justify="left" if name == "group" else "right")
    shares = {(row["group"], row["stage"]): row for row in groups.iter_rows(named=True)}
    for group in groups["group"].unique(maintain_order=True):
        rows = [shares[group, stage] for stage in stages]
        table.add_row(
            group,
            f"{rows[0]['probe']:,}",
            *("" if (share := row["exact_match"]) is None else f"{share:.3f}" for row in rows),
        )
    screen.print(table)
