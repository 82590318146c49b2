"""The directory of a tuning: its arguments, each trial, and the chosen settings.

::

    DIR/tuning.json      the arguments and, at the end, the digests of the trials and results
    DIR/plan/            the edits that settings are tried on
    DIR/twin/            for unlearning, a run trained without the plan's facts
    DIR/trials/0000.json settings, score, its legs and seconds of a trial, written when it is done
    DIR/curve.parquet    one row per trial
    DIR/best.toml        the chosen settings

A trial is written completely or not at all, so a tuning that was interrupted at any moment resumes
with the next one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import fspath
from pathlib import Path
from typing import Any

import polars as pl

from behemoth.edit.settings import Tuning
from behemoth.support.checks import check_directory
from behemoth.support.digests import FILES, digests, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made
from behemoth.support.files import (
    as_json,
    names_in,
    replacing,
    sweep_folder,
    write_bytes,
)
from behemoth.support.kinds import held
from behemoth.support.text import plural_text

__all__ = ["BEST", "CURVE", "RECORD", "Tried", "TuningDirectory"]

RECORD = "tuning.json"
BEST = "best.toml"
_CURVE = "curve.parquet"

FORMAT_VERSION = 1
_SETTING = "settings."
_HASHED = {
    "spec_hash": ("on another world", "one on this world"),
    "weights": ("on a run with other weights", "one on the same weights"),
    "twin": ("with another twin, or with one of its own", "one with the same twin"),
    "plan_hash": (
        "of other edits",
        "one with the same number, exposures, seed and choice of edits",
    ),
}
"""What is recorded as a hash: of what the other tuning is then said to be, and what is allowed."""
CURVE: dict[str, Any] = {
    "trial": pl.UInt32,
    "score": pl.Float64,
    "best": pl.Float64,
    "seconds": pl.Float64,
    "settings": pl.String,
    "legs": pl.String,
    "failure": pl.String,
}
"""Columns of ``curve.parquet``; best is the highest score so far, settings and legs are JSON."""


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes
    ----------
    number : int
        Number of the trial, from 0; trial 0 has the method's default settings, with fewer steps if
        theirs need too many rows.
    settings : dict
        Values of the searched settings.
    score : float
        0 if the edit failed, or if a measure of the edited model is not finite.
    legs : dict of str to float
        The values whose harmonic mean is the score.
    seconds : float
        Duration of the edit, without evaluation.
    failure : str, optional
        Why the edit failed, or which measure is not finite.
    """

    number: int
    settings: dict[str, Any]
    score: float
    legs: dict[str, Any]
    seconds: float
    failure: str | None = None


