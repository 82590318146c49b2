"""`behemoth study`: run a study, report on it, and show the studies that come with the package."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.checks import check_directory, is_url, path_of
from behemoth.support.errors import renamed
from behemoth.support.extras import needed
from behemoth.support.memory import bytes_of
from behemoth.support.process import prepare
from behemoth.support.text import bytes_text, clock_text, count_text, plural_text

from . import parse
from .console import collecting, console, keep_interrupts, resumable, word, write_json
from .methods import known_methods
from .options import Option, command, flag, group, offering
from .places import check_study

if TYPE_CHECKING:
    from behemoth.study.file.spec import Study
    from behemoth.study.gates import GatesResult, Held
    from behemoth.study.results import Failure
    from behemoth.study.work.estimate import Estimate
    from behemoth.study.work.run import StudyResult

app = group("Run grids of trials, and report on them.")


_SIZES = ("smoke", "quick", "desk", "paper")


def _presets() -> list[str]:
    from behemoth.study.file.presets import preset_names

    return list(preset_names())


def _gates() -> list[str]:
    # Written out: a gate takes seconds to import, with torch.
    return [str(number) for number in range(1, 13)]


def _numbers(name: str, text: str) -> list[int]:
    numbers = parse.counts(name, text)
    return [numbers] if isinstance(numbers, int) else numbers


SIZE = Option(
    "size", "|".join(_SIZES),
    "smoke: minutes; quick: up to half an hour; desk: hours (2 cores); paper: GPUs, days.",
    parse.one_of(*_SIZES),
    "smoke",
)  # fmt: skip
METHODS = Option(
    "methods",
    "NAME,...",
    "Only these methods of the study, such as npo,lora [all].",
    parse.names("methods", "npo,lora"),
    offered=known_methods,
)
TUNED = flag(
    "tuned",
    "Give methods that were tuned the settings chosen on the kind of each trial's world, instead "
    "of the defaults.",
)
THREADS = Option(
    "threads", "N", "CPU threads per worker; weights depend on it.", parse.at_least(1), 1
)
RUN = (
    Option("out", "STUDY|URL",
           "Directory to write, or its URL in a store; an unfinished study is resumed.",
           required="a directory to write", unless=("--dry-run",)),
    SIZE,
    METHODS,
    TUNED,
    Option("engine", "local|ray", "Run in processes on this machine, or as tasks of a Ray "
           "cluster.", parse.one_of("local", "ray"), "local"),
    Option("workers", "N", "Units at a time [one per GPU, else one per core, if memory suffices].",
           parse.at_least(1)),
    THREADS,
    Option("part", "i/n", "Run only part i of n (i from 0), for several machines.",
           parse.part),
    Option("memory", "SIZE", "Limit on memory of all workers together on a CPU, such as 8GB "
           "[what is free].", bytes_of),
    flag("dry_run", "Only show what would be run, and an estimate of its cost and memory."),
)  # fmt: skip
GATES = (
    Option("out", "DIR", "Directory to write; finished work in it is kept.", default="gates"),
    Option("gate", "N,...", "Numbers of gates, in this order, such as 7,1 [all].", _numbers,
           offered=_gates),
    THREADS,
    Option("workers", "N", "Units at a time [one per core].", parse.at_least(1)),
    flag("reasons", "For claims that are not reproduced, test the reasons that can be tested."),
    Option("pages", "DIR", "Write a page and a figure for each gate, and an index of them."),
    Option("memory", "SIZE", "Limit on memory of workers and measurements together on a CPU, such "
           "as 8GB [what is free].", bytes_of),
    flag("dry_run", "Only show the progress of each gate."),
)  # fmt: skip


@app.command("run")
@command(*RUN)
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET",
            help="A study file (TOML), or a preset's name.",
            autocompletion=offering(_presets),
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Run a study: train its models, carry out its trials, measure.

    Running it again resumes where it stopped; failed units are tried again, and if the file of the
    study has changed, only new units are run.

    The exit code is 0 if trials are done, also beside others that failed, which are listed; it is 1
    if trials failed and none is done.
    """
    out = given.pop("out", None)
    dry = given.pop("dry_run", False)
    with needed(), nullcontext() if dry else resumable(str(out)):
        keep_interrupts()
        prepare()
        from behemoth.study import read_study, run_study
        from behemoth.study.work.estimate import estimate

        own = {key: given.pop(key) for key in ("size", "methods", "tuned") if key in given}
        with _broken_methods():
            study = read_study(source, **own)
        if dry or out is None:
            found = estimate(study, out, **given)
            _warn_of_tuning(found)
            write_json(asdict(found)) if json else _show_estimate(found, study)
            return
        result = run_study(study, out, progress=Bars(), **given)
    write_json(asdict(result)) if json else _show_result(result, given.get("part"))
    if result.failed and not result.done:
        raise typer.Exit(1)


