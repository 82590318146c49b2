"""What a suite is, what a measure finds, and the directory that both are written to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from behemoth.support.checks import in_the_way
from behemoth.support.digests import no_record
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, replacing, write_bytes
from behemoth.support.progress import ProgressLike, task

if TYPE_CHECKING:
    from .bench import Bench

__all__ = [
    "RECORD",
    "Found",
    "Measure",
    "MissingError",
    "Suite",
    "SuiteResult",
    "Taken",
]

RECORD = "suite.json"
"""The summary, written last."""
FRAME = "frame.parquet"
FORMAT_VERSION = 1


class MissingError(Exception):
    """What a measure would need and does not have: one line for people."""


@dataclass(frozen=True)
class Found:
    """What a measure found.

    Attributes
    ----------
    value : float
    low, high : float, optional
        95% interval, of the bootstrap over subjects of this one model where `over` says so.
    count : int
        How many of what `over` names it is a mean over.
    over : str
        Subjects, facts, edits, tokens, ...
    """

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 1
    over: str = "model"


@dataclass(frozen=True)
class Measure:
    """One line of a suite.

    Attributes
    ----------
    name : str
    meaning : str
        What it says, with its source.
    find : callable
        Takes it from a bench, or raises `MissingError`.
    version : int
        Grows with every change of what it computes.
    beside : bool
        Whether a twin's own number stands beside, where there is a twin.
    """

    name: str
    meaning: str
    find: Callable[[Bench], Found]
    version: int = 1
    beside: bool = False


@dataclass(frozen=True)
class Suite:
    """A list of measures.

    Attributes
    ----------
    name : str
    about : str
        For whom it is.
    measures : callable
        The measures for a bench: some are one a group or level that is there.
    frame : callable
        The rows that it is made of; those of `evaluate` by default.
    needs_plan : bool
        Whether what it asks is what a plan says.
    """

    name: str
    about: str
    measures: Callable[[Bench], Sequence[Measure]]
    frame: Callable[[Bench], pl.DataFrame] = field(default=lambda bench: bench.named_frame)
    needs_plan: bool = True


@dataclass(frozen=True)
class Taken:
    """A measure that was taken, or why it could not be.

    Attributes
    ----------
    name, meaning, version
        Of the measure.
    found : Found, optional
    missing : str, optional
        What would be needed.
    twin : float, optional
        The twin's own number, where that says something.
    """

    name: str
    meaning: str
    version: int
    found: Found | None = None
    missing: str | None = None
    twin: float | None = None


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found.

    Attributes
    ----------
    suite, source, plan_hash, twin
        What was measured: the suite's name, the run or edit, the plan and the twin if there were
        such.
    stage : str
        ``before`` of a run, ``after`` of an edit.
    edit_hash : str or None
        Of an edit, BLAKE3 of what was measured: the weights of its run and its deltas, as they were
        then. None of a run, and of suites of earlier versions.
    measures : tuple of Taken
    seconds : float
    versions : dict of str
    frame : polars.DataFrame
        The rows that most of it is made of: of `evaluate`, or of suite ``recall`` of
        `behemoth.recall`.
    """

    suite: str
    source: str
    plan_hash: str | None
    twin: str | None
    stage: str
    edit_hash: str | None
    measures: tuple[Taken, ...]
    seconds: float
    versions: dict[str, str]
    frame: pl.DataFrame = field(repr=False, compare=False)

    def __getitem__(self, name: str) -> float:
        """The value of a measure.

        Raises
        ------
        ArgumentError
            For one that the suite does not have, or that could not be taken.
        """
        measures = {taken.name: taken for taken in self.measures}
        if name not in measures:
            raise ArgumentError.unknown("measure", name, measures)
        found = measures[name].found
        if found is None:
            raise ArgumentError(
                "measure", name, f"one with a value (it needs {measures[name].missing})"
            )
        return found.value

    def table(self) -> pl.DataFrame:
        """One row a measure: measure, value, low, high, count, over, twin, version, missing."""
        rows = [
            {
                "measure": taken.name,
                **(asdict(taken.found) if taken.found else dict.fromkeys(_FOUND)),
                "twin": taken.twin,
                "version": taken.version,
                "missing": taken.missing,
            }
            for taken in self.measures
        ]
        return pl.DataFrame(rows, schema=_TABLE)

    def to_dict(self) -> dict[str, Any]:
        """As ``suite.json`` has it; what is no number is null."""
        return {
            "format_version": FORMAT_VERSION,
            "suite": self.suite,
            "source": self.source,
            "plan_hash": self.plan_hash,
            "twin": self.twin,
            "stage": self.stage,
            "edit_hash": self.edit_hash,
            "interval": "95%, bootstrap over the subjects of this one model",
            "measures": [
                {
                    "name": taken.name,
                    "version": taken.version,
                    "meaning": taken.meaning,
                    **(_plain(taken) if taken.found else {"missing": taken.missing}),
                }
                for taken in self.measures
            ],
            "seconds": self.seconds,
            "versions": self.versions,
        }

    def write(self, out: str | PathLike[str]) -> None:
        """Write ``frame.parquet`` and, last, ``suite.json`` to a directory."""
        place = Path(out)
        place.mkdir(parents=True, exist_ok=True)
        with replacing(place / FRAME) as temporary:
            self.frame.write_parquet(temporary)
        write_bytes(place / RECORD, as_json(self.to_dict()))

    @classmethod
    def read(cls, directory: str | PathLike[str]) -> SuiteResult:
        """Read what `write` wrote.

        Raises
        ------
        CorpusError
            When it is damaged, or of another version.
        """
        file = Path(directory) / RECORD
        try:
            values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            version = values["format_version"]
            if version == FORMAT_VERSION:
                own = ("suite", "source", "plan_hash", "twin", "stage", "seconds", "versions")
                measures = tuple(map(_taken, values["measures"]))
                frame = pl.read_parquet(file.with_name(FRAME))
                return cls(
                    **{name: values[name] for name in own},
                    edit_hash=values.get("edit_hash"),
                    measures=measures,
                    frame=frame,
                )
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            raise no_record(file, "result of a suite") from None
        raise CorpusError(
            f"{file}: format version {version}, and this version of behemoth reads {FORMAT_VERSION}"
        )


