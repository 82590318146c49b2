"""A study's directory: what is in it, and what of that is finished.

::

    STUDY/study.toml     the study, as it was given
    STUDY/study.json     the models and trials that it comes to, with their labels
    STUDY/models/ID/     a training run, recall.parquet and, when that is there, model.json
    STUDY/plans/ID/      a plan of edits
    STUDY/trials/ID/     frames of one trial and, when they are there, trial.json
    STUDY/cache/         covariances

A record is written last and makes what it stands beside finished, so a study that was killed at
any moment goes on with what is missing. Folders of another study may be copied in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from behemoth.study.file.identity import FORMAT
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.replacement import Kind, clear

__all__ = ["FRAMES", "StudyDirectory", "StudyError"]

FRAMES = ("edits", "probes", "geometry", "retention", "traces")
"""The frames of a trial, one Parquet file each."""

TRIAL = Kind(
    "trial.json",
    (
        *(f"{name}.parquet" for name in FRAMES), "deltas/batch/delta.*",
        "deltas/[0-9]*/delta.*",
    ),
)  # fmt: skip
"""What the folder of a trial owns."""


class StudyError(RuntimeError):
    """A study that cannot go on; exit code 1."""


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def model(self, name: str) -> Path:
        """Where a model is."""
        return self.path / "models" / name

    def plan(self, name: str) -> Path:
        """Where a plan is."""
        return self.path / "plans" / name

    def trial(self, name: str) -> Path:
        """Where a trial is."""
        return self.path / "trials" / name

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
        if self.path.exists() and not self.path.is_dir():
            raise ArgumentError("out", f"{fspath(self.path)}, a file", allowed)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not (self.path / "study.json").is_file():
            if not {entry.name for entry in self.path.iterdir()} <= {".lock"}:
                raise ArgumentError(
                    "out", f"{fspath(self.path)}, which holds something else", allowed
                )
            return
        other = self.read()["name"]
        if other != name:
            raise ArgumentError(
                "out", f"{fspath(self.path)}, the study {other!r} and not {name!r}", allowed
            )

    def begin(self, text: str, about: Mapping[str, Any]) -> None:
        """Write the study and what it comes to."""
        write_bytes(self.path / "study.toml", text.encode())
        write_bytes(self.path / "study.json", as_json({"format_version": FORMAT, **about}))

    def read(self) -> dict[str, Any]:
        """Read ``study.json``.

        Raises
        ------
        ArgumentError
            When there is no study.
        CorpusError
            When it is damaged, or of another version.
        """
        file = self.path / "study.json"
        if not file.is_file():
            raise ArgumentError(
                "STUDY", fspath(self.path), "a study (a directory that holds study.json)"
            )
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            version = about["format_version"]
            _ = about["name"], about["models"], about["trials"]
        except (ValueError, KeyError, TypeError):
            raise CorpusError(f"{file} is damaged: it is no record of a study") from None
        if version != FORMAT:
            raise CorpusError(
                f"{file}: format version {version}, and this version of behemoth reads {FORMAT}"
            )
        return about

    def record(self, kind: Literal["model", "trial"], name: str) -> dict[str, Any] | None:
        """What is recorded of a model or trial; none where it is not finished, or damaged."""
        place = self.model(name) if kind == "model" else self.trial(name)
        try:
            record = json.loads((place / f"{kind}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(record, dict) and record.get("format_version") == FORMAT
        return record if known and record.get("id") == name else None

    def write(self, kind: Literal["model", "trial"], record: Mapping[str, Any]) -> None:
        """Record a model or trial, by its ``id``."""
        name = record["id"]
        place = self.model(name) if kind == "model" else self.trial(name)
        write_bytes(place / f"{kind}.json", as_json({"format_version": FORMAT, **record}))

    def fresh(self, name: str) -> Path:
        """Give a folder for a trial, without what a killed one left there."""
        place = self.trial(name)
        clear(place, TRIAL)
        place.mkdir(parents=True, exist_ok=True)
        return place
