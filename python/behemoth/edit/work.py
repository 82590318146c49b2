"""The directory of an edit: what is missing in it is made, and saved delta by delta."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from behemoth.delta.adapter import save_adapter
from behemoth.delta.delta import parameters_of, tied_names
from behemoth.model.device import is_out_of_memory
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.digests import digests
from behemoth.support.errors import ArgumentError
from behemoth.support.locks import sole
from behemoth.support.progress import Advance, ProgressLike, silent, task
from behemoth.support.replacement import recover, succession
from behemoth.train.memory_budget import require_weights

from .gradient.method import GradientMethod
from .guarded import apply_method
from .memory_budget import fitting
from .protocol import EditContext, EditMethod, answers
from .record import EDIT, EditRecord, FailedEdit, check_place, failures_within
from .sequential import carry_out_in_sequence, settle
from .stacking import stack_size
from .traced import is_traced
from .usage import peak_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.train.model_source import ModelSource

__all__ = ["Written", "write_edit"]


@dataclass(frozen=True)
class Written:
    """What one call wrote: the record of the complete edit, deltas and edits made, seconds."""

    record: EditRecord
    deltas: int
    edits: int
    seconds: float


def write_edit(
    record: EditRecord,
    source: ModelSource,
    plan: EditPlan,
    method: EditMethod,
    *,
    stack: int,
    adapter: bool,
    force: bool,
    cache: Path | None,
    device: torch.device | str | None,
    memory: int | None,
    progress: ProgressLike,
) -> Written:
    """Make and save the deltas that are missing in the directory of a record, and the record."""
    place, seconds, edits_made = record.directory, 0.0, 0
    with sole(place, f"writing to {place}"):
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
                    seconds, edits_made = work.carry_out(cache, step)
                # An interrupted call does not record its time, so that of a resumed one is unknown.
                resumed = existing is not None
                record = replace(
                    record,
                    seconds=None if resumed else seconds,
                    peak_memory=None if resumed else peak_memory(work.model.device),
                )
            elif record.checkpoints:  # killed after the last delta, before `settle`
                settle(record)
            record = _write_finished(record, source.directory, adapter)
    return Written(record, len(missing), edits_made, seconds)


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
    if not record.single:  # no edit's mixture may teach what others change
        plan = plan.as_batch(source.corpus) if plan.request.independent else plan
    plans = plan.singles() if record.single or sequential else [plan]
    if record.single:
        wanted = set(missing)
        plans = [single for single in plans if single.edits["edit"].item() in wanted]
    context = EditContext(source.corpus, seed=record.seed, run=source.directory)
    limit = answers(method).lookahead if sequential else stack_size(method, model, stack)
    sequence = plan if sequential else None
    stack_count = fitting(method, model, plans, context, limit, memory, sequence)
    place = answers(method).place(model)
    if place is not None and is_traced(method, source.directory):
        place = f"{place}, as traced"
    record = replace(record, place=place)
    return _Work(source, plan, method, record, missing, model, plans, stack_count)


def _write_finished(record: EditRecord, run: Path, adapter: bool) -> EditRecord:
    """Write the record of a complete edit, and its adapters if requested.

    All files of its deltas are read, so that each call refuses those that are damaged, whichever
    call has written them.
    """
    deltas = record.deltas()
    if record.checkpoints:
        failed = failures_within(deltas[None])
    else:
        failed = [FailedEdit(key, delta.failure) for key, delta in deltas.items() if delta.failure]
        if not record.single and not failed:  # the edits of a batch that failed beside others
            failed = failures_within(deltas[None])
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

    def carry_out(self, cache: Path | None, step: Advance) -> tuple[float, int]:
        """Make the deltas.

        Parameters
        ----------
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
                    self.model, self.method, self.plans, self._context(cache, silent), record,
                    step, self.stack_count,
                )  # fmt: skip
                return seconds, len(self.plan) - before
            made = len(self.missing) if record.single else len(self.plan)
            return self._make_stacks(cache, step), made
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"out of memory on {self.model.device}: {record.method} with "
                f"{dict(record.settings)}; lower these settings{self._fewer_together()}"
            ) from error

    def _fewer_together(self) -> str:
        """Return what else takes less memory, as more advice: what is computed at a time."""
        if not self.record.single:  # a sequence makes one edit at a time
            fewer = not self.record.checkpoints and len(self.plan) > 1
            return f", or make fewer edits together (now {len(self.plan)})" if fewer else ""
        together = min(self.stack_count, len(self.missing))
        return f", or stack (now {together})" if together > 1 else ""

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
            deltas = apply_method(self.method, self.model, [plan_of[key] for key in keys], context)
            if not first:  # only now: the first call may refuse a setting for this model
                record.write()
            for key, delta in zip(keys, deltas, strict=True):
                if key is None:  # of a plan of independent edits it is the plan's part
                    delta = replace(delta, plan_hash=record.plan_hash)
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