_FOUND = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "count": pl.UInt64,
          "over": pl.String}  # fmt: skip
_TABLE = {
    "measure": pl.String,
    **_FOUND,
    "twin": pl.Float64,
    "version": pl.UInt32,
    "missing": pl.String,
}


def _plain(taken: Taken) -> dict[str, Any]:
    assert taken.found is not None
    values = {**asdict(taken.found), "twin": taken.twin}
    return {key: None if isinstance(v, float) and v != v else v for key, v in values.items()}


def _taken(row: dict[str, Any]) -> Taken:
    """The inverse of `_plain`."""
    head = (row["name"], row["meaning"], row["version"])
    if "missing" in row:
        return Taken(*head, missing=row["missing"])
    value = float("nan") if row["value"] is None else row["value"]
    found = Found(value, row["low"], row["high"], row["count"], row["over"])
    return Taken(*head, found=found, twin=row["twin"])


def check_out(out: str | PathLike[str], force: bool) -> None:
    """Refuse a place that holds something else, or a result without `force`."""
    place = Path(out)
    if in_the_way(place):
        raise ArgumentError("out", fspath(out), "a new or empty directory")
    if not place.is_dir():
        return
    existing = {file.name for file in place.iterdir()}
    if existing - {FRAME, RECORD}:
        other = min(existing - {FRAME, RECORD})
        raise ArgumentError(
            "out", f"{fspath(out)}, which holds {other}", "a new or empty directory"
        )
    if existing and not force:
        raise ArgumentError("out", f"{fspath(out)}, which holds a suite", "another, or --force")


def take(suite: Suite, bench: Bench, progress: ProgressLike = None) -> SuiteResult:
    """Take all measures of a suite.

    Raises
    ------
    ArgumentError
        When what is measured has nothing that the suite is about.
    """
    begin = time.perf_counter()
    try:
        frame = suite.frame(bench)
    except MissingError as missing:
        raise ArgumentError("source", fspath(bench.source), str(missing)) from None
    measures = suite.measures(bench)
    results = []
    with task(progress, "measuring", "measures") as step:
        for number, measure in enumerate(measures):
            results.append(_take(measure, bench))
            step(number + 1, len(measures))
    return SuiteResult(
        suite=suite.name,
        source=fspath(bench.source),
        plan_hash=bench.plan_hash,
        twin=None if bench.twin is None else fspath(bench.twin.source),
        stage=bench.stage,
        edit_hash=bench.edit_hash,
        measures=tuple(results),
        seconds=time.perf_counter() - begin,
        versions={name: metadata.version(name) for name in ("behemoth", "torch", "transformers")},
        frame=frame,
    )


def _take(measure: Measure, bench: Bench) -> Taken:
    head = (measure.name, measure.meaning, measure.version)
    try:
        found = measure.find(bench)
    except MissingError as missing:
        return Taken(*head, missing=str(missing))
    twin_value = None
    if measure.beside and bench.twin is not None:
        # What cannot be said of the twin is left open: it is not what was asked about.
        with suppress(MissingError):
            twin_value = bench.beside.take(measure).value
    return Taken(*head, found=found, twin=twin_value)
