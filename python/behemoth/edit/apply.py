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
from behemoth.delta.delta import EditDelta
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
        ran = read_model_source(run, corpus)
    chosen = _chosen(method, settings, ran.directory)
    made = EditPlan.of(plan)
    checkpoints = _checkpoints(single, sequential, checkpoint_at, len(made))
    if sequential and adapter:
        raise ArgumentError("adapter", True, "false for a sequence, whose sum is of full rank")
    if adapter and not answers(chosen).low_rank():
        raise ArgumentError(
            "adapter",
            f"true for {chosen.info.name}",
            "false, or a method with changes of low rank, such as lora",
        )
    made.check(ran.corpus)
    check_kinds(chosen, [made])
    record = EditRecord(
        directory=place,
        run=source_of(run),
        spec_hash=ran.corpus.spec_hash,
        plan_hash=made.plan_hash,
        method=chosen.info.name,
        settings=settings_of(chosen),
        seed=seed,
        single=single,
        edits=tuple(made.edits["edit"]),
        checkpoints=checkpoints,
        corpus=None if corpus is None or isinstance(ran, Run) else source_of(corpus),
        weights=ran.weights_digest(),
    )
    seconds = 0.0
    with lock_folder(place, wait=False) as ours:
        if not ours:
            raise CorpusError(f"another process is writing to {place}: {holder(place)}")
        recover(place, EDIT)
        replaces = check_place(record, force)
        if not replaces and (there := EditRecord.read(place)) is not None:
            # Of deltas of an earlier version nobody knows whether they are of these weights.
            record = replace(record, weights=there.weights)
        missing = [key for key in record.keys if replaces or not record.is_there(key)]
        # Loaded, and found to fit, before anything is set aside.
        model, most = None, 1
        plans = made.singles() if missing and (single or sequential) else [made]
        if missing:
            require_weights(ran.directory, device, memory)
            model = ran.load_model(device)
            context = EditContext(ran.corpus, seed=seed, run=ran.directory)
            lookahead = answers(chosen).lookahead
            most = lookahead if sequential else stack_size(chosen, model, stack)
            most = fitting(chosen, model, plans, context, most, memory)
        record = replace(record, place=_place(chosen, model, record, ran.directory))
        with succession(place, EDIT, force=replaces):
            if model is not None:
                kept = None if cache is None else Path(cache)
                with task(progress, "editing", "edits") as step:
                    work = _Work(ran, made, chosen, record, kept, step)
                    try:
                        seconds = work.carry_out(model, missing, plans, most)
                    except (MemoryError, RuntimeError) as error:
                        if not is_out_of_memory(error):
                            raise
                        raise MemoryError(
                            f"out of memory on {model.device}: {record.method} with "
                            f"{dict(record.settings)}; lower what it is made of, or stack "
                            f"(now {stack})"
                        ) from error
            if sequential and model is None:  # killed when it was whole, and not yet settled
                settle(record)
            deltas = record.deltas()
            failed = _failed(deltas, sequential)
            # Adapters of an earlier call stay what they were then.
            there = EditRecord.read(place)
            files = dict((there.files if there is not None else None) or {})
            if adapter:
                for key, delta in deltas.items():
                    if delta.failure is None:
                        save_adapter(delta, record.adapter_place(key), ran.directory.resolve())
                own = [name for name in EDIT.own(place) if name.parts[0].startswith("adapter")]
                files |= digests(place, own)
            replace(record, failed=tuple(failed), complete=True, files=files).write()
    done = len(missing) if single else len(made) * len(missing)
    return Edited(
        out=fspath(out),
        run=fspath(run),
        plan_hash=made.plan_hash,
        method=record.method,
        settings=record.settings,
        seed=seed,
        single=single,
        edits=len(made),
        failed=failed,
        present=len(record.keys) - len(missing),
        seconds=seconds,
        edits_per_second=done / seconds if seconds > 0 else 0.0,
        place=None if model is None else record.place,
        sequential=sequential,
    )


def _place(
    method: EditMethod, model: PreTrainedModel | None, record: EditRecord, run: Path
) -> str | None:
    """Where a method edits, and whether that is where tracing found the facts."""
    if model is None:
        there = EditRecord.read(record.directory)
        return None if there is None else there.place
    place = answers(method).place(model)
    return f"{place}, as traced" if place is not None and is_traced(method, run) else place


def _checkpoints(
    single: bool, sequential: bool, asked: Sequence[int] | None, edits: int
) -> tuple[int, ...]:
    if not sequential:
        if asked is not None:
            raise ArgumentError("checkpoint_at", asked, "only for a sequence of edits")
        return ()
    if single:
        raise ArgumentError("single", True, "not with sequential edits")
    return checkpoints_of(asked, edits)


def _failed(deltas: Mapping[int | None, EditDelta], sequential: bool) -> list[FailedEdit]:
    if sequential:
        return [FailedEdit(row["edit"], row["failure"]) for row in deltas[None].trace]
    return [FailedEdit(key, delta.failure) for key, delta in deltas.items() if delta.failure]


def _chosen(
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


@dataclass(frozen=True)
class _Work:
    """One call's deltas, made and saved stack by stack."""

    run: ModelSource
    plan: EditPlan
    method: EditMethod
    record: EditRecord
    cache: Path | None
    step: Advance

    def carry_out(
        self,
        model: PreTrainedModel,
        missing: Sequence[int | None],
        plans: Sequence[EditPlan],
        most: int,
    ) -> float:
        """Make the deltas that are missing, `most` at once; gives the seconds it took."""
        if self.record.checkpoints:
            context = self._context(silent)
            method, record = self.method, self.record
            return carry_out_in_sequence(model, method, self.plan, context, record, self.step, most)
        begin = time.perf_counter()
        total = len(self.plan)
        single = self.record.single
        by_key = {int(own.edits["edit"].item()) if single else None: own for own in plans}
        present = len(self.record.keys) - len(missing)
        for first in range(0, len(missing), most):
            some = missing[first : first + most]
            share = len(some) if self.record.single else total
            done = present + first

            def forward(
                step: int, steps: int, _: object = None, /, *, done: int = done, share: int = share
            ) -> None:
                self.step(done + share * step // max(steps, 1), total)

            context = self._context(forward)
            found = self.method.apply(model, [by_key[key] for key in some], context)
            if not first:  # what refuses a setting for this model has had its say
                self.record.write()
            for key, delta in zip(some, found, strict=True):
                delta.save(self.record.delta_place(key))
            self.step(done + share, total)
        return time.perf_counter() - begin

    def _context(self, forward: Advance) -> EditContext:
        return EditContext(
            corpus=self.run.corpus,
            seed=self.record.seed,
            cache=self.cache,
            run=self.run.directory,
            progress=forward,
        )
