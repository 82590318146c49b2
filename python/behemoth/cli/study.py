"""`behemoth study`: run a study, report on it, and show the studies that come with the package."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.process import prepare

from .console import Stopped, console, count_text, keep_interrupts, write_json

if TYPE_CHECKING:
    from behemoth.study.file.spec import Study
    from behemoth.study.gates import GatesResult
    from behemoth.study.results import Failure
    from behemoth.study.work.run import Estimate, Status, StudyResult

app = typer.Typer(
    help="Run grids of trials, and report on them.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_SIZES = ("smoke", "quick", "paper")
_ENGINES = ("local", "ray")
_Json = Annotated[bool, typer.Option("--json", help="Report as one JSON object on stdout.")]
_Size = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(_SIZES),
        help="Size of a preset: under a minute or under ten on 2 cores, or for one GPU [smoke].",
    ),
]


@app.command("run")
def run(
    source: Annotated[
        str, typer.Argument(metavar="FILE|PRESET", help="A study file (TOML), or a preset's name.")
    ],
    out: Annotated[
        str | None,
        typer.Option(metavar="STUDY", help="Directory to write; an unfinished study is resumed."),
    ] = None,
    size: _Size = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Processes here, or tasks of a Ray cluster.")
    ] = "local",
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Units at once [one a GPU, else one a core].")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="N", help="CPU threads of a worker; weights depend on it [1]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be run, and what it costs.")
    ] = False,
    json: _Json = False,
) -> None:
    """Run a study: train its models, carry out its trials, measure.

    Running it again goes on where it stopped; what failed is tried again, and a study whose
    file has changed does only what is new.
    """
    if out is None and not dry_run:
        raise ArgumentError("--out", "nothing", "a directory to write")
    parse.choice("--engine", engine, _ENGINES)
    count = None if workers is None else parse.count("--workers", workers, 1)
    cpus = None if threads is None else parse.count("--threads", threads, 1)
    keep_interrupts()
    prepare()
    with needed():
        from behemoth.study.work.run import estimate, run_study

        study = _study(source, size)
        if dry_run:
            found = estimate(study, out, workers=count, threads=cpus)
            write_json(asdict(found)) if json else _show_estimate(found)
            return
        assert out is not None
        try:
            with _progress() as progress:
                result = run_study(
                    study,
                    out,
                    engine="ray" if engine == "ray" else "local",
                    workers=count,
                    threads=cpus,
                    progress=progress,
                )
        except KeyboardInterrupt:
            raise Stopped(f"run the same command again to go on with {out}") from None
    write_json(asdict(result)) if json else _show_result(result)
    if result.failed and not result.done:
        raise typer.Exit(1)


@app.command("report")
def report(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The directory of a study.")],
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the report goes [STUDY/report]."),
    ] = None,
    json: _Json = False,
) -> None:
    """Write the report of a study: one HTML file that needs no network, charts and tables."""
    keep_interrupts()
    with needed():
        from behemoth.report import write_report

        made = write_report(study, out=out)
    if json:
        write_json({"study": study, "report": os.fspath(made)})
    else:
        console().print(os.fspath(made))


@app.command("presets")
def presets(json: _Json = False) -> None:
    """List the studies that come with the package, and what each of them asks."""
    import tomllib

    from behemoth.study.file.presets import SIZES, preset_names, preset_sizes, preset_text

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
    for column in ("name", "question"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["name"], row["question"])
    console().print(table)
    console().print(f"\nsizes: {', '.join(SIZES)} (`behemoth study show NAME --size SIZE`)")


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(metavar="PRESET|STUDY", help="A preset, or the directory of a study.")
    ],
    size: _Size = None,
    json: _Json = False,
) -> None:
    """Show the TOML of a preset, to start one's own study from, or of a study."""
    text = _text(name, size)[0]
    if json:
        write_json({"name": name, "toml": text})
    else:
        typer.echo(text, nl=not text.endswith("\n"))


@app.command("gates")
def gates(
    out: Annotated[
        str, typer.Option(metavar="DIR", help="Directory to write; what is finished there is kept.")
    ] = "gates",
    only: Annotated[
        str | None, typer.Option(metavar="N,...", help="Numbers of gates, such as 1,7 [all].")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="N", help="CPU threads of a worker; weights depend on it [1]."),
    ] = None,
    json: _Json = False,
) -> None:
    """See whether this laboratory reproduces what is known: small experiments on the CPU.

    Each says what was done and seen. What a small model cannot show is said to be so, with the
    size at which it is expected. Running it again goes on where it stopped.
    """
    numbers = None if only is None else parse.counts("--only", only)
    chosen = [numbers] if isinstance(numbers, int) else numbers
    cpus = 1 if threads is None else parse.count("--threads", threads, 1)
    keep_interrupts()
    prepare()
    messages = console(stderr=True)

    def say(text: str) -> None:
        messages.print(text, markup=False)

    with needed():
        from behemoth.study.gates import run_gates

        try:
            with _progress() as progress:
                result = run_gates(out, only=chosen, threads=cpus, progress=progress, message=say)
        except KeyboardInterrupt:
            raise Stopped(f"run the same command again to go on with {out}") from None
    write_json(result.to_dict()) if json else _show_gates(result)
    if result.failures:
        raise typer.Exit(1)


