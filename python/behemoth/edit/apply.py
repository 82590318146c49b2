"""Apply a plan to a run with a method, and save the changes as deltas: `behemoth edit`.

Each delta is written completely or not at all, so an interrupted call resumes where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from behemoth.delta.adapter import save_adapter
from behemoth.delta.delta import parameters_of, tied_names
from behemoth.edit.protocol import check_kinds
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import flag, path_of, whole_number
from behemoth.support.digests import digests
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.locks import holder, lock_folder
from behemoth.support.progress import Advance, ProgressLike, silent, task
from behemoth.support.replacement import recover, succession
from behemoth.train.device import find_device, is_out_of_memory
from behemoth.train.memory_budget import require_weights
from behemoth.train.run import Run, read_model_source

from .cache import cache_place
from .gradient.method import GradientMethod
from .memory_budget import fitting
from .protocol import EditContext, EditMethod, answers, settings_of
from .record import EDIT, EditRecord, FailedEdit, check_place, read_edit, source_of, told_edits
from .registry import get_method
from .sequential import carry_out_in_sequence, checkpoints_of, settle
from .settings import read_settings
from .stacking import stack_size
from .traced import at_traced_place, is_traced
from .usage import peak_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.train.model_source import ModelSource

__all__ = ["Edited", "edit"]


@dataclass(frozen=True, eq=False)
class Edited:
    """The result of `edit`; usable as a path, that of the edit directory.

    Attributes
    ----------
    out, run, plan_hash, method, settings, seed, single
        The arguments of the call.
    edits : int
        Number of edits in the plan.
    failed : list of FailedEdit
    present : int
        Number of deltas that existed before the call; for edits made one after another, the number
        of edits that earlier calls made.
    seconds : float
        Duration of this call, without loading the model.
    edits_per_second : float
        Throughput of this call; 0 if all deltas existed before.
    place : str, optional
        Where in the model the method edits. None for methods without such a place, and if all
        deltas existed before.
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

    @property
    def record(self) -> EditRecord:
        """The record of the directory, as `behemoth.load` returns it."""
        return read_edit(self.out)

    def load_model(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        edit: int | None = None,
    ) -> PreTrainedModel:
        """Load the edited model; see `EditRecord.load_model`."""
        return self.record.load_model(device, dtype, edit=edit)

    def __repr__(self) -> str:
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        told = told_edits(self.edits, self.single, self.method, self.sequential)
        return f"Edited({self.out!r}, {told}{failed})"


