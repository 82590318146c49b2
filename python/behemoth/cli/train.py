"""`behemoth train`: train a model on a corpus."""

from __future__ import annotations

from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.process import prepare
from behemoth.train.config import TrainConfig

from .console import Stopped, console, write_json
from .fields import option
from .show_run import report_text, show_result

if TYPE_CHECKING:
    from behemoth.train.report import Report

_WHOLE = (
    "steps", "tokens", "block_length", "batch_size", "accumulate", "seed", "threads",
    "eval_interval", "checkpoint_interval", "checkpoint_history", "log_interval",
)  # fmt: skip
_NUMBERS = (
    "epochs", "learning_rate", "warmup", "decay", "final_learning_rate", "weight_decay", "clip",
)  # fmt: skip


def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_SPEC", help="A corpus directory, a spec directory or a spec TOML."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Directory to write; one that is unfinished is resumed."),
    ] = None,
    model: Annotated[str, option(TrainConfig, "model", "SIZE")] = "nano",
    epochs: Annotated[str | None, option(TrainConfig, "epochs", "F")] = None,
    steps: Annotated[str | None, option(TrainConfig, "steps", "N")] = None,
    tokens: Annotated[str | None, option(TrainConfig, "tokens", "N")] = None,
    block_length: Annotated[str | None, option(TrainConfig, "block_length", "N")] = None,
    batch_size: Annotated[str | None, option(TrainConfig, "batch_size", "N")] = None,
    accumulate: Annotated[str | None, option(TrainConfig, "accumulate", "N")] = None,
    learning_rate: Annotated[str | None, option(TrainConfig, "learning_rate", "F")] = None,
    schedule: Annotated[str | None, option(TrainConfig, "schedule", "cosine|wsd")] = None,
    warmup: Annotated[str | None, option(TrainConfig, "warmup", "F")] = None,
    decay: Annotated[str | None, option(TrainConfig, "decay", "F")] = None,
    final_learning_rate: Annotated[
        str | None, option(TrainConfig, "final_learning_rate", "F")
    ] = None,
    weight_decay: Annotated[str | None, option(TrainConfig, "weight_decay", "F")] = None,
    clip: Annotated[str | None, option(TrainConfig, "clip", "F")] = None,
    seed: Annotated[str | None, option(TrainConfig, "seed", "N")] = None,
    document_mask: Annotated[bool | None, option(TrainConfig, "document_mask")] = None,
    answers_only: Annotated[bool | None, option(TrainConfig, "answers_only")] = None,
    precision: Annotated[str | None, option(TrainConfig, "precision", "auto|fp32|bf16")] = None,
    compile: Annotated[  # noqa: A002 - the option's name
        str | None, option(TrainConfig, "compile", "auto|on|off")
    ] = None,
    device: Annotated[str | None, option(TrainConfig, "device", "NAME")] = None,
    threads: Annotated[str | None, option(TrainConfig, "threads", "N")] = None,
    eval_interval: Annotated[str | None, option(TrainConfig, "eval_interval", "N")] = None,
    checkpoint_interval: Annotated[
        str | None, option(TrainConfig, "checkpoint_interval", "N")
    ] = None,
    checkpoint_history: Annotated[
        str | None, option(TrainConfig, "checkpoint_history", "N")
    ] = None,
    log_interval: Annotated[str | None, option(TrainConfig, "log_interval", "N")] = None,
    tensorboard: Annotated[bool | None, option(TrainConfig, "tensorboard")] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a run that is there; it stays in RUN/.replaced-1 "
            "until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Train a model on a corpus, or straight from a spec.

    Running it again on an unfinished run goes on where it stopped. What is not said is the
    default of the size, which `behemoth models` shows.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name not in ("source", "out", "model", "force", "json") and value is not None
    }
    if out is None:
        raise ArgumentError("--out", "nothing", "a directory to write")
    config = _config(model, given)
    prepare()
    with needed():
        from behemoth.train import train as train_model

        try:
            with _Bar() as bar:
                result = train_model(source, out=out, config=config, force=force, progress=bar)
        except KeyboardInterrupt as stop:
            what = f"{stop}; " if str(stop) else ""
            raise Stopped(f"{what}run the same command again to go on with {out}") from None
    write_json(asdict(result)) if json else show_result(result)


def _config(model: str, given: dict[str, Any]) -> TrainConfig:
    from behemoth.train.config import default_config

    values: dict[str, Any] = {}
    for name, text in given.items():
        argument = f"--{name.replace('_', '-')}"
        if name in _WHOLE:
            values[name] = parse.count(argument, text)
        elif name in _NUMBERS:
            values[name] = parse.number(argument, text)
        else:
            values[name] = text
    return default_config(model, **values)


class _Bar:
    """The progress of a run, on stderr; nothing is shown before its first report."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, report: Report) -> None:
        if self._progress is None:
            from rich.progress import BarColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("training"),
                BarColumn(20),
                TextColumn("{task.fields[text]}"),
                console=console(stderr=True),
            )
            self._task = self._progress.add_task("", total=report.steps, text="")
            self._progress.start()
        self._progress.update(self._task, completed=report.step, text=report_text(report))
