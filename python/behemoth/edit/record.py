"""An edit directory: the record in ``edit.json``, and the paths of its deltas.

Each delta is written completely or not at all: ``delta/`` for a plan as one batch, or
``deltas/00000/`` ... for its single edits.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from behemoth._gen import digest, digest_file
from behemoth.delta.delta import EditDelta
from behemoth.store.source import at_hand
from behemoth.support.calls import made_by
from behemoth.support.checks import as_found, is_url, url_or_none
from behemoth.support.digests import checks, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.fields import made
from behemoth.support.files import as_json, write_bytes
from behemoth.support.replacement import Kind, check_kind, succeeds
from behemoth.support.text import plural_text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.model_source import ModelSource

__all__ = [
    "EDIT", "EditRecord", "FailedEdit", "check_place", "count_failed", "failures_within",
    "read_edit", "source_of",
]  # fmt: skip

FORMAT_VERSION = 1
_DELTA = ("delta.json", "delta.safetensors")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
EDIT = Kind(
    "edit.json",
    (
        *(f"{folder}/{name}" for folder in ("delta", "deltas/[0-9]*") for name in _DELTA),
        *(f"{folder}/{name}" for folder in ("adapter", "adapters/[0-9]*") for name in _ADAPTER),
        *(
            f"{folder}/[0-9]*/{name}"
            for folder in ("checkpoints", "points")
            for name in (*_DELTA, "memory.safetensors")
        ),
    ),
)
"""The files that belong to an edit directory."""

_KEY = ("run", "spec_hash", "weights", "plan_hash", "method", "settings", "seed", "single",
        "checkpoints")  # fmt: skip


@dataclass(frozen=True)
class FailedEdit:
    """An edit that failed.

    Attributes
    ----------
    edit : int, optional
        Its number; None for a batch.
    failure : str
        The reason.
    """

    edit: int | None
    failure: str


def failures_within(delta: EditDelta) -> list[FailedEdit]:
    """Return the edits of a batch or sequence that failed, by its trace, in their order.

    It goes on without them. An edit may have several rows, of which the first has its reason; a
    batch that failed as a whole has `EditDelta.failure`, and need not have rows.
    """
    told: dict[int, str] = {}
    for row in delta.trace:
        if row.get("failure") is not None:  # the first of those of its tokens
            told.setdefault(row["edit"], row["failure"])
    return [FailedEdit(edit, failure) for edit, failure in told.items()]


def count_failed(failed: Sequence[FailedEdit], edits: int) -> int:
    """Return how many of so many edits failed; all of them if their batch failed as a whole."""
    return edits if any(row.edit is None for row in failed) else len(failed)


@made_by("bh.edit(...), or bh.load(PATH) of a directory that it wrote")
@dataclass(frozen=True, eq=False)
class EditRecord:
    """The record of an edit directory; usable as the path of that directory.

    Attributes
    ----------
    directory : Path
    run : Path or str
        The training run that was edited, or another model; a str is a URL.
    spec_hash : str
        Hash of the spec of its corpus.
    plan_hash, method, settings, seed, single
        The arguments of `edit`.
    edits : tuple of int
        Numbers of the edits.
    checkpoints : tuple of int
        For edits made one after another: the numbers of edits after which the sum is saved.
        Empty otherwise.
    complete : bool
        Whether all deltas exist.
    failed : tuple of FailedEdit
        Edits that failed; `failed_edits` is their number.
    corpus : Path or str, optional
        For a model that is not a training run: its corpus directory or spec.
    files : dict of str, optional
        Digests of adapters; each delta has the digests of its own files.
    place : str, optional
        Where in the model it was edited, as text, and whether tracing chose that place. None for
        methods without such a place.
    weights : str, optional
        BLAKE3 of the weights that were edited; None in records of earlier versions.
    seconds : float, optional
        Time to make the edits, without loading the model; None if they were made in several calls,
        and in records of earlier versions.
    peak_memory : int, optional
        Peak bytes of the process that made them, the model included: of tensors on a GPU, else of
        resident memory. None as for `seconds`, and if the system does not report it.
    """

    directory: Path
    run: Path | str
    spec_hash: str
    plan_hash: str
    method: str
    settings: dict[str, Any]
    seed: int
    single: bool
    edits: tuple[int, ...]
    checkpoints: tuple[int, ...] = ()
    complete: bool = False
    failed: tuple[FailedEdit, ...] = ()
    corpus: Path | str | None = None
    files: dict[str, str] | None = None
    place: str | None = None
    weights: str | None = None
    seconds: float | None = None
    peak_memory: int | None = None

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        told = told_edits(len(self.edits), self.single, self.method, bool(self.checkpoints))
        return f"EditRecord({fspath(self.directory)!r}, {told})"

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Edit {fspath(self.directory)}",
            {
                "run": fspath(self.run),
                "edits": told_edits(len(self.edits), self.single, self.method,
                                    bool(self.checkpoints)),
                "settings": ", ".join(f"{name}={value}" for name, value in self.settings.items()),
                "place": self.place or "",
                "seed": self.seed,
                "complete": self.complete,
                "failed": self.failed_edits,
            },
        )  # fmt: skip

    @property
    def keys(self) -> Sequence[int | None]:
        """The keys of the deltas: numbers of single edits, or only None."""
        return self.edits if self.single else (None,)

    @property
    def failed_edits(self) -> int:
        """Number of edits that failed: alone, within a batch or sequence, or with their batch."""
        return count_failed(self.failed, len(self.edits))

    def delta_place(self, key: int | None) -> Path:
        """Return the directory of a delta."""
        return self._place("delta", key)

    def adapter_place(self, key: int | None) -> Path:
        """Return the directory of a delta's adapter."""
        return self._place("adapter", key)

    def checkpoint_place(self, edits: int) -> Path:
        """Return the directory of the sum of a sequence's first `edits` edits."""
        return self.directory / "checkpoints" / f"{edits:07}"

    def point_place(self, edits: int) -> Path:
        """Return the directory of the sum from which an interrupted sequence resumes."""
        return self.directory / "points" / f"{edits:07}"

    def folders_of_sums(self) -> tuple[Path, Path]:
        """Return the directory of all checkpoints and that of all resume points."""
        return self.directory / "checkpoints", self.directory / "points"

    def sums(self) -> Iterator[tuple[int, EditDelta]]:
        """Yield the checkpoints of a sequence: number of edits, and the sum of their changes."""
        for edits in self.checkpoints:
            yield edits, EditDelta.load(self.checkpoint_place(edits))

    def is_there(self, key: int | None) -> bool:
        """Return whether a delta exists."""
        return (self.delta_place(key) / "delta.json").is_file()

    def check_plan(self, plan: EditPlan) -> None:
        """Refuse another plan than that of the edit.

        Raises
        ------
        ArgumentError
        """
        if self.plan_hash != plan.plan_hash:
            own = f"the edit's own, {self.plan_hash[:12]}"
            raise ArgumentError("plan", f"plan {plan.plan_hash[:12]}", own)

    def deltas(self, *, changes: bool = True) -> dict[int | None, EditDelta]:
        """Return the deltas by key: numbers of single edits, or None for that of the batch.

        Parameters
        ----------
        changes : bool
            If false, deltas have no changes: for their traces, which takes less time and memory.
        """
        load = EditDelta.load if changes else EditDelta.load_record
        return {key: load(self.delta_place(key)) for key in self.keys}

    def load_model(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        edit: int | None = None,
    ) -> PreTrainedModel:
        """Load the model that was edited, with the changes applied; the run is not changed.

        Parameters
        ----------
        device, dtype : optional
            By default a GPU if available, and float32; see `Run.load_model`.
        edit : int, optional
            Number of one of the single edits; None for a batch or a sequence.

        Raises
        ------
        ArgumentError
            If there is no such edit or it failed, or the weights of the run have changed since.
        CorpusError
            If the files of the run or of the edit are damaged.

        Examples
        --------
        >>> import behemoth as bh
        >>> plan = bh.plan("run", edits=1, repeats=2, probes=1)
        >>> _ = bh.edit("run", plan, method="rome", out="edit", settings={"steps": 2})
        >>> model = bh.load("edit").load_model("cpu")
        """
        self.check_edit(edit)
        delta = EditDelta.load(self.delta_place(edit))
        model = self.open_run().load_model(device, dtype)
        delta.apply(model)
        return model

    def check_edit(self, edit: int | None) -> None:
        """Refuse a number that is not one of the single edits, and an edit that failed.

        Raises
        ------
        ArgumentError
        """
        if edit not in self.keys:
            allowed = _numbers(self.edits) if self.single else "no number for a batch or a sequence"
            raise ArgumentError("edit", edit, allowed)
        # A failure within a sequence leaves the changes of the others.
        failure = {row.edit: row.failure for row in self.failed}.get(edit)
        if failure is not None:
            what = fspath(self.directory) if edit is None else f"{edit}"
            raise ArgumentError("edit", f"{what}, which failed: {failure}", "a successful edit")

    def models_hash(self, weights: Path, keys: Iterable[int | None]) -> str:
        """Return the BLAKE3 of the files of the model's weights and of deltas, as they are now.

        Parameters
        ----------
        weights : Path
            The directory of the model that was edited.
        keys : iterable of int or None
            Keys of the deltas.
        """
        from behemoth.train.model_source import weight_files

        deltas = [self.delta_place(key) / "delta.safetensors" for key in keys]
        return digest("\n".join(map(digest_file, [*weight_files(weights), *deltas])).encode())

    def differs(self, other: EditRecord) -> str | None:
        """Return the first field in which two edits differ, or None for the same edit."""
        # Records of an earlier version do not state the weights.
        keys = [key for key in _KEY if key != "weights" or (self.weights and other.weights)]
        return next((key for key in keys if getattr(self, key) != getattr(other, key)), None)

    def open_run(self, corpus: str | PathLike[str] | Corpus | None = None) -> ModelSource:
        """Open the model that was edited.

        Parameters
        ----------
        corpus : path or Corpus, optional
            For a model that is not a training run; by default that of the record.

        Raises
        ------
        ArgumentError
            If the model is missing, or its weights have changed since (not inside `unchecked`).
        """
        from behemoth.train.run import read_model_source, run_place

        try:
            run_place(self.run, model=True)
        except ArgumentError as error:  # of a path that the caller never named
            got = f"{self.directory}, an edit of {error.got}"
            allowed = "an edit and its model where they were when it was made (move them back)"
            if isinstance(self.run, str):  # a checkpoint, for example, has no ledger
                allowed = (
                    "an edit whose model was pushed by itself; of a checkpoint, or of a model in a "
                    "study or zoo, pull the edit and the directory around the model"
                )
            raise ArgumentError("directory", got, allowed) from None
        run = read_model_source(self.run, self.corpus if corpus is None else corpus)
        if self.weights is not None and checks() and run.weights_digest() != self.weights:
            raise ArgumentError(
                "directory",
                f"{self.directory}, whose deltas were made from other weights than {self.run} has",
                "an edit of these weights (`behemoth edit --force` starts over)",
            )
        return run

    def write(self) -> None:
        """Write ``edit.json``."""
        values = {
            "format_version": FORMAT_VERSION,
            **asdict(self),
            "run": _told(self.run, self.directory),
        }
        del values["directory"], values["corpus"]
        if self.corpus is not None:
            values["corpus"] = _told(self.corpus, self.directory)
        write_bytes(self.directory / EDIT.record, as_json(sealed(values)))

    @classmethod
    def read(cls, directory: Path, url: str | None = None) -> EditRecord | None:
        """Read ``edit.json``; return None if the directory has none.

        Parameters
        ----------
        directory : path
        url : str, optional
            URL in a store, if the directory is a copy of it.

        Raises
        ------
        CorpusError
            If the file is damaged, or of another version.
        """
        file = directory / EDIT.record
        if not file.is_file():
            return None
        values = read_sealed(file, "an edit", FORMAT_VERSION)
        try:
            return cls._of(directory, values, url)
        except (ValueError, KeyError, TypeError):
            raise no_record(file, "record of an edit") from None

    @classmethod
    def _of(cls, directory: Path, values: Mapping[str, Any], url: str | None) -> EditRecord:
        own = {key: value for key, value in values.items() if key != "format_version"}
        failed = tuple(made(FailedEdit, row) for row in own.get("failed", ()))
        run = _found(own["run"], directory, url)
        corpus = _found(own["corpus"], directory, url) if "corpus" in own else None
        places = {"directory": directory, "run": run, "corpus": corpus}
        return made(cls, {**own, **places, "failed": failed})

    def _place(self, name: str, key: int | None) -> Path:
        return self.directory / (name if key is None else f"{name}s/{key:05}")


