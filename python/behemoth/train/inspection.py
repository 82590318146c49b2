"""Inspection of run directories, for `behemoth inspect RUN`. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.support.checks import as_found
from behemoth.support.errors import ArgumentError

from .metrics import read_rows
from .model_source import OPTIMISER, WEIGHTS
from .run import RECORD, RunRecord, checkpoint_paths, read_record


@dataclass(frozen=True)
class RunInspection:
    """The state of a run directory.

    Parameters
    ----------
    directory : str
    status : str
        running (also after a run was killed), stopped, diverged or finished.
    record : RunRecord
        ``run.json``: settings, spec, machine, versions and, when finished, the result.
    checkpoints : list of int
        Steps of the existing checkpoints.
    last : dict or None
        Last row of the training metrics.
    recall : dict of int to float
        Last measured recall, by exposures.
    recall_step : int or None
        Step of that measurement.
    """

    directory: str
    status: str
    record: RunRecord
    checkpoints: list[int]
    last: dict[str, Any] | None
    recall: dict[int, float]
    recall_step: int | None


def is_run(directory: str | PathLike[str]) -> bool:
    """Whether a directory holds a run."""
    return (Path(directory) / RECORD).is_file()


def inspect_run(directory: str | PathLike[str]) -> RunInspection:
    """Return the state of a run directory.

    Raises
    ------
    ArgumentError
        If it is not a run directory.
    CorpusError
        If its record is damaged.
    """
    place = Path(directory)
    record = read_record(place)
    if record is None:
        raise ArgumentError("directory", as_found(directory), "a run directory")
    rows = read_rows(place / "metrics.jsonl")
    training = [row for row in rows if row["kind"] == "train"]
    measured = [row for row in rows if row["kind"] == "recall"]
    step = max((row["step"] for row in measured), default=None)
    return RunInspection(
        directory=fspath(directory),
        status=record.status,
        record=record,
        checkpoints=list(checkpoint_paths(place / "checkpoints")),
        last=training[-1] if training else None,
        recall={row["exposures"]: row["recall"] for row in measured if row["step"] == step},
        recall_step=step,
    )


def is_saved(directory: str | PathLike[str]) -> bool:
    """Return whether a run is finished, or has a checkpoint that it resumes from."""
    place = Path(directory)
    paths = checkpoint_paths(place / "checkpoints").values()
    return (place / WEIGHTS).is_file() or any((path / OPTIMISER).is_file() for path in paths)
