"""A study's directory: what is in it, and what of that is finished.

::

    STUDY/study.toml     the study, as it was given
    STUDY/study.json     the models and trials that it comes to, with their labels
    STUDY/models/ID/     a training run, recall.parquet and, when that is there, model.json
    STUDY/plans/ID/      a plan of edits
    STUDY/trials/ID/     frames of one trial and, when they are there, trial.json
    STUDY/cache/         covariances, networks of `mend`, counted costs

A record is written last and makes what it stands beside finished, so a study that was killed at
any moment goes on with what is missing. Folders of another study may be copied in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

from behemoth.study.file.identity import FORMAT
from behemoth.study.records import ModelRecord, StudyRecord, TrialRecord
from behemoth.support.checks import in_the_way, path_of
from behemoth.support.digests import damaged, digests, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.locks import Held, lock
from behemoth.support.replacement import Kind, clear

__all__ = ["FRAMES", "RECALL", "RECORD", "TRIAL", "StudyDirectory", "StudyError"]

RECORD, MODEL_RECORD, RECALL = "study.json", "model.json", "recall.parquet"
FRAMES = ("edits", "probes", "geometry", "retention", "traces", "suites")
"""The frames of a trial, one Parquet file each."""

TRIAL = Kind(
    "trial.json",
    (
        *(f"{name}.parquet" for name in FRAMES), "deltas/batch/delta.*",
        "deltas/[0-9]*/delta.*",
    ),
)  # fmt: skip
"""What the folder of a trial owns."""

_BEGUN = re.compile(r"\.lock|study\.toml|study\.json|\.study\.(toml|json)\..*\.tmp")


class StudyError(RuntimeError):
    """A study that cannot go on; exit code 1."""


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path_of("path", path, "the directory of a study")

    def model(self, name: str) -> Path:
        """Where a model is."""
        return self.path / "models" / name

    def plan(self, name: str) -> Path:
        """Where a plan is."""
        return self.path / "plans" / name

    def trial(self, name: str) -> Path:
        """Where a trial is."""
        return self.path / "trials" / name

    def holding(self, place: Path) -> AbstractContextManager[Held]:
        """Wait for whoever is at a model, plan or trial, and keep others from it."""
        return lock(place.parent / f".{place.name}.lock")

    @property
    def cache(self) -> Path:
        """Where methods keep what is dear to make."""
        return self.path / "cache"

    def check(self, name: str) -> None:
        """Refuse a directory that holds something else than the study of this name.

        Raises
        ------
        ArgumentError
        """
        allowed = "a new or empty directory, or one of this study"
        if in_the_way(self.path):
            raise ArgumentError("out", f"{fspath(self.path)}, a file", allowed)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not (self.path / "study.json").is_file():
            # With a lock it is one that a run begins right now, or was killed while it began.
            names = {entry.name for entry in self.path.iterdir()}
            if ".lock" not in names or not all(map(_BEGUN.fullmatch, names)):
                raise ArgumentError(
                    "out", f"{fspath(self.path)}, which holds something else", allowed
                )
            return
        other = self.read().name
        if other != name:
            raise ArgumentError(
                "out", f"{fspath(self.path)}, the study {other!r} and not {name!r}", allowed
            )

    def begin(self, text: str, about: StudyRecord) -> None:
        """Write the study and what it comes to."""
        write_bytes(self.path / "study.toml", text.encode())
        write_bytes(self.path / RECORD, _as_json(about))

    def read(self) -> StudyRecord:
        """Read ``study.json``.

        Raises
        ------
        ArgumentError
            When there is no study.
        CorpusError
            When it is damaged, or of another version.
        """
        file = self.path / RECORD
        if not file.is_file():
            raise ArgumentError(
                "path", fspath(self.path), "a study (a directory that holds study.json)"
            )
        about = read_sealed(file, "a study", FORMAT)
        try:
            return StudyRecord.from_dict(_without_version(about))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise no_record(file, "record of a study") from None

    def model_record(self, name: str) -> ModelRecord | None:
        """What is recorded of a model; none where it is not finished.

        Raises
        ------
        CorpusError
            When the record is damaged.
        """
        return _read_record(ModelRecord, self.model(name) / MODEL_RECORD, name)

    def trial_record(self, name: str) -> TrialRecord | None:
        """What is recorded of a trial; none where it is not finished.

        Raises
        ------
        CorpusError
            When the record is damaged.
        """
        return _read_record(TrialRecord, self.trial(name) / TRIAL.record, name)

    def write(self, record: ModelRecord | TrialRecord) -> None:
        """Record a model or trial, with the digests of its frames."""
        of_model = isinstance(record, ModelRecord)
        place = self.model(record.id) if of_model else self.trial(record.id)
        names = (RECALL,) if of_model else tuple(f"{name}.parquet" for name in FRAMES)
        made = replace(record, files=digests(place, names) if record.status == "done" else None)
        write_bytes(place / (MODEL_RECORD if of_model else TRIAL.record), _as_json(made))

    def fresh(self, name: str) -> Path:
        """Give a folder for a trial, without what a killed one left there."""
        place = self.trial(name)
        clear(place, TRIAL)
        place.mkdir(parents=True, exist_ok=True)
        return place


def _without_version(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "format_version"}


R = TypeVar("R", ModelRecord, TrialRecord)


def _read_record(kind: type[R], file: Path, name: str) -> R | None:
    if not file.is_file():
        return None
    what = f"a {file.stem}"
    values = read_sealed(file, what, FORMAT)
    try:
        record = kind.from_dict(_without_version(values))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_record(file, f"record of {what}") from None
    if record.id != name:
        raise damaged(file, f"is of {record.id}: it was copied here from elsewhere")
    return record


def _as_json(record: ModelRecord | TrialRecord | StudyRecord) -> bytes:
    return as_json(sealed({"format_version": FORMAT, **record.to_dict()}))
