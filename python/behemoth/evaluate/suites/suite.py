"""Suites and measures, their results, and the directory that results are written to."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from behemoth.evaluate.output import all_or_none
from behemoth.support.calls import made_by
from behemoth.support.checks import as_found, path_of
from behemoth.support.digests import FILES, check, digests, no_record, sealed, unsealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.fields import check_type, made
from behemoth.support.files import as_json, replacing, write_bytes
from behemoth.support.progress import ProgressLike, task
from behemoth.support.text import interval_text, plural_text

if TYPE_CHECKING:
    from .measured_model import MeasuredModel

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
PARTS = "parts"
"""Folder of the rows that were evaluated, while there are others; see `Parts`."""
FORMAT_VERSION = 1


class MissingError(Exception):
    """Input that a measure needs and that is missing, in one line."""


@dataclass(frozen=True)
class Found:
    """The value of a measure.

    Attributes
    ----------
    value : float
    low, high : float, optional
        95% interval of the bootstrap over the units of this one model that `over` names; None if
        there is one unit, or if all samples agree.
    count : int
        Number of units that `over` names.
    over : str
        Units of the mean: subjects, facts, edits, documents, ...
    """

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 1
    over: str = "model"

    @property
    def interval(self) -> str:
        """The interval as text; empty without one."""
        return "" if self.low is None or self.high is None else interval_text(self.low, self.high)


@dataclass(frozen=True)
class Measure:
    """One line of a suite.

    Attributes
    ----------
    name : str
    meaning : str
        One-line description, with its source.
    find : callable
        Computes it from a measured model, or raises `MissingError`.
    version : int
        Version, increased with every change of the computation.
    beside : bool
        Whether the twin's own number is reported too, if there is a twin.
    in_trials : bool
        Whether trials of studies take it unless asked: measures added later are omitted, so that
        trials made by several versions of behemoth have the same measures at the same cost.
    before : bool
        Whether the unedited model's own number is reported too, for an edit: only for measures of
        the frame, which has its rows already, and those that cost a pass over some rows. A trial of
        a study reports it of the model that its methods share.
    """

    name: str
    meaning: str
    find: Callable[[MeasuredModel], Found]
    version: int = 1
    beside: bool = False
    in_trials: bool = True
    before: bool = False


@dataclass(frozen=True)
class Suite:
    """A list of measures.

    Attributes
    ----------
    name : str
    about : str
        One-line description of what it measures.
    measures : callable
        Returns the measures of a model; some exist once per group or level.
    frame : callable
        Returns the rows of the result; by default those of `evaluate`.
    needs_plan : bool
        Whether it needs a plan.
    """

    name: str
    about: str
    measures: Callable[[MeasuredModel], Sequence[Measure]]
    frame: Callable[[MeasuredModel], pl.DataFrame] = field(
        default=lambda measured: measured.named_frame
    )
    needs_plan: bool = True


@dataclass(frozen=True)
class Taken:
    """A measure that was taken, or the reason why it could not be.

    Attributes
    ----------
    name, meaning, version
        Attributes of the measure.
    found : Found, optional
    missing : str, optional
        Missing input.
    twin : float, optional
        The twin's own number, if the measure reports it.
    before : float, optional
        The number of the unedited model, if the measure reports it and this is one of an edit.
    """

    name: str
    meaning: str
    version: int
    found: Found | None = None
    missing: str | None = None
    twin: float | None = None
    before: float | None = None


@made_by("bh.evaluate_suite(...), or bh.load(PATH) of what it wrote")
@dataclass(frozen=True)
class SuiteResult:
    """The result of a suite: ``result[name]`` is the value of a measure.

    Iterating gives the names of the measures that have a value, and ``len`` their number; `table`
    has all measures, and for those without a value what is missing.

    Attributes
    ----------
    suite, source, plan_hash, twin
        Name of the suite, path of the run or edit, hash of the plan, and path of the twin; the last
        two are None if there is none.
    stage : str
        ``before`` for a run, ``after`` for an edit.
    edit_hash : str or None
        For an edit, BLAKE3 of the weights of its run and of its deltas at that time. None for a
        run, and for suites of earlier versions.
    measures : tuple of Taken
    seconds : float
        Duration of the evaluation.
    versions : dict of str
        Versions of behemoth, torch and transformers.
    frame : polars.DataFrame
        The rows that most measures are computed from: those of `evaluate`, or of
        `behemoth.recall` for suite ``recall``.
    failed_edits : int
        Number of edits that failed, alone or within a batch or sequence. A single edit that failed
        counts as 0 in efficacy and in exact matches after the edit, and its facts that must not
        change are not measured.
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
    failed_edits: int = 0

    def __repr__(self) -> str:
        found, total = len(self), len(self.measures)
        counts = f"{found} measures"
        if found < total:
            counts = f"{found} of {total} measures; .table() says what the others need"
        if self.failed_edits:
            counts += f"; {plural_text(self.failed_edits, 'edit')} failed"
        return f"SuiteResult({self.suite} of {self.source!r}, {counts})"

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Suite {self.suite} of {self.source}",
            {taken.name: _shown(taken) for taken in self.measures if taken.found is not None},
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the measures that have a value."""
        return (taken.name for taken in self.measures if taken.found is not None)

    def __len__(self) -> int:
        """Return the number of measures that have a value."""
        return sum(taken.found is not None for taken in self.measures)

    def __bool__(self) -> bool:
        """Return True: a result is one also if no measure has a value."""
        return True

    def __getitem__(self, name: str) -> float:
        """Return the value of a measure, one of the names that iteration gives.

        Raises
        ------
        ArgumentError
            For a measure that the suite does not have, or that could not be taken.
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
        """Return one row per measure.

        Columns: measure, value, low, high, count, over, before, twin, version, missing.
        """
        rows = [
            {
                "measure": taken.name,
                **(asdict(taken.found) if taken.found else dict.fromkeys(_FOUND)),
                "before": taken.before,
                "twin": taken.twin,
                "version": taken.version,
                "missing": taken.missing,
            }
            for taken in self.measures
        ]
        return pl.DataFrame(rows, schema=_TABLE)

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of ``suite.json``.

        Values that are not finite, which JSON does not have, are null; ``infinite`` of a measure
        names those that are infinite, with a minus sign before those below 0. A measure that could
        not be taken has a null and, in ``missing``, the reason.
        """
        return {
            "format_version": FORMAT_VERSION,
            "suite": self.suite,
            "source": self.source,
            "plan_hash": self.plan_hash,
            "twin": self.twin,
            "stage": self.stage,
            "edit_hash": self.edit_hash,
            "failed_edits": self.failed_edits,
            "interval": "95%, bootstrap over what `over` names, of this one model",
            "measures": [
                {
                    "name": taken.name,
                    "version": taken.version,
                    "meaning": taken.meaning,
                    "value": None,
                    **(_plain(taken) if taken.found else {"missing": taken.missing}),
                }
                for taken in self.measures
            ],
            "seconds": self.seconds,
            "versions": self.versions,
        }

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write ``frame.parquet`` and, last, ``suite.json``, with its digest; return the path.

        Where the disk fails, no part of a suite is left that was not there.
        """
        place = path_of("directory", directory)
        place.mkdir(parents=True, exist_ok=True)
        with all_or_none(place, RECORD, FRAME):
            with replacing(place / FRAME) as temporary:
                self.frame.write_parquet(temporary)
            values = self.to_dict() | {FILES: digests(place, [FRAME])}
            write_bytes(place / RECORD, as_json(sealed(values)))
        return place

    @classmethod
    def load(cls, directory: str | PathLike[str]) -> SuiteResult:
        """Read a result that `save` wrote.

        Raises
        ------
        ArgumentError
            When the directory is not one of a suite.
        CorpusError
            When it is damaged, or of another version.
        """
        file = path_of("directory", directory) / RECORD
        if not file.is_file():
            allowed = f"a suite (a directory that holds {RECORD})"
            raise ArgumentError("directory", as_found(directory), allowed)
        try:
            values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            version = values["format_version"]
            if version == FORMAT_VERSION:
                values = unsealed(file, values, "a suite")
                check(file.parent, values.get(FILES), FRAME)
                own = ("suite", "source", "plan_hash", "twin", "stage", "seconds", "versions")
                measures = tuple(map(_taken, values["measures"]))
                frame = pl.read_parquet(file.with_name(FRAME), glob=False)
                return made(
                    cls,
                    {
                        **{name: values[name] for name in own},
                        "edit_hash": values.get("edit_hash"),
                        "failed_edits": values.get("failed_edits", 0),
                        "measures": measures,
                        "frame": frame,
                    },
                )
        except (
            OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
            pl.exceptions.PolarsError,
        ):  # fmt: skip
            raise no_record(file, "result of a suite") from None
        raise CorpusError(
            f"{file}: format version {version}, and this version of behemoth reads {FORMAT_VERSION}"
        )