class TuningDirectory:
    """The directory of a tuning.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan, self.twin = path / "plan", path / "twin"

    def check(self) -> None:
        """Refuse a directory with something else in it.

        Raises
        ------
        ArgumentError
        """
        place = self.path
        check_directory("out", place)
        if place.is_dir() and not (place / RECORD).is_file():
            # A call that was killed while it wrote its record leaves a temporary folder.
            others = names_in(place) - {".lock"}
            if others:
                allowed = "a new or empty directory, or one of this tuning"
                raise ArgumentError("out", held(place, min(others)), allowed)

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Write the arguments, or check that they equal those of the existing tuning.

        Raises
        ------
        ArgumentError
            If the directory contains something else, or a tuning with other arguments.
        CorpusError
            If its record is damaged.
        """
        place, file = self.path, self.path / RECORD
        for folder in (place, self._trial(0).parent):  # safe: the caller has the lock
            sweep_folder(folder)
        self.check()
        if file.is_file():
            self._check_asked(_flat(asked), _flat(read_sealed(file, "a tuning")))
            return
        place.mkdir(parents=True, exist_ok=True)
        write_bytes(file, as_json(sealed({"format_version": FORMAT_VERSION, **asked})))

    def _check_asked(self, asked: Mapping[str, object], there: Mapping[str, object]) -> None:
        """Refuse arguments other than those of the existing tuning."""
        # Records of earlier versions do not contain the settings that are not searched.
        other = [
            name
            for name, value in asked.items()
            if there.get(name, value if name.startswith(_SETTING) else None) != value
        ]
        # A hash says least, and differs because of a seed as well.
        for name in sorted(other, key=lambda name: name in _HASHED):
            if name in _HASHED:
                of, allowed = _HASHED[name]
                of = f"a tuning {of}"
            else:
                of = f"a tuning with {name} {there.get(name)!r}"
                allowed = f"one with {name} {asked[name]!r}"
            raise ArgumentError(
                "out", f"{fspath(self.path)}, {of}", f"{allowed}, or a new directory"
            )

    def tried(self) -> list[Tried]:
        """Return the finished trials, up to the first that is missing.

        Raises
        ------
        CorpusError
            If the record of one is damaged.
        """
        found: list[Tried] = []
        while self._trial(len(found)).is_file():
            found.append(self.trial(len(found)))
        return found

    def trial_numbers(self) -> list[int]:
        """Return the numbers of the trials with a record; files with other names are skipped."""
        stems = {file.stem for file in self._trial(0).parent.glob("*.json")}
        found = sorted({int(stem) for stem in stems if stem.isdecimal()})
        return [number for number in found if self._trial(number).stem in stems]

    def trial(self, number: int) -> Tried:
        """Return a finished trial.

        Raises
        ------
        CorpusError
            If its record is damaged.
        """
        file = self._trial(number)
        values = read_sealed(file, "a tuning")
        if isinstance(score := values.get("score"), float) and not math.isfinite(score):
            # An earlier version wrote such trials; a search cannot continue from them.
            values |= {"score": 0.0, "legs": {}, "failure": f"the score is {score}"}
        try:
            return made(Tried, values)
        except ArgumentError:
            raise no_record(file, "trial of a tuning") from None

    def write(self, tried: Tried) -> None:
        """Record a trial."""
        self._trial(tried.number).parent.mkdir(exist_ok=True)
        write_bytes(self._trial(tried.number), as_json(sealed(asdict(tried))))

    def reopen(self) -> None:
        """Mark a finished tuning as not finished, before further trials change its results."""
        record = self.record()
        if self.is_finished(record):
            write_bytes(self.path / RECORD, as_json(sealed(record | {FILES: None})))

    def is_finished(self, record: Mapping[str, Any]) -> bool:
        """Return whether the results of the tuning are those of all of its trials.

        Parameters
        ----------
        record : mapping
            What `record` returns; those of earlier versions have no digests even then.
        """
        if FILES in record:
            return record[FILES] is not None
        return (self.path / BEST).is_file()

    def conclude(
        self,
        trials: Sequence[Tried],
        method: str,
        objective: str,
        most: int,
        *,
        default_steps: int | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Tried:
        """Write the curve and the chosen settings; return the first trial with the highest score.

        Parameters
        ----------
        trials : sequence of Tried
        method, objective : str
        most : int
            Maximum number of rows that an edit could pass forward and backward.
        default_steps : int, optional
            Number of steps of the first trial, if `most` lowered it.
        origin : mapping, optional
            The hashes, the id and the seed of `Tuning`.
        """
        best = max(trials, key=lambda trial: (trial.score, -trial.number))
        rows: list[dict[str, Any]] = []
        for trial in trials:
            highest = max(trial.score, rows[-1]["best"] if rows else trial.score)
            rows.append(
                {"trial": trial.number, "score": trial.score, "best": highest,
                 "seconds": trial.seconds, "settings": json.dumps(trial.settings),
                 "legs": json.dumps(trial.legs), "failure": trial.failure}
            )  # fmt: skip
        with replacing(self.path / _CURVE) as temporary:
            pl.DataFrame(rows, schema=CURVE).write_parquet(temporary)
        seconds = round(sum(trial.seconds for trial in trials), 3)
        tuning = Tuning(
            objective, len(trials), seconds, most, best.score, trials[0].score, default_steps,
            **(origin or {}),
        )  # fmt: skip
        lines = [
            f"# Best of {plural_text(len(trials), 'trial')} of behemoth tune {method} "
            f"by the {objective} score.",
            f"name = {json.dumps(method)}",
            "[settings]",
            # TOML has no null value.
            *(f"{key} = {json.dumps('none' if value is None else value)}"
              for key, value in best.settings.items()),
            "[tuning]",
            *(f"{key} = {json.dumps(value)}" for key, value in tuning.to_dict().items()),
            "",
        ]  # fmt: skip
        write_bytes(self.path / BEST, "\n".join(lines).encode())
        names = [self._trial(trial.number).relative_to(self.path) for trial in trials]
        record = read_sealed(self.path / RECORD, "a tuning") | {
            FILES: digests(self.path, [_CURVE, BEST, *names])
        }
        write_bytes(self.path / RECORD, as_json(sealed(record)))
        return best

    def record(self) -> dict[str, Any]:
        """Return the arguments and, if the tuning is finished, the digests of its files.

        The digests are None while a tuning that was finished goes on.

        Raises
        ------
        CorpusError
            If the record is damaged.
        """
        return read_sealed(self.path / RECORD, "a tuning")

    def _trial(self, number: int) -> Path:
        return self.path / "trials" / f"{number:04}.json"


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with each of the settings as an entry of its own."""
    others = {name: value for name, value in values.items() if name != "settings"}
    settings = dict(values.get("settings", {}))
    return others | {f"{_SETTING}{name}": value for name, value in settings.items()}
