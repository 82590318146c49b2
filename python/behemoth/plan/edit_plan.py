"""A plan: edits, their training mixture and their probes, as three frames.

On disk a plan is a directory of ``edits.parquet``, ``training.parquet``, ``probes.parquet`` and
``plan.toml``, which is written last and marks the directory as a plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.support.calls import made_by
from behemoth.support.checks import path_of, whole_number
from behemoth.support.digests import FILES, SEAL, check, digests, no_record, sealed, unsealed
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.files import replacing, write_bytes
from behemoth.support.locks import lock_folder
from behemoth.support.notices import warn_caller
from behemoth.support.parquet import read_parquet
from behemoth.support.replacement import Kind, check_kind, finish, recover, succession
from behemoth.support.toml import read_toml

from .directory import RECORD, plan_place
from .request import EditRequest

FORMAT_VERSION = 1
_TOKENS = pl.List(pl.UInt32)

EDITS: dict[str, Any] = {
    "edit": pl.UInt32,
    "kind": pl.String,
    "fact": pl.UInt64,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "old_object": pl.UInt32,
    "new_object": pl.UInt32,
    "exposures": pl.UInt64,
}
"""Columns of `EditPlan.edits`."""

TRAINING: dict[str, Any] = {
    "row": pl.UInt32,
    "edit": pl.UInt32,
    "share": pl.UInt32,
    "role": pl.String,
    "fact": pl.UInt64,
    "template": pl.String,
    "wording": pl.UInt32,
    "prompt": _TOKENS,
    "answer": _TOKENS,
    "old_answer": _TOKENS,
    "weight": pl.UInt32,
}
"""Columns of `EditPlan.training`."""

PROBES: dict[str, Any] = {
    "probe": pl.UInt32,
    "edit": pl.UInt32,
    "group": pl.String,
    "fact": pl.UInt64,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "template": pl.String,
    "wording": pl.UInt32,
    "held_out": pl.Boolean,
    "seen": pl.Boolean,
    "must_change": pl.Boolean,
    "prompt": _TOKENS,
    "answer": _TOKENS,
    "old_answer": _TOKENS,
    "new_answer": _TOKENS,
    "exposures": pl.UInt64,
}
"""Columns of `EditPlan.probes`."""

_FRAMES: dict[str, dict[str, Any]] = {"edits": EDITS, "training": TRAINING, "probes": PROBES}

PLAN = Kind(
    RECORD,
    (*(f"{name}.parquet" for name in _FRAMES),
     "litgpt/train.jsonl", "litgpt/val.jsonl", "litgpt/test.jsonl"),
)  # fmt: skip
"""Files of a plan directory; ``litgpt/`` exists if `behemoth plan --litgpt` wrote it."""


class PlanWarning(UserWarning):
    """A plan, or the way in which its edits are made, is probably not what was meant, and why."""


@made_by("bh.plan(...), or bh.load(PATH) of a directory that it wrote")
@dataclass(frozen=True, eq=False)
class EditPlan:
    """Edits with their training mixture and their probes.

    Parameters
    ----------
    request : EditRequest
        The request that the plan was compiled from.
    spec_hash : str
        Spec hash of the corpus that the plan is for.
    edits : polars.DataFrame
        One row per edit. new_object is null for refusals.
    training : polars.DataFrame
        One row per prompt with its answer, which occurs `weight` times in the mixture. edit is
        null for rows of facts that are not edited; share is the edit to whose part of the mixture
        a row belongs. old_answer is the answer in the corpus.
    probes : polars.DataFrame
        One row per question to the edited model. edit is null for probes of the plan as a whole;
        answer is right after the edit, old_answer before it; new_answer is the word of the edit's
        new object in the probe's relation, null if that relation has other objects; seen: whether
        the corpus asks questions about the subject, null for statements.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, relation=1, repeats=2)
    >>> len(plan), plan.edits["relation"].unique().to_list()
    (2, [1])
    >>> EditPlan.load(plan.save("plan")).plan_hash == plan.plan_hash
    True
    """

    request: EditRequest
    spec_hash: str
    edits: pl.DataFrame
    training: pl.DataFrame
    probes: pl.DataFrame

    @cached_property
    def plan_hash(self) -> str:
        """BLAKE2b hash of the contents; equal plans have equal hashes."""
        return hash_plan(self.request, self.spec_hash, (self.edits, self.training, self.probes))

    def __len__(self) -> int:
        return self.edits.height

    def __repr__(self) -> str:
        return (
            f"EditPlan({self.request.kind}, edits={len(self)}, "
            f"rows={self.rows}, probes={self.probes.height})"
        )

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        counts = {f"probes, {group}": count for group, count in self.groups.items()}
        rows = {"edits": len(self), "rows of training": self.rows, **counts}
        return card(f"EditPlan: {self.request.kind}", rows)

    @property
    def nameless(self) -> bool:
        """Whether no edit has a new object, as for refusals."""
        return bool(self.edits["new_object"].is_null().all())

    @property
    def groups(self) -> dict[str, int]:
        """Number of probes of each group, in the order of the groups."""
        from .groups import GROUPS

        counts = dict(self.probes.group_by("group").len().iter_rows())
        return {group: counts[group] for group in GROUPS if group in counts}

    @property
    def rows(self) -> int:
        """Number of rows of the mixture, each counted `weight` times."""
        return int(self.training["weight"].sum())

    def single(self, edit: int) -> EditPlan:
        """Return the plan of one edit, with its share of the mixture and its probes.

        The edit keeps its number. Probes of the plan as a whole are included.

        Raises
        ------
        ArgumentError
            When there is no such edit.
        """
        return self.take([edit])

    def take(self, edits: Iterable[int]) -> EditPlan:
        """Return the plan of some of the edits, in the plan's order; they keep their numbers.

        Raises
        ------
        ArgumentError
            When there is no such edit.
        """
        wanted = sorted({whole_number("edits", edit) for edit in edits})
        there = set(self.edits["edit"].to_list())
        for edit in wanted:
            if edit not in there:
                raise ArgumentError("edits", edit, f"the {len(there)} edits of the plan")
        chosen = pl.Series(wanted, dtype=pl.UInt32).implode()
        return replace(
            self,
            edits=self.edits.filter(pl.col("edit").is_in(chosen)),
            training=self.training.filter(pl.col("share").is_in(chosen)),
            probes=self.probes.filter(pl.col("edit").is_in(chosen) | pl.col("edit").is_null()),
        )

    def asking(self, groups: Collection[str]) -> EditPlan:
        """Return the plan with only the probes of the given groups.

        Raises
        ------
        ArgumentError
            For a group that no plan has.
        """
        from .groups import GROUPS

        for group in [groups] if isinstance(groups, str) else groups:
            if group not in GROUPS or isinstance(groups, str):
                raise ArgumentError.unknown("groups", groups, GROUPS)
        return replace(self, probes=self.probes.filter(pl.col("group").is_in(list(groups))))

    def singles(self) -> list[EditPlan]:
        """Return one plan per edit, in order; see `single`."""
        parts = [
            {key[0]: part for key, part in frame.partition_by(by, as_dict=True).items()}
            for frame, by in ((self.edits, "edit"), (self.training, "share"), (self.probes, "edit"))
        ]
        edits, training, probes = parts
        whole = probes.get(None, self.probes.clear())
        return [
            replace(
                self,
                edits=edits[edit],
                training=training.get(edit, self.training.clear()),
                probes=pl.concat([probes.get(edit, self.probes.clear()), whole]),
            )
            for edit in self.edits["edit"]
        ]

    def as_batch(self, corpus: Corpus | None = None) -> EditPlan:
        """Return the plan of independent edits as one batch: without rows that retain edited facts.

        Rows of one edit may retain facts of others. A plan of a batch has no such rows. A
        `PlanWarning` says so if no retained rows of an edit are left.

        Parameters
        ----------
        corpus : Corpus, optional
            The corpus of the plan. With it, rows of all facts that an edit of the batch changes or
            puts in doubt are left out, such as others of its subject and those of inverse
            relations: a plan of a batch has none of them either. Its probes are those of
            `together`.

        Raises
        ------
        ArgumentError
            When the plan was made for another corpus.
        """
        own = pl.col("role") == "edit"
        whole = self if corpus is None else self.together(corpus)
        if corpus is None or not self.request.independent:
            gone = self.edits["fact"]
        else:
            from .together import concerned

            gone = concerned(self, corpus)
        training = self.training.filter(own | ~pl.col("fact").is_in(gone.implode()))
        if corpus is not None:
            left, before = (
                frame.filter(~own)["share"].n_unique() for frame in (training, self.training)
            )
            if left < before:
                warn_caller(
                    f"{before - left:,} of {len(self):,} edits have no retained facts left: those "
                    "of their own are changed or put in doubt by edits that are made together",
                    PlanWarning,
                )
        return replace(self, training=training, probes=whole.probes)

    def together(self, corpus: Corpus) -> EditPlan:
        """Return the plan with the probes that hold when all of its edits are made in one model.

        Probes of one independent edit may be about facts that others change or put in doubt. These
        are left out, except those of the edited facts themselves, as a plan of a batch has none.

        Raises
        ------
        ArgumentError
            When the plan was made for another corpus.
        """
        from .together import probes_together

        self.check(corpus)
        if not self.request.independent or len(self) < 2 or self.probes.is_empty():
            return self
        return replace(self, probes=probes_together(self, corpus))

    def check(self, corpus: Corpus) -> None:
        """Refuse a corpus that the plan was not made for.

        Raises
        ------
        ArgumentError
        """
        if corpus.spec_hash != self.spec_hash:
            raise ArgumentError(
                "plan",
                f"a plan of another corpus (spec {self.spec_hash[:12]})",
                f"one made for this corpus (spec {corpus.spec_hash[:12]})",
            )

    def save(self, directory: str | PathLike[str], *, force: bool = False) -> Path:
        """Write the plan to a directory; one that contains it is left untouched unless `force`.

        Raises
        ------
        ArgumentError
            When the directory is of another kind.
        CorpusError
            When it contains another plan, unless `force`.
        """
        place = path_of("directory", directory)
        with lock_folder(place):
            recover(place, PLAN)
            if _is_there(place, self.plan_hash, force):
                finish(place)
                return place
            with succession(place, PLAN, force=force):
                for name in _FRAMES:
                    with replacing(place / f"{name}.parquet") as temporary:
                        getattr(self, name).write_parquet(temporary)
                files = digests(place, [f"{name}.parquet" for name in _FRAMES])
                write_bytes(place / RECORD, self._toml(files).encode())
        return place

    @classmethod
    def load(cls, directory: str | PathLike[str], corpus: Corpus | None = None) -> EditPlan:
        """Read a plan; check that it is complete and, if a corpus is given, made for that corpus.

        Raises
        ------
        ArgumentError
            When there is no plan, or it is for another corpus.
        CorpusError
            When it is damaged or of another version.
        """
        place = plan_place(directory)
        head = read_head(place)
        if head is None:  # removed in the meantime
            raise no_record(place / RECORD, "plan")
        check(place, head.get(FILES), *(f"{name}.parquet" for name in _FRAMES))
        try:
            request = EditRequest.from_dict(head["request"])
            frames = [read_parquet(place / f"{name}.parquet") for name in _FRAMES]
            plan = cls(request, head["spec_hash"], *frames)
            whole = plan.plan_hash == head["plan_hash"]
        except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
            whole, plan = False, None
        if plan is None or not whole:
            raise CorpusError(f"{place}: the plan is damaged: its files and its hash do not agree")
        if corpus is not None:
            plan.check(corpus)
        return plan

    @classmethod
    def of(cls, plan: EditPlan | str | PathLike[str]) -> EditPlan:
        """Return an argument ``plan`` as a plan, loaded if it is the directory of one.

        Raises
        ------
        ArgumentError, CorpusError
            See `load`.
        """
        if isinstance(plan, EditPlan):
            return plan
        with renamed(directory="plan"):
            return cls.load(plan)

    def _toml(self, files: Mapping[str, str]) -> str:
        head = {
            "format_version": FORMAT_VERSION,
            "plan_hash": self.plan_hash,
            "spec_hash": self.spec_hash,
        }
        counts = {
            "edits": len(self), "training": self.training.height, "rows": self.rows,
            "probes": self.probes.height,
        }  # fmt: skip
        tables = {
            "counts": counts, "groups": self.groups, "request": self.request.to_dict(),
            FILES: {f'"{name}"': digest for name, digest in files.items()},
        }  # fmt: skip
        lines: list[str] = []
        for name, values in tables.items():
            lines += ["", f"[{name}]", *_toml_lines(values)]
        text = "\n".join([*_toml_lines(head), *lines]) + "\n"
        seal = {SEAL: sealed(read_toml(text))[SEAL]}
        return "\n".join([*_toml_lines(head), *_toml_lines(seal), *lines]) + "\n"


def hash_plan(request: EditRequest, spec_hash: str, frames: Iterable[pl.DataFrame]) -> str:
    """Hash the contents of a plan, independently of files and library versions."""
    digest = hashlib.blake2b(digest_size=32)
    head = {"format": FORMAT_VERSION, "spec": spec_hash, "request": request.to_dict()}
    digest.update(json.dumps(head, sort_keys=True).encode())
    for frame, (name, schema) in zip(frames, _FRAMES.items(), strict=True):
        if dict(frame.schema) != schema:
            raise CorpusError(f"{name}: got columns {frame.schema}, allowed: {schema}")
        digest.update(f"{name} {frame.height}".encode())
        for column in frame.iter_columns():
            _hash_column(digest, column)
    return digest.hexdigest()


def _hash_column(digest: Any, column: pl.Series) -> None:
    # A plan of one edit has a few rows, so most of the time of a Polars call is its overhead: nulls
    # are only located in columns that have some.
    if column.null_count():
        nulls = column.is_null().to_numpy()
    else:
        nulls = np.zeros(column.len(), bool)
    digest.update(np.packbits(nulls).tobytes())
    if column.dtype == _TOKENS:
        digest.update(_filled(column.list.len(), 0).to_numpy().astype("<u4").tobytes())
        column = column.explode() if column.len() else pl.Series(dtype=pl.UInt32)
        column = column.drop_nulls() if column.null_count() else column
    if column.dtype == pl.String:
        digest.update("\0".join(_filled(column, "").to_list()).encode())
    else:
        digest.update(_filled(column.cast(pl.UInt64), 0).to_numpy().astype("<u8").tobytes())


def _filled(column: pl.Series, value: int | str) -> pl.Series:
    """Return the column with nulls replaced by a value."""
    return column.fill_null(value) if column.null_count() else column


def _is_there(place: Path, plan_hash: str, force: bool) -> bool:
    """Refuse a directory that must not be written to; return whether it contains this plan."""
    check_kind("directory", place, PLAN)
    try:
        head = None if force else read_head(place)
        if head is not None and head.get("plan_hash") == plan_hash:
            EditPlan.load(place)
            return True
    except CorpusError as error:
        raise CorpusError(f"{error}; force=True replaces it") from None
    if head is not None:
        raise CorpusError(f"{place} holds another plan; force=True replaces it")
    return False


def read_head(place: Path) -> Mapping[str, Any] | None:
    """Return the contents of ``plan.toml``; None if the file is missing.

    Raises
    ------
    CorpusError
        When it is damaged, or of another version.
    """
    file = place / RECORD
    if not file.is_file():
        return None
    try:
        values = read_toml(file.read_text(encoding="utf-8"))
    except ValueError:
        raise no_record(file, "plan") from None
    return unsealed(file, values, "a plan", FORMAT_VERSION)


def _toml_lines(values: Mapping[str, Any]) -> list[str]:
    """Write numbers, strings, booleans and lists as TOML, which writes them as JSON does."""
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]