# Types of the values of a measure in the record, where infinite numbers are null.
_HEAD = {"name": str, "meaning": str, "version": int}
_UNTAKEN_ROW = {**_HEAD, "missing": str}
_ROW = {**_HEAD, "count": int, "over": str,
        **dict.fromkeys(("value", "low", "high", "twin", "before"), float | None)}  # fmt: skip
_FOUND = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "count": pl.UInt64,
          "over": pl.String}  # fmt: skip
_TABLE = {"measure": pl.String, **_FOUND, "before": pl.Float64, "twin": pl.Float64,
          "version": pl.UInt32, "missing": pl.String}  # fmt: skip


def _shown(taken: Taken) -> str:
    found = taken.found
    assert found is not None
    between = found.interval and f" ({found.interval})"
    before = "" if taken.before is None else f"; before {taken.before:.3g}"
    beside = "" if taken.twin is None else f"; twin {taken.twin:.3g}"
    return f"{found.value:.3g}{between}{before}{beside}"


def _plain(taken: Taken) -> dict[str, Any]:
    assert taken.found is not None
    values = {**asdict(taken.found), "before": taken.before, "twin": taken.twin}
    infinite = [key for key, value in values.items() if value == math.inf]
    infinite += [f"-{key}" for key, value in values.items() if value == -math.inf]
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return plain | ({"infinite": infinite} if infinite else {})


