"""A finished zoo, read: its models, twins, plans and corpora by the names of its models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path

import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import path_of
from behemoth.support.digests import check
from behemoth.support.errors import ArgumentError
from behemoth.support.parquet import read_parquet
from behemoth.train.run import Run, read_run

from .record import ZOO, ZooModel, ZooRecord

__all__ = ["Zoo", "read_zoo"]


@dataclass(frozen=True, eq=False)
class Zoo:
    """A turnkey set of models; a path, of its directory, wherever one is asked for.

    Attributes
    ----------
    directory : Path
    record : ZooRecord
        What ``zoo.json`` says.
    """

    directory: Path
    record: ZooRecord

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        models = f"{len(self.record.models):,} models"
        return f"Zoo({fspath(self.directory)!r}, {self.record.size}, {models})"

    @property
    def names(self) -> list[str]:
        """Names of the models, each that of a run, its twin and its recall."""
        return [row.name for row in self.record.models]

    def table(self) -> pl.DataFrame:
        """One row a model: name, world, model, seed and the hashes of what belongs to it."""
        return pl.DataFrame([asdict(row) for row in self.record.models])

    def run(self, name: str) -> Run:
        """The run of a model.

        Raises
        ------
        ArgumentError
            For an unknown name; it suggests the nearest one.
        """
        return read_run(self.directory / "models" / self._row(name).name)

    def twin(self, name: str) -> Run:
        """The run of its twin, which was trained without the facts of the plan."""
        return read_run(self.directory / "twins" / self._row(name).name)

    def plan(self, name: str) -> EditPlan:
        """The plan of its world."""
        return EditPlan.load(self.directory / "plans" / f"w{self._row(name).world}")

    def corpus(self, name: str) -> Corpus:
        """The corpus of its world."""
        return Corpus.open(self.directory / "corpora" / f"w{self._row(name).world}")

    def facts(self, name: str) -> pl.DataFrame:
        """All facts of its world: subject, relation, object, exposures, and edit of the plan's.

        Raises
        ------
        CorpusError
            When the file is damaged.
        """
        return self._frame(f"facts/w{self._row(name).world}.parquet")

    def recall(self, name: str | None = None) -> pl.DataFrame:
        """What a model knows, a row a wording; of all models, with their names, by default.

        Raises
        ------
        CorpusError
            When a file is damaged.
        """
        if name is None:
            frames = [self.recall(own).select(pl.lit(own).alias("name"), "*") for own in self.names]
            return pl.concat(frames)
        return self._frame(f"recall/{self._row(name).name}.parquet")

    def _frame(self, name: str) -> pl.DataFrame:
        check(self.directory, {file: row.blake3 for file, row in self.record.files.items()}, name)
        return read_parquet(self.directory / name)

    def _row(self, name: str) -> ZooModel:
        for row in self.record.models:
            if row.name == name:
                return row
        raise ArgumentError.unknown("name", name, self.names)


def read_zoo(directory: str | PathLike[str]) -> Zoo:
    """Read what a zoo says of itself.

    Raises
    ------
    ArgumentError
        When it is none, or is not finished.
    CorpusError
        When its record is damaged.
    """
    place = path_of("directory", directory, "the directory of a zoo")
    record = ZooRecord.read(place)
    if record is None:
        allowed = f"the directory of a zoo (one that holds {ZOO.record})"
        raise ArgumentError("directory", fspath(directory), allowed)
    if not record.complete:
        raise ArgumentError(
            "directory",
            f"{fspath(directory)!r}, which is not finished",
            "a finished one (`behemoth zoo make` with the same arguments resumes it)",
        )
    return Zoo(place, record)