def edit(
    run: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    method: EditMethod | str,
    out: str | PathLike[str] | None = None,
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
    """Apply a method and write its deltas; resume if the directory is unfinished.

    Parameters
    ----------
    run : path
        A finished training run, or a model written by transformers' ``save_pretrained``.
    plan : EditPlan or path
    method : EditMethod or str
        A method, or the name of one.
    out : path
        Directory to write the differences to, which has to be given.
    corpus : path, optional
        For a model that is not a training run: the corpus directory or spec the plan was made from.
    settings : mapping or path, optional
        Settings of a method given by name: values of the types of its fields (no strings for
        numbers), or a file of settings as written by `behemoth tune`. If a method edits at a place
        and the settings do not name one, it uses the best place that tracing found in the run
        (`behemoth.evaluate.trace` with ``save``), if the run was traced.
    single : bool
        Make each edit by itself, from the same unedited model, many at a time if the method
        stacks; by default the complete plan is one batch.
    sequential : bool
        Make the edits one after another in the order of the plan, each on the model that the
        earlier ones left.
    checkpoint_at : sequence of int, optional
        For a sequence: the numbers of edits after which the sum of their changes is saved, for
        `evaluate_suite`. By default 1, 10, 100 and so on; always after the last edit.
    seed : int
        Seed of the method's draws.
    stack : int
        Maximum number of single edits at a time; fewer if memory does not suffice.
    adapter : bool
        Also write each delta as a PEFT adapter.
    force : bool
        Overwrite an existing edit, whether it is the same, another or damaged.
    cache : path, optional
        Directory in which methods keep covariances and networks for later calls. By default they
        are computed once per call, and if single edits are made in several stacks, kept in a
        temporary folder (see ``tempfile``; ``TMPDIR`` chooses its place), which is removed.
    device : optional
        By default a GPU if one is available.
    memory : int, optional
        Bytes of CPU memory that may be used in addition to what the process already uses. Fewer
        single edits are made at a time to fit; a call that does not fit even so is refused
        beforehand. By default the free memory of the machine or the container.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Raises
    ------
    ArgumentError
        Before any work: for a plan of another world, a method that cannot carry it out, an unknown
        method or setting.
    CorpusError
        If `out` contains another edit or something else.

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
    single, sequential = flag("single", single), flag("sequential", sequential)
    adapter, force = flag("adapter", adapter), flag("force", force)
    stack = whole_number("stack", stack, 1)
    seed = whole_number("seed", seed)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    if out is None:
        allowed = "a directory for the differences (`load_model` of the result applies them)"
        raise ArgumentError("out", None, allowed)
    place = path_of("out", out)
    kept = None if cache is None else cache_place(cache)
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
    seconds, edits_made = 0.0, 0
    with lock_folder(place, wait=False) as ours:
        if not ours:
            raise CorpusError(f"another process is writing to {place}: {holder(place)}")
        recover(place, EDIT)
        replaces = check_place(record, force)
        existing = None if replaces else EditRecord.read(place)
        if existing is not None:
            # Records of an earlier version do not state the weights their deltas were made from.
            record = replace(
                record, weights=existing.weights, place=existing.place,
                seconds=existing.seconds, peak_memory=existing.peak_memory,
            )  # fmt: skip
        missing = [key for key in record.keys if replaces or not record.is_there(key)]
        work = None
        if missing:
            # The model is loaded and found to fit before an existing edit is set aside.
            work = _load_work(source, plan, method, record, missing, stack, device, memory)
            record = work.record
            if adapter:
                _check_untied(method, work.model)
        with succession(place, EDIT, force=replaces):
            if work is not None:
                with task(progress, "editing", "edits") as step:
                    seconds, edits_made = work.carry_out(stack, kept, step)
                # An interrupted call does not record its time, so that of a resumed one is unknown.
                resumed = existing is not None
                record = replace(
                    record,
                    seconds=None if resumed else seconds,
                    peak_memory=None if resumed else peak_memory(work.model.device),
                )
            elif sequential:  # killed after the last delta, before `settle`
                settle(record)
            record = _write_finished(record, source.directory, adapter)
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
        present=len(plan) - edits_made if sequential else len(record.keys) - len(missing),
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
            return get_method(method, settings)  # raises
        return get_method(method, at_traced_place(method, settings, run))
    if isinstance(method, type):
        name = method.__name__
        raise ArgumentError("method", f"the class {name}", f"a method, such as {name}(), or a name")
    if not isinstance(method, EditMethod):
        raise ArgumentError("method", method, "a method, or the name of one")
    if settings is not None:
        raise ArgumentError("settings", settings, "none for a method that already has settings")
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


def _check_untied(method: EditMethod, model: PreTrainedModel) -> None:
    """Refuse an adapter of a matrix that modules share, before any work."""
    if not isinstance(method, GradientMethod):
        return
    tied = tied_names(parameters_of(model))
    for name in method.changed_names(model):
        if len(tied[name]) > 1:
            raise ArgumentError(
                "adapter",
                f"true for a change of {name}, which is tied to another matrix",
                "false, or a part without tied matrices",
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
    """Load the model and determine how many plans fit in memory at a time."""
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
    """Write the record of a complete edit, and its adapters if requested."""
    deltas = record.deltas()
    if record.checkpoints:
        failed = [FailedEdit(row["edit"], row["failure"]) for row in deltas[None].trace]
    else:
        failed = [FailedEdit(key, delta.failure) for key, delta in deltas.items() if delta.failure]
    # Adapters of an earlier call keep their digests.
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
    """The missing deltas of a call, made and saved `stack_count` at a time."""

    source: ModelSource
    plan: EditPlan
    method: EditMethod
    record: EditRecord
    missing: Sequence[int | None]
    model: PreTrainedModel
    plans: Sequence[EditPlan]
    stack_count: int

    def carry_out(self, stack: int, cache: Path | None, step: Advance) -> tuple[float, int]:
        """Make the deltas.

        Parameters
        ----------
        stack : int
            The caller's `stack`, named in the error if memory runs out.
        cache : Path or None
            Directory in which methods keep covariances.
        step : callable
            Called with (edits made, edits).

        Returns
        -------
        tuple of float and int
            Duration in seconds, and number of edits made in it.

        Raises
        ------
        MemoryError
            If memory runs out, with what to lower.
        """
        record = self.record
        try:
            if record.checkpoints:
                seconds, before = carry_out_in_sequence(
                    self.model, self.method, self.plan, self._context(cache, silent), record, step,
                    self.stack_count,
                )  # fmt: skip
                return seconds, len(self.plan) - before
            made = len(self.missing) if record.single else len(self.plan)
            return self._make_stacks(cache, step), made
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"out of memory on {self.model.device}: {record.method} with "
                f"{dict(record.settings)}; lower these settings, or stack (now {stack})"
            ) from error

    def _make_stacks(self, cache: Path | None, step: Advance) -> float:
        if cache is None and len(self.missing) > self.stack_count:
            # What methods compute once for a model, such as covariances, serves every stack.
            with TemporaryDirectory(prefix="behemoth-edit-") as folder:
                return self._make_stacks(Path(folder), step)
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
            if not first:  # only now: the first call may refuse a setting for this model
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