def _taken(row: dict[str, Any]) -> Taken:
    """The inverse of `_plain`."""
    for name, hint in (_UNTAKEN_ROW if "missing" in row else _ROW).items():
        check_type(name, row.get(name), hint)
    head = (row["name"], row["meaning"], row["version"])
    if "missing" in row:
        return Taken(*head, missing=row["missing"])
    for name in row.get("infinite", ()):
        row = row | {name.removeprefix("-"): -math.inf if name.startswith("-") else math.inf}
    value = math.nan if row["value"] is None else row["value"]
    found = Found(value, row["low"], row["high"], row["count"], row["over"])
    # Suites of earlier versions have no numbers of the unedited model.
    return Taken(*head, found=found, twin=row["twin"], before=row.get("before"))


def take(
    suite: Suite,
    measured: MeasuredModel,
    progress: ProgressLike = None,
    only: Sequence[str] | None = None,
) -> SuiteResult:
    """Take the measures of a suite, or `only` those of some names.

    Raises
    ------
    ArgumentError
        When the source lacks the rows that the suite is about, or the suite a measure.
    """
    begin = time.perf_counter()
    try:
        # First: a measure that the suite does not have is refused before the rows are made, except
        # by suite `recall`, whose rows say what levels of exposures it has measures of.
        measures = _chosen(suite.measures(measured), only)
        frame = suite.frame(measured)
    except MissingError as missing:
        raise ArgumentError("source", fspath(measured.source), str(missing)) from None
    if measured.in_trial and not measured.added:
        measures = [measure for measure in measures if measure.in_trials]
    results = []
    with task(progress, "measuring", "measures") as step:
        for number, measure in enumerate(measures):
            results.append(take_one(measure, measured))
            step(number + 1, len(measures))
    return SuiteResult(
        suite=suite.name,
        source=fspath(measured.source),
        plan_hash=measured.plan_hash,
        twin=None if measured.twin is None else fspath(measured.twin.source),
        stage=measured.stage,
        edit_hash=measured.edit_hash,
        measures=tuple(results),
        seconds=time.perf_counter() - begin,
        versions={name: metadata.version(name) for name in ("behemoth", "torch", "transformers")},
        frame=frame,
        failed_edits=measured.failed_edits,
    )


def check_names(measures: Sequence[str]) -> None:
    """Refuse an argument `measures` that is no list of names, each of which it has once.

    A text is none, and neither is [].

    Raises
    ------
    ArgumentError
    """
    names = list(measures) if isinstance(measures, Collection) else []
    if isinstance(measures, str) or not names or not all(isinstance(name, str) for name in names):
        raise ArgumentError("measures", measures, "a list of names of measures")
    if any(name in names[:at] for at, name in enumerate(names)):
        raise ArgumentError("measures", measures, "each name once")


def _chosen(measures: Sequence[Measure], only: Sequence[str] | None) -> Sequence[Measure]:
    if only is None:
        return measures
    names = [measure.name for measure in measures]
    for name in only:
        if name not in names:
            raise ArgumentError.unknown("measures", name, names)
    return [measure for measure in measures if measure.name in only]


def take_one(measure: Measure, measured: MeasuredModel) -> Taken:
    """Take a measure, with the numbers of the twin and of the unedited model that it reports."""
    head = (measure.name, measure.meaning, measure.version)
    try:
        found = measure.find(measured)
    except MissingError as missing:
        return Taken(*head, missing=str(missing))
    # A measure that cannot be taken of these is omitted: they are not what is evaluated.
    twin_value = before_value = None
    if measure.beside and measured.twin is not None:
        with suppress(MissingError):
            twin_value = measured.beside.take(measure).value
    if measure.before and measured.before is not None:
        with suppress(MissingError):
            before_value = measured.before.take(measure).value
    return Taken(*head, found=found, twin=twin_value, before=before_value)