def _numbers(edits: Sequence[int]) -> str:
    """Return the numbers of single edits as text: a range, or the first of them."""
    first, last = min(edits), max(edits)
    if len(edits) == last - first + 1:
        numbers = f"{first} to {last}" if len(edits) > 1 else f"{first}"
    else:
        numbers = ", ".join(map(str, edits[:12])) + (", ..." if len(edits) > 12 else "")
    return f"the number of one of its edits: {numbers}"


def source_of(value: str | PathLike[str]) -> Path | str:
    """Return the path of what was edited as records store it: an absolute path, or a URL."""
    return url_or_none(value) or Path(value).resolve()


def _told(place: Path | str, directory: Path) -> str:
    return place if isinstance(place, str) else os.path.relpath(place, directory.resolve())


def _found(told: str, directory: Path, url: str | None) -> Path | str:
    """Resolve a path of a record; a relative one in a store becomes a URL of the same bucket."""
    if is_url(told):
        return told
    if url is not None and not posixpath.isabs(told):
        # Resolved as text: the copy is elsewhere, and at another depth.
        scheme, path = url.split("://", 1)
        bucket, _, key = path.partition("/")
        own = quote(told) if scheme == "file" else told  # the record has a path, and no URL
        beside = posixpath.normpath(posixpath.join(key or ".", own))
        # Another bucket is nobody's who pushed this.
        if beside != ".." and not beside.startswith("../"):
            return f"{scheme}://{bucket}/{beside}"
    return (directory / told).resolve()


