"""Reading a finished zoo: its models, twins, plans and corpora by the names of its models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path

import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.calls import made_by
from behemoth.support.checks import as_found, path_of
from behemoth.support.digests import check
from behemoth.support.errors import ArgumentError
from behemoth.support.parquet import read_parquet
from behemoth.train.run import Run, read_run

from .record import ZOO, ZooModel, ZooRecord

__all__ = ["Zoo", "read_zoo"]


@made_by("bh.load(PATH) of a directory that bh.make_zoo wrote")
@dataclass(frozen=True, eq=False)
class Zoo:
    """A turnkey set of models; accepted as a path by functions that take a path.

    Attributes
    ----------
    directory : Path
    record : ZooRecord
        Contents of ``zoo.json``.
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
        """Names of the models; a run, its twin and its recall share a name."""
        return [row.name for row in self.record.models]

    def table(self) -> pl.DataFrame:
        """Return one row per model: name, world, model, seed and the hashes of `ZooModel`."""
        return pl.DataFrame([asdict(row) for row in self.record.models])

    def run(self, name: str) -> Run:
        """Return the run of a model.

        Raises
        ------
        ArgumentError
            If the name is unknown; the nearest one is suggested.
        """
        return read_run(self.directory / "models" / self._row(name).name)

    def twin(self, name: str) -> Run:
        """Return the run of a model's twin, which was trained without the facts of the plan."""
        return read_run(self.directory / "twins" / self._row(name).name)

    def plan(self, name: str) -> EditPlan:
        """Return the plan of a model's world."""
        return EditPlan.load(self.directory / "plans" / f"w{self._row(name).world}")

    def corpus(self, name: str) -> Corpus:
        """Return the corpus of a model's world."""
        return Corpus.open(self.directory / "corpora" / f"w{self._row(name).world}")

    def facts(self, name: str) -> pl.DataFrame:
        """Return all facts of a model's world, with their exposures and edits of the plan.

        Raises
        ------
        CorpusError
            If the file is damaged.
        """
        return self._frame(f"facts/w{self._row(name).world}.parquet")

    def recall(self, name: str | None = None) -> pl.DataFrame:
        """Return the recall of a model, one row per wording; by default of all, with their names.

        Raises
        ------
        CorpusError
            If a file is damaged.
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
    """Read the record of a finished zoo.

    Raises
    ------
    ArgumentError
        If the directory is not a zoo, or the zoo is not finished.
    CorpusError
        If its record is damaged.
    """
    place = path_of("directory", directory, "the directory of a zoo")
    record = ZooRecord.read(place)
    if record is None:
        allowed = f"the directory of a zoo (one that holds {ZOO.record})"
        raise ArgumentError("directory", as_found(directory), allowed)
    if not record.complete:
        raise ArgumentError(
            "directory",
            f"{fspath(directory)!r}, which is not finished",
            "a finished one (`behemoth zoo make` with the same arguments resumes it)",
        )
    return Zoo(place, record)
