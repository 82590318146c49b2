"""Export of an edit: the run's model with the deltas applied to its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path

from behemoth._gen import digest
from behemoth.delta.delta import EditDelta
from behemoth.edit.record import EditRecord, read_edit
from behemoth.evaluate.suites.suite import RECORD as SUITE, SuiteResult
from behemoth.store.source import at_hand
from behemoth.support.checks import url_or_none
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.train.model_source import ModelSource
from behemoth.train.run import RECORD as RUN

__all__ = ["EditedModels"]

_ALLOWED = "a finished edit directory"


@dataclass(frozen=True, eq=False)
class EditedModels:
    """Models that an edit makes from its run: one for a batch or sequence, or one per single edit.

    Attributes
    ----------
    record : EditRecord
    run : ModelSource
        The run that was edited, or the model of another origin.
    deltas : mapping of str to int or None
        Key of each model's delta, by the folder of the model; the folder of a sole model is "".
    suites : tuple of SuiteResult
        Suites evaluated on this edit, found in its directory or beside it.

    Raises
    ------
    ArgumentError
        If no edit succeeded, the edit changes more than weights, or the weights of the run have
        changed since.
    """

    record: EditRecord
    run: ModelSource
    deltas: Mapping[str, int | None]
    suites: tuple[SuiteResult, ...] = ()

    def __post_init__(self) -> None:
        # All deltas of one method change the same kinds of parts.
        modules = self.delta(next(iter(self.deltas))).of_modules
        if modules:
            got = f"{self.record.directory}, in which {self.record.method} changes the modules "
            got += " and ".join(modules)
            raise ArgumentError("directory", got, "an edit that changes only weights")

    @classmethod
    def open(cls, directory: str | PathLike[str], edit: int | None = None) -> EditedModels:
        """Open an edit directory.

        Parameters
        ----------
        directory : path
        edit : int, optional
            Number of the single edit to open; all by default.

        Raises
        ------
        ArgumentError
            If it is not a finished edit, or the edit does not exist or has failed.
        CorpusError
            If it is damaged, or a suite in it is.
        """
        place = at_hand("directory", directory, _ALLOWED)
        if (place / RUN).is_file():
            got = f"{fspath(directory)}, a run, which transformers loads without an export"
            raise ArgumentError("directory", got, _ALLOWED)
        record = read_edit(place, url_or_none(directory))
        run = record.open_run()
        return cls(record, run, _deltas(record, directory, edit), tuple(_suites(record, run)))

    @property
    def edits(self) -> int:
        """Number of edits in the models."""
        if self.record.single:
            return len(self.deltas)
        return len(self.record.edits) - len(self.record.failed)

    @cached_property
    def edit_hash(self) -> str:
        """BLAKE3 of the inputs of the models: the run's weights and the deltas."""
        return self.record.models_hash(self.run.directory, self.deltas.values())

    @cached_property
    def suites_hash(self) -> str | None:
        """Hash of the contents of the suites, which the cards state; None without any."""
        if not self.suites:
            return None
        said = [suite.to_dict() for suite in self.suites]
        return digest(json.dumps(said, sort_keys=True).encode())

    def delta(self, folder: str) -> EditDelta:
        """Return the delta of the model in a folder."""
        return EditDelta.load(self.record.delta_place(self.deltas[folder]))


def _deltas(
    record: EditRecord, directory: str | PathLike[str], edit: int | None
) -> dict[str, int | None]:
    """Return the deltas of an edit's models; see `EditedModels.deltas`."""
    if edit is not None:
        record.check_edit(edit)
        return {"": edit}
    if not record.single:
        with renamed(edit="directory"):
            record.check_edit(None)
        return {"": None}
    failed = {row.edit for row in record.failed}
    deltas: dict[str, int | None] = {f"{key:05}": key for key in record.edits if key not in failed}
    if not deltas:
        got = f"{fspath(directory)}, all edits of which failed"
        raise ArgumentError("directory", got, "a directory with a successful edit")
    return deltas


def _suites(record: EditRecord, run: ModelSource) -> Iterator[SuiteResult]:
    """Yield the suites of an edit, identified by the hashes they record, not by their names."""
    own: str | None = None
    for suite in _near(record.directory.resolve()):
        if suite.stage != "after" or suite.plan_hash != record.plan_hash:
            continue
        if suite.edit_hash is None:  # by an earlier version: it may belong to another edit
            continue
        own = own or record.models_hash(run.directory, record.keys)
        if suite.edit_hash == own:
            yield suite


def _near(place: Path) -> Iterator[SuiteResult]:
    for file in sorted(place.glob(f"*/{SUITE}")):
        yield SuiteResult.load(file.parent)
    for file in sorted(place.parent.glob(f"*/{SUITE}")):
        # Directories beside an edit may be unrelated to it, complete or not.
        with suppress(CorpusError):
            yield SuiteResult.load(file.parent)