def told_edits(count: int, single: bool, method: str, sequential: bool = False) -> str:
    """Return the number and kind of the edits as text."""
    several = " one after another" if sequential else " in one batch"
    how = "" if single or count == 1 else several
    return f"{plural_text(count, 'single edit' if single else 'edit')}{how} by {method}"


def read_edit(directory: str | PathLike[str], url: str | None = None) -> EditRecord:
    """Read the record of an edit directory.

    Parameters
    ----------
    directory : path
    url : str, optional
        URL in a store, if the directory is a copy that was just fetched from it.

    Raises
    ------
    ArgumentError
        If the directory is not an edit directory, or is not finished.
    CorpusError
        If its record is damaged.
    """
    place = at_hand("directory", directory, "an edit directory")
    url = url_or_none(directory) or url
    record = EditRecord.read(place, url)
    told = url or fspath(directory)
    if record is None:
        allowed = "an edit directory (one that contains edit.json)"
        raise ArgumentError("directory", as_found(told), allowed)
    if not record.complete:
        raise ArgumentError(
            "directory",
            f"{told!r}, which is not finished",
            "a finished one (`behemoth edit` with the same arguments resumes it)",
        )
    return record


def check_place(record: EditRecord, force: bool) -> bool:
    """Return whether an existing edit is replaced; refuse a directory that must not be written.

    Raises
    ------
    ArgumentError
        If the place is a file, or the directory contains something else.
    CorpusError
        If the directory contains a damaged record, or another edit without `force`.
    """
    place = record.directory
    check_kind("out", place, EDIT)
    try:
        there = EditRecord.read(place)
    except CorpusError as error:
        if force:
            return True
        raise CorpusError(f"{error}; force=True replaces it") from None
    if there is None:
        # Deltas without a record, from a call that stopped before it: their origin is unknown.
        return True
    changed = there.differs(record)
    if changed and not force:
        raise CorpusError(f"{place} holds another edit ({changed}); force=True replaces it")
    # An edit that was itself replacing another one when it was interrupted is resumed.
    return force and not (changed is None and succeeds(place, EDIT))