def _study(source: str, size: str | None) -> Study:
    from behemoth.study.file.spec import Study

    text, directory = _text(source, size)
    return Study.parse(text, directory)


def _text(source: str, size: str | None) -> tuple[str, Path | None]:
    """Read a study file, the study of a directory, or a preset."""
    from behemoth.study.file.presets import preset_text

    place = Path(source)
    place = place / "study.toml" if place.is_dir() else place
    if place.suffix != ".toml" and not place.is_file():
        chosen = "smoke" if size is None else parse.choice("--size", size, _SIZES)
        return preset_text(source, chosen), None
    if size is not None:
        raise ArgumentError("--size", size, "none with a study file")
    try:
        return place.read_text(encoding="utf-8"), place.parent.resolve()
    except (OSError, ValueError):
        raise ArgumentError("FILE", source, "a study file (TOML), or a preset's name") from None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _show_estimate(found: Estimate) -> None:
    screen = console()
    screen.print(f"{found.name}: {found.question}" if found.question else found.name, markup=False)
    finished = f" ({found.models_done} and {found.trials_done} of them finished)"
    screen.print(
        f"{found.models:,} models, {found.plans:,} plans of edits, {found.trials:,} trials"
        + (finished if found.models_done or found.trials_done else "")
    )
    for label, count in found.labels.items():
        screen.print(f"  {label}: {count:,} trials", markup=False)
    screen.print(
        f"{count_text(found.tokens)} tokens to train on, {found.edits:,} edits, "
        f"{count_text(found.steps)} edit steps"
    )
    screen.print(f"about {_clock(found.seconds)} with {found.workers} workers")


def _show_result(result: StudyResult) -> None:
    screen = console()
    screen.print(
        f"{result.out}: {result.done:,} of {result.trials:,} trials done on {result.models:,} "
        f"models, {_clock(result.seconds)}"
    )
    messages = console(stderr=True)
    for reason, labels in _grouped(result.failures).items():
        messages.print(f"{len(labels)} failed ({labels[0]}): {reason}", markup=False)
    messages.print(f"next: behemoth study report {result.out}")


_COLOURS = {"reproduced": "green", "not reproduced": "red", "not shown at this size": "yellow"}


def _show_gates(result: GatesResult) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("gate", "claim", "verdict"):
        table.add_column(column, no_wrap=column == "verdict")
    for gate in result.gates:
        verdict = Text(gate.verdict, style=_COLOURS[gate.verdict])
        table.add_row(str(gate.number), Text(gate.title), verdict)
    screen.print(table)
    for gate in result.gates:
        screen.print(f"\n{gate.number}. {gate.title}: {gate.verdict}", markup=False)
        lines = {"done": gate.done, "seen": gate.summary, "rule": gate.rule,
                 "expected": gate.expected, "source": gate.source}  # fmt: skip
        for name, text in lines.items():
            if text is not None:
                screen.print(f"   {name}: {text}", markup=False)
    counts = {
        verdict: [gate.verdict for gate in result.gates].count(verdict) for verdict in _COLOURS
    }
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    screen.print(f"\n{result.out}: {told or 'no gate'}, {_clock(result.seconds)}", markup=False)
    messages = console(stderr=True)
    for failure in result.failures:
        messages.print(f"gate {failure.number} failed: {failure.reason}", markup=False)


def _grouped(failures: Sequence[Failure]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for failure in failures:
        found.setdefault(failure.reason, []).append(failure.label)
    return found


@contextmanager
def _progress() -> Generator[Any]:
    """Two bars on stderr, of models and of trials; nothing where stderr is no terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda status: None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=screen) as bars:
        models, trials = (bars.add_task(name, total=1, text="") for name in ("models", "trials"))

        def show(status: Status) -> None:
            bars.update(
                models,
                total=max(1, status.models),
                completed=status.models_done,
                text=f"{status.models_done} of {status.models}",
            )
            failed = f", {status.failed} failed" if status.failed else ""
            bars.update(
                trials,
                total=max(1, status.trials),
                completed=status.trials_done,
                text=f"{status.trials_done} of {status.trials}, {status.running} running{failed}, "
                f"{_clock(status.seconds_left)} left",
            )

        yield show
