"""Carry out a plan on a run with a method, and keep what it changed: `behemoth edit`.

An edit directory holds ``edit.json``, and ``delta/`` for a plan as one batch or
``deltas/00000/`` ... for its single edits. A delta is there as a whole or not at all, so a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.delta.adapter import save_adapter
from behemoth.delta.delta import EditDelta
from behemoth.edit.gradient.method import check_kinds
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.locks import lock_folder
from behemoth.support.progress import Looking, Step, task
from behemoth.support.replacement import Kind, foreign, recover, succession
from behemoth.train.device import find_device
from behemoth.train.run import Run, read_run

from .protocol import EditContext, EditMethod, settings_of
from .registry import get_method
from .stacking import stack_size

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["EditRecord", "Edited", "FailedEdit", "edit", "read_edit"]

FORMAT_VERSION = 1
_DELTA = ("delta.json", "delta.safetensors")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
EDIT = Kind(
    "edit.json",
    (
        *(f"{folder}/{name}" for folder in ("delta", "deltas/[0-9]*") for name in _DELTA),
        *(f"{folder}/{name}" for folder in ("adapter", "adapters/[0-9]*") for name in _ADAPTER),
    ),
)
"""What an edit directory owns."""

_KEY = ("format_version", "run", "spec_hash", "plan_hash", "method", "settings", "seed", "single")


@dataclass(frozen=True)
class FailedEdit:
    """An edit that broke down.

    Attributes
    ----------
    edit : int, optional
        Its number; none for a batch.
    failure : str
        Why.
    """

    edit: int | None
    failure: str


@dataclass(frozen=True, eq=False)
class Edited:
    """What `edit` did; a path, of the edit directory, wherever one is asked for.

    Attributes
    ----------
    out, run, plan_hash, method, settings, seed, single
        What was asked for.
    edits : int
        Edits of the plan.
    failed : list of FailedEdit
    present : int
        Deltas that were there before.
    seconds : float
        Of this call, the model's loading apart.
    edits_per_second : float
        Of this call; 0 when all were there.
    """

    out: str
    run: str
    plan_hash: str
    method: str
    settings: dict[str, Any]
    seed: int
    single: bool
    edits: int
    failed: list[FailedEdit]
    present: int
    seconds: float
    edits_per_second: float

    def __fspath__(self) -> str:
        return self.out

    def __repr__(self) -> str:
        return f"Edited({self.out!r}, {_told(self)}" + (
            f", {len(self.failed):,} failed)" if self.failed else ")"
        )


@dataclass(frozen=True, eq=False)
class EditRecord:
    """An edit directory; a path wherever one is asked for.

    Attributes
    ----------
    directory : Path
    run : Path
        The training run that was edited.
    plan_hash, method, settings, seed, single
        What was done.
    edits : list of int
        Numbers of the edits.
    """

    directory: Path
    run: Path
    plan_hash: str
    method: str
    settings: dict[str, Any]
    seed: int
    single: bool
    edits: list[int]

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        return f"EditRecord({fspath(self.directory)!r}, {_told(self)})"

    def deltas(self) -> dict[int | None, EditDelta]:
        """The deltas: single edits by their number, or None to that of the batch."""
        keys: Sequence[int | None] = self.edits if self.single else [None]
        return {key: EditDelta.load(_delta_place(self.directory, key)) for key in keys}


def _told(edit: Edited | EditRecord) -> str:
    count = edit.edits if isinstance(edit.edits, int) else len(edit.edits)
    kind = "single edits" if edit.single else "edits in one batch"
    return f"{count:,} {kind} by {edit.method}"


def edit(
    run: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    method: EditMethod | str,
    out: str | PathLike[str],
    *,
    settings: Mapping[str, object] | None = None,
    single: bool = False,
    seed: int = 0,
    stack: int = 64,
    adapter: bool = False,
    force: bool = False,
    cache: str | PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: Looking = None,
) -> Edited:
    """Apply a method and write what it changed; an unfinished directory is gone on with.

    Parameters
    ----------
    run : path
        A finished training run.
    plan : EditPlan or path
    method : EditMethod or str
        A method, or the name of one.
    out : path
        Directory to write.
    settings : mapping, optional
        Settings of a method given by name.
    single : bool
        Make each edit by itself, from the same unedited model, many at once where the method
        stacks; by default the whole plan as one batch.
    seed : int
        Seed of the method's draws.
    stack : int
        Most single edits at once; fewer where there is no memory for so many.
    adapter : bool
        Write each delta as a PEFT adapter too.
    force : bool
        Replace a directory of another edit.
    cache : path, optional
        Where methods keep covariances.
    device : optional
        A GPU where there is one by default.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Raises
    ------
    ArgumentError
        Before any work: for a plan of another world, a method that cannot do it, an unknown
        method or setting.
    CorpusError
        When `out` holds another edit or something else.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, independent=True, repeats=2, probes=1)
    >>> settings = {"rank": 1, "steps": 2}
    >>> bh.edit("run", plan, method="lora", out="edit", settings=settings, single=True)
    Edited('edit', 2 single edits by lora)
    >>> bh.load("edit").deltas()[0]
    EditDelta(lora, 4 parameters)
    """
    chosen = get_method(method, settings) if isinstance(method, str) else method
    if stack < 1:
        raise ArgumentError("stack", stack, "1 or more")
    place = Path(out)
    if device is not None:
        find_device(str(device))
    ran = read_run(run)
    made = plan if isinstance(plan, EditPlan) else EditPlan.load(plan)
    made.check(ran.corpus)
    check_kinds(chosen, [made])
    numbers = made.edits["edit"].to_list()
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "run": os.path.relpath(Path(run).resolve(), place.resolve()),
        "spec_hash": ran.corpus.spec_hash,
        "plan_hash": made.plan_hash,
        "method": chosen.info.name,
        "settings": settings_of(chosen),
        "seed": seed,
        "single": single,
        "edits": numbers,
        "complete": False,
    }
    keys: list[int | None] = [*numbers] if single else [None]
    seconds = 0.0
    with lock_folder(place):
        recover(place, EDIT)
        replaces = _check(place, record, force)
        missing = [key for key in keys if replaces or not _is_there(place, key)]
        # Loaded before anything is set aside.
        model = ran.load_model(device) if missing else None
        with succession(place, EDIT, force=replaces):
            if model is not None:
                write_bytes(place / EDIT.record, as_json(record))
                kept = None if cache is None else Path(cache)
                with task(progress, "editing", "edits") as step:
                    work = _Work(ran, made, chosen, place, seed, kept, len(numbers), step)
                    seconds = work.carry_out(model, missing, len(keys) - len(missing), stack)
            deltas = {key: EditDelta.load(_delta_place(place, key)) for key in keys}
            failed = [FailedEdit(key, d.failure) for key, d in deltas.items() if d.failure]
            if adapter:
                for key, delta in deltas.items():
                    if delta.failure is None:
                        save_adapter(delta, _place(place, "adapter", key), Path(run).resolve())
            complete = {**record, "failed": [asdict(one) for one in failed], "complete": True}
            write_bytes(place / EDIT.record, as_json(complete))
    done = len(missing) if single else len(numbers) * len(missing)
    return Edited(
        out=fspath(out),
        run=fspath(run),
        plan_hash=made.plan_hash,
        method=chosen.info.name,
        settings=record["settings"],
        seed=seed,
        single=single,
        edits=len(numbers),
        failed=failed,
        present=len(keys) - len(missing),
        seconds=seconds,
        edits_per_second=done / seconds if seconds > 0 else 0.0,
    )


@dataclass(frozen=True)
class _Work:
    """One call's deltas, made and saved stack by stack."""

    run: Run
    plan: EditPlan
    method: EditMethod
    place: Path
    seed: int
    cache: Path | None
    total: int
    step: Step

    def carry_out(
        self, model: PreTrainedModel, missing: Sequence[int | None], present: int, stack: int
    ) -> float:
        """Make the deltas that are missing; gives the seconds it took."""
        begin = time.perf_counter()
        if missing == [None]:
            plans: dict[int | None, EditPlan] = {None: self.plan}
        else:
            singles = {int(p.edits["edit"].item()): p for p in self.plan.singles()}
            plans = {key: singles[key] for key in missing if key is not None}
        most = stack_size(self.method, model, stack)
        keys = list(plans)
        for first in range(0, len(keys), most):
            some = keys[first : first + most]
            share = self.total if missing == [None] else len(some)
            done = present + first

            def forward(
                step: int, steps: int, _: object = None, /, *, done: int = done, share: int = share
            ) -> None:
                self.step(done + share * step // max(steps, 1), self.total)

            context = EditContext(
                corpus=self.run.corpus,
                seed=self.seed,
                cache=self.cache,
                run=self.run.directory,
                progress=forward,
            )
            found = self.method.apply(model, [plans[key] for key in some], context)
            for key, delta in zip(some, found, strict=True):
                delta.save(_delta_place(self.place, key))
            self.step(done + share, self.total)
        return time.perf_counter() - begin


def read_edit(directory: str | PathLike[str]) -> EditRecord:
    """Read what an edit directory says.

    Raises
    ------
    ArgumentError
        When it is none, or is not finished.
    CorpusError
        When its record is damaged.
    """
    place = Path(directory)
    record = _read_record(place)
    if record is None:
        raise ArgumentError(
            "EDIT", fspath(directory), "an edit directory (one that holds edit.json)"
        )
    if not record["complete"]:
        raise ArgumentError(
            "EDIT",
            f"{fspath(directory)!r}, which is not finished",
            "a finished one (`behemoth edit` with the same arguments goes on with it)",
        )
    return EditRecord(
        directory=place,
        run=(place / record["run"]).resolve(),
        plan_hash=record["plan_hash"],
        method=record["method"],
        settings=record["settings"],
        seed=record["seed"],
        single=record["single"],
        edits=record["edits"],
    )


def _check(place: Path, record: Mapping[str, Any], force: bool) -> bool:
    """Refuse a place that is not ours to write; say whether an edit there is replaced."""
    if place.exists() and not place.is_dir():
        raise CorpusError(f"{place} is a file; allowed: a new or empty directory")
    if other := foreign(place, EDIT):
        raise CorpusError(
            f"{place} holds something else ({other}); allowed: a new or empty directory"
        )
    there = _read_record(place)
    if there is None:
        # Deltas of one that was stopped before its record: whose they are cannot be told.
        return True
    changed = [name for name in _KEY if there.get(name) != record[name]]
    if changed and not force:
        raise CorpusError(f"{place} holds another edit ({changed[0]}); --force replaces it")
    return bool(changed)


def _is_there(place: Path, key: int | None) -> bool:
    return (_delta_place(place, key) / "delta.json").is_file()


def _read_record(place: Path) -> dict[str, Any] | None:
    file = place / "edit.json"
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record["format_version"]
    except (ValueError, KeyError, TypeError):
        raise CorpusError(f"{file} is damaged: it is no record of an edit") from None
    if version != FORMAT_VERSION:
        raise CorpusError(
            f"{file}: format version {version}, and this version of behemoth reads {FORMAT_VERSION}"
        )
    return record


def _delta_place(place: Path, key: int | None) -> Path:
    return _place(place, "delta", key)


def _place(place: Path, name: str, key: int | None) -> Path:
    return place / name if key is None else place / f"{name}s" / f"{key:05}"
