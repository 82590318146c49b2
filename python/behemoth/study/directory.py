"""The directory of a study: its contents, and which of its units are finished.

::

    STUDY/study.toml     the study file, with the settings of files that it names written into it
    STUDY/study.json     the models and trials of the study, with their labels
    STUDY/models/ID/     a training run, recall.parquet and, once finished, model.json
    STUDY/plans/ID/      a plan of edits
    STUDY/trials/ID/     frames of one trial and, once finished, trial.json
    STUDY/cache/         covariances, networks of `mend`, counted costs

The record of a unit is written last and marks the unit as finished, so a study that was killed at
any moment resumes with the missing units. Folders of another study may be copied in.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TypeVar

from behemoth.study.file.identity import FORMAT
from behemoth.study.records import ModelRecord, StudyRecord, TrialRecord
from behemoth.support.checks import as_found, check_directory, path_of
from behemoth.support.digests import damaged, digests, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.kinds import held, kind_of
from behemoth.support.locks import Held, lock, refused
from behemoth.support.replacement import Kind, clear

__all__ = ["FRAMES", "RECALL", "RECORD", "TRIAL", "StudyDirectory", "StudyError"]

RECORD, MODEL_RECORD, RECALL = "study.json", "model.json", "recall.parquet"
FRAMES = ("edits", "probes", "geometry", "retention", "traces", "suites", "sequence")
"""The frames of a trial, one Parquet file each."""

TRIAL = Kind(
    "trial.json",
    (
        *(f"{name}.parquet" for name in FRAMES), "deltas/batch/delta.*",
        "deltas/[0-9]*/delta.*",
    ),
)  # fmt: skip
"""Files of a trial's folder."""

_BEGUN = re.compile(
    r"\.(workers\.|study\.json\.)?lock|study\.toml|study\.json|\.study\.(toml|json)\..*\.tmp"
)


class StudyError(RuntimeError):
    """Raised if a study cannot continue; exit code 1."""


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path_of("path", path, "the directory of a study")

    def model(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.path / "models" / name

    def plan(self, name: str) -> Path:
        """Return the folder of a plan."""
        return self.path / "plans" / name

    def trial(self, name: str) -> Path:
        """Return the folder of a trial."""
        return self.path / "trials" / name

    def holding(self, place: Path, *, wait: bool = True) -> AbstractContextManager[Held]:
        """Lock a folder or file of the study; by default wait for other processes to release it."""
        return lock(place.parent / f".{place.name}.lock", wait=wait)

    @property
    def cache(self) -> Path:
        """Folder in which methods cache what is expensive to compute."""
        return self.path / "cache"

    def check(self, name: str) -> None:
        """Check that the directory is new, empty or of the study with this name.

        Raises
        ------
        ArgumentError
            If it contains anything else.
        """
        allowed = "a new or empty directory, or one of this study"
        check_directory("out", self.path, allowed)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        begun = self.begun()
        if begun is None:
            # A lock beside such files: a run is starting right now, or was killed while starting.
            names = {entry.name for entry in self.path.iterdir()}
            others = [name for name in sorted(names) if not _BEGUN.fullmatch(name)]
            if others or ".lock" not in names:
                raise ArgumentError("out", held(self.path, min(others or names)), allowed)
            return
        if begun.name != name:
            raise ArgumentError(
                "out", f"{fspath(self.path)}, the study {begun.name!r} and not {name!r}", allowed
            )

    def begin(self, text: str, about: StudyRecord) -> None:
        """Write ``study.toml`` and ``study.json``."""
        write_bytes(self.path / "study.toml", text.encode())
        write_bytes(self.path / RECORD, _as_json(about))

    def beginning(self) -> AbstractContextManager[Held]:
        """Lock ``study.json`` while a part looks whose the directory is, and makes it its own."""
        return self.holding(self.path / RECORD)

    @contextmanager
    def locked(self, doing: str, *, shared: bool = False) -> Generator[None]:
        """Hold the lock of the directory, which exists; `shared` with others that share it.

        Raises
        ------
        StudyError
            If another process holds it; the message names that process, and what it is `doing`.
        """
        file = self.path / ".lock"
        with refused(lock(file, shared=shared, wait=False), file, doing, StudyError):
            yield

    def text(self) -> str:
        """Read ``study.toml``.

        Raises
        ------
        CorpusError
            If it is damaged: it is not UTF-8.
        FileNotFoundError
            If there is none.
        """
        file = self.path / "study.toml"
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise damaged(file, f"is damaged: byte {error.start:,} is not UTF-8") from None

    def begun(self) -> StudyRecord | None:
        """Read ``study.json``; None if no study was begun here."""
        return self.read() if (self.path / RECORD).is_file() else None

    def read(self) -> StudyRecord:
        """Read ``study.json``.

        Raises
        ------
        ArgumentError
            If there is no study.
        CorpusError
            If the file is damaged, or of another version.
        """
        return _parsed(StudyRecord, self.record_file(), "a study")

    def record_file(self) -> Path:
        """Return the path of ``study.json``, without reading it.

        Raises
        ------
        ArgumentError
            If there is no study.
        """
        file = self.path / RECORD
        if not file.is_file():
            allowed = "a study (a directory that holds study.json)"
            if kind_of(self.path) == "a suite":
                allowed += "; `behemoth inspect` shows the measures of a suite"
            raise ArgumentError("path", as_found(self.path), allowed)
        return file

    def model_record(self, name: str) -> ModelRecord | None:
        """Read the record of a model; None if there is none yet.

        Raises
        ------
        CorpusError
            If the record is damaged.
        """
        return _read_record(ModelRecord, self.model(name) / MODEL_RECORD, name)

    def trial_record(self, name: str) -> TrialRecord | None:
        """Read the record of a trial; None if there is none yet.

        Raises
        ------
        CorpusError
            If the record is damaged.
        """
        return _read_record(TrialRecord, self.trial(name) / TRIAL.record, name)

    def write(self, record: ModelRecord | TrialRecord) -> None:
        """Write the record of a model or trial, with the digests of its frames."""
        of_model = isinstance(record, ModelRecord)
        place = self.model(record.id) if of_model else self.trial(record.id)
        names = (RECALL,) if of_model else tuple(f"{name}.parquet" for name in FRAMES)
        made = replace(record, files=digests(place, names) if record.status == "done" else None)
        write_bytes(place / (MODEL_RECORD if of_model else TRIAL.record), _as_json(made))

    def fresh(self, name: str) -> Path:
        """Create the folder of a trial, removing the files of one that was killed."""
        place = self.trial(name)
        clear(place, TRIAL)
        place.mkdir(parents=True, exist_ok=True)
        return place


R = TypeVar("R", ModelRecord, TrialRecord, StudyRecord)
Unit = TypeVar("Unit", ModelRecord, TrialRecord)


def _parsed(kind: type[R], file: Path, what: str) -> R:
    values = read_sealed(file, what, FORMAT)
    values.pop("format_version", None)
    try:
        return kind.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_record(file, f"record of {what}") from None


def _read_record(kind: type[Unit], file: Path, name: str) -> Unit | None:
    if not file.exists():
        return None
    record = _parsed(kind, file, f"a {file.stem}")
    if record.id != name:
        raise damaged(file, f"is of {record.id}: it was copied here from elsewhere")
    return record


def _as_json(record: ModelRecord | TrialRecord | StudyRecord) -> bytes:
    return as_json(sealed({"format_version": FORMAT, **record.to_dict()}))
