"""Making a zoo, as `behemoth zoo make` does.

Each part is either complete or unfinished and resumed, so that a stopped call can be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from behemoth._gen import digest_file, version
from behemoth.corpus.corpus import Corpus
from behemoth.plan.compile import plan as compile_plan
from behemoth.support.checks import check_directory, flag, path_of, whole_number
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import has_sizes, replacing, write_bytes
from behemoth.support.locks import sole
from behemoth.support.progress import ProgressLike, check_progress, task
from behemoth.support.replacement import check_kind, finish, recover, succeeds, succession
from behemoth.support.workers import have_ended, workers_lock

from .card import zoo_card
from .left import check_left
from .record import CARD, PARTS, ZOO, Listed, ZooModel, ZooRecord
from .sizes import find_size
from .training import Trainer, Training, carry_out_all, workers_for

if TYPE_CHECKING:
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["ZooMade", "make_zoo"]


@dataclass(frozen=True)
class ZooMade:
    """Result of `make_zoo`; accepted as the path of the zoo by functions that take a path.

    Attributes
    ----------
    out, size : str
    models : int
        Number of runs, which is also the number of twins.
    files, bytes : int
        Number of files listed in ``zoo.json``, and their bytes.
    zoo_hash : str
        BLAKE3 of that list.
    content_hash : str
        BLAKE3 of specs, plans, tokens and weights, which does not depend on times and versions of
        behemoth.
    seconds : float
        Duration of the call.
    """

    out: str
    size: str
    models: int
    files: int
    bytes: int
    zoo_hash: str
    content_hash: str
    seconds: float

    def __fspath__(self) -> str:
        return self.out


def make_zoo(
    out: str | PathLike[str],
    size: str = "smoke",
    *,
    workers: int | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> ZooMade:
    """Make a turnkey set: worlds, runs with labelled exposures, retrained twins, plans and cards.

    Parameters
    ----------
    out : path
        A new directory, or one of the same zoo: an unfinished one is resumed, as is a finished one
        that has lost files, and one that has all of them in their sizes is left as it is.
    size : {'smoke', 'desk'}
        A name in `behemoth.zoo.SIZES`.
    workers : int, optional
        Number of trainings at a time, each on one core and, if there are several, in a process of
        its own; by default one per core, or fewer if memory does not suffice. Weights do not
        depend on it.
    force : bool
        Replace an existing zoo, whether the same, another or damaged.
    memory : int, optional
        Limit in bytes on the memory of all trainings at a time; by default what is free.
    progress : callable or Progress, optional
        Called with the progress; raising in it stops the work.

    Returns
    -------
    ZooMade

    Raises
    ------
    ArgumentError
        If the size is unknown, `out` holds something else or a zoo of another size, or a training,
        or as many at a time as given, is estimated to need more memory; nothing is changed then.
    CorpusError
        If another process is making a zoo in `out`, if workers of a killed call do not end, if a
        worker fails, if the record of a zoo in it is damaged, or if a part of one that is resumed
        was damaged since it was made.
    """
    began = time.perf_counter()
    chosen = find_size(size)
    force = flag("force", force)
    check_progress(progress)
    if workers is not None:
        workers = whole_number("workers", workers, 1)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    place = path_of("out", out)
    check_directory("out", place)
    with sole(place, f"writing to {place}"):
        # Those of a killed call still write for a moment, and hold memory.
        if workers_lock(place).exists() and not have_ended(place):
            raise CorpusError(f"{place}: workers of another call are still at work")
        recover(place, ZOO)
        record, replaces = _check(place, size, force)
        if record is None or replaces or not (record.complete and _is_whole(place, record)):
            trainer = Trainer(place, chosen, memory)
            count, share = workers_for(trainer, 2 * chosen.runs, workers)
            work = _Work(replace(trainer, memory=share), count)
            with succession(place, ZOO, force=replaces):
                if record is not None and not replaces:
                    check_left(place)
                ZooRecord(size, version()).write(place)
                record = work.carry_out(progress)
        else:
            finish(place)  # for a call that was killed just before
    return ZooMade(
        out=fspath(out),
        size=size,
        models=len(record.models),
        files=len(record.files),
        bytes=sum(row.bytes for row in record.files.values()),
        zoo_hash=record.zoo_hash,
        content_hash=record.content_hash,
        seconds=time.perf_counter() - began,
    )


def _check(place: Path, size: str, force: bool) -> tuple[ZooRecord | None, bool]:
    """Refuse a directory of something else; return the record there, and if it is replaced."""
    check_kind("out", place, ZOO, "a new directory, or one of a zoo")
    try:
        record = ZooRecord.read(place)
    except CorpusError as error:
        if force:
            return None, True
        raise CorpusError(f"{error}; force=True replaces it") from None
    same = record is None or record.size == size
    if record is not None and not same and not force:
        allowed = "a new directory, the same size, or force=True to replace it"
        raise ArgumentError("out", f"{place}, a zoo of size {record.size}", allowed)
    return record, force and not (same and succeeds(place, ZOO))


def _is_whole(place: Path, record: ZooRecord) -> bool:
    """Return whether a finished zoo has all of its files, as far as names and sizes tell."""
    return has_sizes(place, {name: row.bytes for name, row in record.files.items()})


@dataclass(frozen=True)
class _Work:
    """Makes the missing parts of a zoo."""

    trainer: Trainer
    workers: int

    def carry_out(self, progress: ProgressLike) -> ZooRecord:
        """Make the missing parts and the record, and write the record."""
        place, size = self.trainer.place, self.trainer.size
        models: list[ZooModel] = []
        for world in range(size.worlds):
            corpus = self.trainer.corpus(world)
            corpus.write(place / "corpora" / f"w{world}", probes=0)
            models += self._of_world(world, corpus, self._plan(world, corpus))
        trainings = [Training(model, twin) for model in models for twin in (False, True)]
        with task(progress, "training", "models") as step:
            carry_out_all(self.trainer, trainings, self.workers, step)
        record = ZooRecord(size.name, version(), tuple(models), self._files())
        write_bytes(place / CARD, zoo_card(record, size).encode())
        record = replace(record, files={CARD: self._listed(CARD), **record.files})
        record.write(place)
        return record

    def _plan(self, world: int, corpus: Corpus) -> EditPlan:
        size = self.trainer.size
        plan = compile_plan(
            corpus,
            out=self.trainer.place / "plans" / f"w{world}",
            edits=size.edits,
            exposures=tuple(level for level in size.exposures if level),
            distinct=False,
            repeats=8,
            same_object=8,
            same_relation=16,
            regular=16,
            probes=5,
            seed=world,
        )
        file = self.trainer.place / "facts" / f"w{world}.parquet"
        if not file.is_file():
            with replacing(file) as temporary:
                _labelled(corpus, plan).write_parquet(temporary)
        return plan

    def _of_world(self, world: int, corpus: Corpus, plan: EditPlan) -> Iterator[ZooModel]:
        size, twin = self.trainer.size, corpus.without(plan.edits["fact"].to_numpy())
        for model in size.models:
            for seed in range(size.inits):
                yield ZooModel(
                    name=f"w{world}-{model}-s{seed}",
                    world=world,
                    model=model,
                    seed=seed,
                    spec_hash=corpus.spec_hash,
                    twin_hash=twin.spec_hash,
                    plan_hash=plan.plan_hash,
                )

    def _files(self) -> dict[str, Listed]:
        """Return all files of the parts but hidden ones, in the order of their names."""
        place = self.trainer.place
        paths: list[Path] = []
        for part in PARTS:
            paths += [path for path in (place / part).rglob("*") if path.is_file()]
        names = sorted(path.relative_to(place).as_posix() for path in paths)
        shown = [name for name in names if not any(p.startswith(".") for p in name.split("/"))]
        return {name: self._listed(name) for name in shown}

    def _listed(self, name: str) -> Listed:
        file = self.trainer.place / name
        return Listed(file.stat().st_size, digest_file(file))


def _labelled(corpus: Corpus, plan: EditPlan) -> pl.DataFrame:
    """Return all facts with their exposures and, if edited by the plan, the number of the edit."""
    facts = corpus.world.facts(0, corpus.world.num_facts)
    ids = np.arange(corpus.world.num_facts, dtype=np.uint64)
    labels = pl.DataFrame({"fact": ids, "exposures": corpus.exposures(ids)})
    edits = plan.edits.select("fact", "edit", "new_object")
    return facts.join(labels, on="fact", how="left", maintain_order="left").join(
        edits, on="fact", how="left", maintain_order="left"
    )
