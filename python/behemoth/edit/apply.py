"""Carry out a plan on a run with a method, and keep what it changed: `behemoth edit`.

A delta is there as a whole or not at all, so a call that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.delta.adapter import save_adapter
from behemoth.edit.protocol import check_kinds
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import path_of, whole_number
from behemoth.support.digests import digests
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.locks import holder, lock_folder
from behemoth.support.progress import Advance, ProgressLike, silent, task
from behemoth.support.replacement import recover, succession
from behemoth.train.device import find_device, is_out_of_memory
from behemoth.train.memory_budget import require_weights
from behemoth.train.run import Run, read_model_source

from .memory_budget import fitting
from .protocol import EditContext, EditMethod, answers, settings_of
from .record import EDIT, EditRecord, FailedEdit, check_place, source_of, told_edits
from .registry import get_method
from .sequential import carry_out_in_sequence, checkpoints_of, settle
from .settings import read_settings
from .stacking import stack_size
from .traced import at_traced_place, is_traced

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.train.model_source import ModelSource

__all__ = ["Edited", "edit"]


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
    place : str, optional
        Where in the model the method edits, of those that have a place; none when all were there.
    sequential : bool
        Whether the edits were made one after another.
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
    place: str | None = None
    sequential: bool = False

    def __fspath__(self) -> str:
        return self.out

    def __repr__(self) -> str:
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        told = told_edits(self.edits, self.single, self.method, self.sequential)
        return f"Edited({self.out!r}, {told}{failed})"


def edit(
    run: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    method: EditMethod | str,
    out: str | PathLike[str],
    *,
    corpus: str | PathLike[str] | None = None,
    settings: Mapping[str, object] | str | PathLike[str] | None = None,
    single: bool = False,
    sequential: bool = False,
    checkpoint_at: Sequence[int] | None = None,
    seed: int = 0,
    stack: int = 64,
    adapter: bool = False,
    force: bool = False,
    cache: str | PathLike[str] | None = None,
    device: torch.device | str | None = None,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Edited:
    """Apply a method and write what it changed; an unfinished directory is gone on with.

    Parameters
    ----------
    run : path
        A finished training run, or a model that transformers' ``save_pretrained`` wrote.
    plan : EditPlan or path
    method : EditMethod or str
        A method, or the name of one.
    out : path
        Directory to write.
    corpus : path, optional
        Of a model that is no run: the corpus directory or spec that the plan was made of.
    settings : mapping or path, optional
        Settings of a method given by name: values of the types of its fields, and no texts for
        numbers; or a file of them, as `behemoth tune` writes one. A method that edits at a place,
        and is told none, does so where the run was traced to keep its facts
        (`behemoth.evaluate.trace` with ``save``), if it was.
    single : bool
        Make each edit by itself, from the same unedited model, many at once where the method
        stacks; by default the whole plan as one batch.
    sequential : bool
        Make the edits one after another in the order of the plan, each on the model that the
        earlier ones left.
    checkpoint_at : sequence of int, optional
        Of a sequence, after how many edits the sum of their changes is kept, for
        `evaluate_suite`; 1, 10, 100 and so on by default, and after the last one always.
    seed : int
        Seed of the method's draws.
    stack : int
        Most single edits at once; fewer where there is no memory for so many.
    adapter : bool
        Write each delta as a PEFT adapter too.
    force : bool
        Replace the edit that is there, be it the same, another or damaged.
    cache : path, optional
        Where methods keep covariances.
    device : optional
        A GPU where there is one by default.
    memory : int, optional
        Bytes of memory that it may take on a CPU, beside what the process has; fewer single edits
        are made at once to fit, and what would take more even so is refused beforehand. By
        default what the machine or the container has free.
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
    EditDelta(lora, 6 parameters)
    """
    whole_number("stack", stack, 1)
    whole_number("seed", seed)
    if memory is not None:
        whole_number("memory", memory, 1)
    place = path_of("out", out)
    if device is not None:
        find_device(str(device))
    with renamed(directory="run"):
        source = read_model_source(run, corpus)
    method = _resolve_method(method, settings, source.directory)
    plan = EditPlan.of(plan)
    checkpoints = _checkpoints(single, sequential, checkpoint_at, len(plan))
    if adapter:
        _check_adapter(method, sequential)
    plan.check(source.corpus)
    check_kinds(method, [plan])
    record = EditRecord(
        directory=place,
        run=source_of(run),
        spec_hash=source.corpus.spec_hash,
        plan_hash=plan.plan_hash,
        method=method.info.name,
        settings=settings_of(method),
        seed=seed,
        single=single,
        edits=tuple(plan.edits["edit"]),
        checkpoints=checkpoints,
        corpus=None if corpus is None or isinstance(source, Run) else source_of(corpus),
        weights=source.weights_digest(),
    )
    seconds = 0.0
    with lock_folder(place, wait=False) as ours:
        if not ours:
            raise CorpusError(f"another process is writing to {place}: {holder(place)}")
        recover(place, EDIT)
        replaces = check_place(record, force)
        existing = None if replaces else EditRecord.read(place)
        if existing is not None:
            # Of deltas of an earlier version nobody knows whether they are of these weights.
            record = replace(record, weights=existing.weights, place=existing.place)
        missing = [key for key in record.keys if replaces or not record.is_there(key)]
        work = None
        if missing:
            # Loaded, and found to fit, before anything is set aside.
            work = _load_work(source, plan, method, record, missing, stack, device, memory)
            record = work.record
        with succession(place, EDIT, force=replaces):
            if work is not None:
                with task(progress, "editing", "edits") as step:
                    seconds = work.carry_out(stack, None if cache is None else Path(cache), step)
            elif sequential:  # killed when it was whole, and not yet settled
                settle(record)
            record = _write_finished(record, source.directory, adapter)
    edits_made = len(missing) if single else len(plan) * len(missing)
    return Edited(
        out=fspath(out),
        run=fspath(run),
        plan_hash=record.plan_hash,
        method=record.method,
        settings=record.settings,
        seed=seed,
        single=single,
        edits=len(plan),
        failed=list(record.failed),
        present=len(record.keys) - len(missing),
        seconds=seconds,
        edits_per_second=edits_made / seconds if seconds > 0 else 0.0,
        place=record.place if missing else None,
        sequential=sequential,
    )


def _resolve_method(
    method: EditMethod | str,
    settings: Mapping[str, object] | str | PathLike[str] | None,
    run: Path,
) -> EditMethod:
    if isinstance(method, str):
        if isinstance(settings, str | PathLike):
            settings = read_settings(settings, method)
        if not isinstance(settings, Mapping | None):
            return get_method(method, settings)  # which refuses them
        return get_method(method, at_traced_place(method, settings, run))
    if not isinstance(method, EditMethod):
        raise ArgumentError("method", method, "a method, or the name of one")
    if settings is not None:
        raise ArgumentError("settings", settings, "none with a method that has its own")
    return method


def _checkpoints(
    single: bool, sequential: bool, requested: Sequence[int] | None, edits: int
) -> tuple[int, ...]:
    if not sequential:
        if requested is not None:
            raise ArgumentError("checkpoint_at", requested, "only for a sequence of edits")
        return ()
    if single:
        raise ArgumentError("single", True, "not with sequential edits")
    return checkpoints_of(requested, edits)


def _check_adapter(method: EditMethod, sequential: bool) -> None:
    if sequential:
        raise ArgumentError("adapter", True, "false for a sequence, whose sum is of full rank")
    if not answers(method).low_rank():
        raise ArgumentError(
            "adapter",
            f"true for {method.info.name}",
            "false, or a method with changes of low rank, such as lora",
        )


def _load_work(
    source: ModelSource,
    plan: EditPlan,
    method: EditMethod,
    record: EditRecord,
    missing: Sequence[int | None],
    stack: int,
    device: torch.device | str | None,
    memory: int | None,
) -> _Work:
    """Load the model, and find out how many plans fit beside it."""
    require_weights(source.directory, device, memory)
    model = source.load_model(device)
    sequential = bool(record.checkpoints)
    plans = plan.singles() if record.single or sequential else [plan]
    context = EditContext(source.corpus, seed=record.seed, run=source.directory)
    limit = answers(method).lookahead if sequential else stack_size(method, model, stack)
    stack_count = fitting(method, model, plans, context, limit, memory)
    place = answers(method).place(model)
    if place is not None and is_traced(method, source.directory):
        place = f"{place}, as traced"
    record = replace(record, place=place)
    return _Work(source, plan, method, record, missing, model, plans, stack_count)


def _write_finished(record: EditRecord, run: Path, adapter: bool) -> EditRecord:
    """Write the record of an edit that is whole, and its adapters where they are wanted."""
    deltas = record.deltas()
    if record.checkpoints:
        failed = [FailedEdit(row["edit"], row["failure"]) for row in deltas[None].trace]
    else:
        failed = [FailedEdit(key, delta.failure) for key, delta in deltas.items() if delta.failure]
    # Adapters of an earlier call stay what they were then.
    written = EditRecord.read(record.directory)
    files = dict((written.files if written is not None else None) or {})
    if adapter:
        for key, delta in deltas.items():
            if delta.failure is None:
                save_adapter(delta, record.adapter_place(key), run.resolve())
        owned = EDIT.own(record.directory)
        adapters = [name for name in owned if name.parts[0].startswith("adapter")]
        files |= digests(record.directory, adapters)
    finished = replace(record, failed=tuple(failed), complete=True, files=files)
    finished.write()
    return finished


@dataclass(frozen=True)
class _Work:
    """The deltas of a call that are missing, made and saved `stack_count` at a time."""

    source: ModelSource
    plan: EditPlan
    method: EditMethod
    record: EditRecord
    missing: Sequence[int | None]
    model: PreTrainedModel
    plans: Sequence[EditPlan]
    stack_count: int

    def carry_out(self, stack: int, cache: Path | None, step: Advance) -> float:
        """Make the deltas, or say what to lower where memory runs out; gives the seconds.

        Parameters
        ----------
        stack : int
            What the caller asked for, to be named when it was too many.
        cache : Path or None
            Where methods keep covariances.
        step : callable
            Called with (edits made, edits).
        """
        record = self.record
        try:
            if record.checkpoints:
                return carry_out_in_sequence(
                    self.model, self.method, self.plan, self._context(cache, silent), record, step,
                    self.stack_count,
                )  # fmt: skip
            return self._make_stacks(cache, step)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"out of memory on {self.model.device}: {record.method} with "
                f"{dict(record.settings)}; lower what it is made of, or stack (now {stack})"
            ) from error

    def _make_stacks(self, cache: Path | None, step: Advance) -> float:
        begin = time.perf_counter()
        record, total = self.record, len(self.plan)
        plan_of = {
            int(plan.edits["edit"].item()) if record.single else None: plan for plan in self.plans
        }
        present = len(record.keys) - len(self.missing)
        for first in range(0, len(self.missing), self.stack_count):
            keys = self.missing[first : first + self.stack_count]
            edits = len(keys) if record.single else total
            done = present + first

            def forward(
                now: int, steps: int, _: object = None, /, *, done: int = done, edits: int = edits
            ) -> None:
                step(done + edits * now // max(steps, 1), total)

            context = self._context(cache, forward)
            deltas = self.method.apply(self.model, [plan_of[key] for key in keys], context)
            if not first:  # what refuses a setting for this model has had its say
                record.write()
            for key, delta in zip(keys, deltas, strict=True):
                delta.save(record.delta_place(key))
            step(done + edits, total)
        return time.perf_counter() - begin

    def _context(self, cache: Path | None, progress: Advance) -> EditContext:
        return EditContext(
            corpus=self.source.corpus,
            seed=self.record.seed,
            cache=cache,
            run=self.source.directory,
            progress=progress,
        )