@app.command("report")
@command(
    Option("out", "DIR", "Directory of the report [STUDY/report]; needed if STUDY is a URL."),
    Option("style", "screen|paper", "Style of the chart files; paper writes them as PDF, in a "
           "serif.",
           default="screen"),
    flag("figures", "Write only the charts and their frames."),
)  # fmt: skip
def report(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The directory of a study.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Write the report of a study.

    One HTML file that needs no network, charts and tables.
    """
    keep_interrupts()
    with needed():
        check_study("study", study)
        from behemoth.report import write_report

        made = write_report(study, progress=Bars(), **given)
    if json:
        write_json({"study": study, "report": os.fspath(made)})
    else:
        console().print(os.fspath(made))


@app.command("add")
@command(
    Option("model", "DIR", "A model that another tool has edited, saved by transformers.",
           required="the directory of a model"),
    Option("name", "NAME", "Its name in tables.", required="a name"),
    Option("run", "ID", "The model of the study that it was made from.",
           required="the name of a folder in STUDY/models"),
    Option("plan", "ID", "The plan whose edits were made.",
           required="the name of a folder in STUDY/plans"),
)  # fmt: skip
def add(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The directory of a study.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Add a model edited by another tool to a study.

    It is measured like the study's own trials.
    """
    keep_interrupts()
    prepare()
    with needed():
        check_study("study", study)
        from behemoth.study import add_model

        done = add_model(study, given.pop("model"), **given)
    if json:
        write_json(done.to_dict())
    else:
        console().print(f"{study}: trial {done.id}, {done.label}, {done.status}")
        console(stderr=True).print(f"next: behemoth study report {word(study)}")
    if done.status == "failed":
        raise typer.Exit(1)


@app.command("merge")
@command(
    Option("out", "STUDY", "Directory to write; finished work in it is kept.",
           required="a directory to write"),
)  # fmt: skip
def merge(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Directories of the same study.")
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Merge the results of several machines on one study.

    Units are matched by content hash. Different studies are refused. Nothing is removed from the
    merged directories, and a call that was stopped can be repeated.
    """
    keep_interrupts()
    with needed(), resumable(given["out"]):
        from behemoth.study import merge_studies

        done = merge_studies(studies, progress=Bars(), **given)
    if json:
        write_json(asdict(done))
        return
    console().print(
        f"{done.out}: {done.trials_done:,} of {done.trials:,} trials and {done.models_done:,} of "
        f"{done.models:,} models of {done.name}, {plural_text(done.copied, 'unit')} copied"
    )
    console(stderr=True).print(f"next: behemoth study report {word(done.out)}")


@app.command("presets")
@command()
def presets(given: dict[str, Any], json: bool) -> None:
    """List the studies of the package, and the question of each."""
    import tomllib

    from behemoth.study.file.presets import preset_names, preset_sizes, preset_text

    rows: list[dict[str, Any]] = [
        {"name": name, "sizes": list(sizes),
         "question": tomllib.loads(preset_text(name, sizes[0]))["question"]}
        for name in preset_names()
        if (sizes := preset_sizes(name))
    ]  # fmt: skip
    if json:
        write_json({"presets": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("name", "sizes", "question"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["name"], " ".join(row["sizes"]), row["question"])
    console().print(table)
    console().print("\n`behemoth study show NAME --size SIZE` prints one")


@app.command("show")
@command(SIZE, METHODS, TUNED)
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PRESET|STUDY",
            help="A preset, or the directory of a study.",
            autocompletion=offering(_presets),
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Show the TOML of a preset (a start for a new one) or a study."""
    from behemoth.study.file.presets import study_table, study_text

    methods, tuned = given.pop("methods", None), given.pop("tuned", False)
    if methods is None and not tuned:
        text, _ = study_text(source, **given)
        study_table(text, source)
    else:
        with needed():
            from behemoth.study.file.spec import read_study

            with _broken_methods():
                text = read_study(source, methods=methods, tuned=tuned, **given).text
    if json:
        write_json({"name": source, "toml": text})
    else:
        typer.echo(text, nl=not text.endswith("\n"))


@app.command("gates")
@command(*GATES)
def gates(given: dict[str, Any], json: bool) -> None:
    """Check that this laboratory reproduces known results.

    By small experiments on the CPU: twelve claims from the literature, each with a rule that
    intervals over models decide. Running it again resumes where it stopped.
    """
    keep_interrupts()
    prepare()
    out = str(given.get("out", GATES[0].default))
    with needed(), resumable(out):
        from behemoth.study.gates.stored import earlier_gates

        earlier_gates(out)  # before torch is imported, which is slow
        pages = given.pop("pages", None)
        if pages is not None:  # they are written when all gates were run
            allowed = "a directory"
            check_directory("pages", path_of("pages", pages, allowed), allowed)
        from behemoth.study.gates import run_gates

        result = run_gates(progress=Bars(), **given)
        if pages is not None:
            from behemoth.report.gates import write_gate_pages

            with renamed(run="--out"):
                write_gate_pages(result.out, pages, say=console(stderr=True).print)
    write_json(result.to_dict()) if json else _show_gates(result)
    if result.failures:
        raise typer.Exit(1)


@contextmanager
def _broken_methods() -> Generator[None]:
    """Print a line on stderr about each method of a family that cannot be loaded."""
    from behemoth.edit.errors import MethodWarning

    with collecting(MethodWarning) as told:
        try:
            yield
        finally:  # a study may be refused because of what is left out
            for line in dict.fromkeys(told):
                console(stderr=True).print(line)


def _warn_of_tuning(found: Estimate) -> None:
    from behemoth.study.tuned import tuned_text

    if found.tuned_here:
        console(stderr=True).print(tuned_text(found.tuned_here))


def _show_estimate(found: Estimate, study: Study) -> None:
    screen = console()
    screen.print(f"{found.name}: {found.question}" if found.question else found.name)
    finished = f" ({found.models_done} and {found.trials_done} of them finished)"
    twins = f" ({plural_text(found.twins, 'twin')} among them)" if found.twins else ""
    screen.print(
        f"{plural_text(found.models, 'model')}{twins}, "
        f"{plural_text(found.plans, 'plan')} of edits, {plural_text(found.trials, 'trial')}"
        + (finished if found.models_done or found.trials_done else "")
    )
    for label, count in found.labels.items():
        screen.print(f"  {label}: {plural_text(count, 'trial')}")
    if found.grid:
        varied = {name: values for name, values in found.grid.items() if len(values) > 1}
        sizes = [f"{name} {len(values)}" for name, values in (varied or found.grid).items()]
        crossed = math.prod(map(len, found.grid.values())) == len(study.points)
        points = f"{plural_text(len(study.points), 'point')} of "
        screen.print(f"grid: {' x '.join(sizes) if crossed else points + ', '.join(sizes)}")
    if found.pooled:
        from behemoth.study.file.axes import pooled_text

        screen.print(f"tables of the report pool over {pooled_text(found.pooled)}")
    if study.contrasts:
        screen.print(f"primary: {study.primary.measure} of {study.primary.method}")
    screen.print(
        f"{count_text(found.tokens)} tokens to train on, {plural_text(found.edits, 'edit')}, "
        f"{count_text(found.steps)} edit steps"
    )
    screen.print(
        f"{_span(found.facts)} facts, {_span(found.facts_per_object)} per object, "
        f"load {_span(found.loads)}"
    )
    each = "" if found.memory is None else f", each with up to {bytes_text(found.memory)} of memory"
    screen.print(
        f"about {clock_text(found.seconds)} with {plural_text(found.workers, 'worker')}{each}"
    )


def _span(values: Sequence[float]) -> str:
    low, high = (
        f"{value:,.0f}" if value >= 10 else f"{value:.2g}" for value in (min(values), max(values))
    )
    return low if low == high else f"{low} to {high}"


def _show_result(result: StudyResult, part: tuple[int, int] | None) -> None:
    screen = console()
    there = (
        f"; {plural_text(result.carried_out, 'trial')} carried out, "
        f"{result.done_before:,} {'was' if result.done_before == 1 else 'were'} there"
    )
    screen.print(
        f"{result.out}: {result.done:,} of {result.trials:,} trials done on "
        f"{plural_text(result.models_done, 'model')}, {clock_text(result.seconds)}"
        + (there if result.done_before else "")
    )
    messages = console(stderr=True)
    for reason, labels in _grouped(result.failures).items():
        messages.print(f"{len(labels)} failed ({labels[0]}): {reason}")
    messages.print(f"next: {_next(result, part)}")


def _next(result: StudyResult, part: tuple[int, int] | None) -> str:
    """Return what to do after a run: carry out the other parts if trials are missing, or report."""
    if part is None or result.done + result.failed >= result.trials:
        return f"behemoth study report {word(result.out)}"
    own, count = part
    others = [f"{number}/{count}" for number in range(count) if number != own]
    shown = ", ".join([*others[:3], *(["..."] if len(others) > 3 else [])])
    said = f"{'the other part' if count == 2 else 'other parts'} (--part {shown})"
    if is_url(result.out):
        return f"{said}, at this URL"
    return (
        f"{said}, in this directory; or elsewhere, and then: "
        f"behemoth study merge {word(result.out)} OTHER... --out STUDY"
    )


_COLOURS = {"reproduced": "green", "not reproduced": "red", "not decidable at this size": "yellow"}
_NOT_RUN = "not run yet"


def _show_gates(result: GatesResult) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    for gate in result.gates:
        screen.print(f"{gate.number}. {gate.title}: {gate.verdict}")
        screen.print(f"   setting: {gate.setting}")
        for one in gate.conditions:
            screen.print(f"   {_condition_text(one)}")
        screen.print(f"   source: {gate.source}\n")
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("gate", "claim", "verdict", "models", "trials", "left"):
        table.add_column(column, no_wrap=column == "verdict")
    for state in result.states:
        verdict = state.verdict or _NOT_RUN
        left = clock_text(state.seconds_left) if state.seconds_left else ""
        table.add_row(
            str(state.number),
            Text(state.title),
            Text(verdict, style=_COLOURS.get(verdict, "")),
            f"{state.models_done} of {state.models}",
            f"{state.trials_done} of {state.trials}",
            left,
        )
    screen.print(table)
    verdicts = [state.verdict or _NOT_RUN for state in result.states]
    counts = {verdict: verdicts.count(verdict) for verdict in (*_COLOURS, _NOT_RUN)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    screen.print(f"\n{result.out}: {told or 'no gate'}, {clock_text(result.seconds)}")
    messages = console(stderr=True)
    for failure in result.failures:
        messages.print(f"gate {failure.number} failed: {failure.reason}")


def _condition_text(one: Held) -> str:
    from behemoth.study.gates.conditions import MOST_MODELS
    from behemoth.study.gates.record import shown, shown_mean

    number = shown_mean(one.mean, one.low, one.high, one.models)
    side = "below" if one.below else "above"
    text = f"{one.says}: {number}, {side} {shown(one.bound)}: {one.outcome}"
    if one.power is None:
        return text
    detected = f"power {one.power:.2f} to detect {shown(one.effect)}"
    models = f"more than {MOST_MODELS:,}" if one.needed is None else f"{one.needed:,}"
    return f"{text} ({detected}; {models} models for power 0.80)"


def _grouped(failures: Sequence[Failure]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for failure in failures:
        found.setdefault(failure.reason, []).append(failure.label)
    return found
