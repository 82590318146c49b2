"""A plan's edits one after another, each on the model that the earlier ones left.

The sum of all changes is saved at the requested checkpoints and, every `SAVED_EVERY` edits, as a
point to resume from. After each of these the model is set to its original weights plus that sum,
whether or not the call was interrupted, so that a resumed sequence has the same bits.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from behemoth.delta.delta import Change, Dense, EditDelta, modules_of, parameters_of
from behemoth.delta.module import ModuleChange, seat, unseat
from behemoth.model.precision import widened
from behemoth.support.checks import whole_number
from behemoth.support.digests import FILES, check, read_sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import write_tensors
from behemoth.support.progress import Advance

from .guarded import check_deltas, naming_method
from .protocol import Deferring, EditContext, EditMethod, Lookahead, Stateful, answers
from .record import EditRecord, FailedEdit, failures_within

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["SAVED_EVERY", "Sums", "carry_out_in_sequence", "checkpoints_of", "settle"]

SAVED_EVERY = 200
"""Number of edits between two points to resume from."""
_MEMORY = "memory.safetensors"


def checkpoints_of(asked: Sequence[int] | Literal["all"] | None, edits: int) -> tuple[int, ...]:
    """Return the numbers of edits after which the sum is saved, always including the last.

    Parameters
    ----------
    asked : sequence of int or 'all', optional
        By default 1, 10, 100 and so on; ``"all"`` for every edit.
    edits : int
        Number of edits in the plan.

    Raises
    ------
    ArgumentError
        For a value that is neither, an integer below 1 or one beyond the plan.
    """
    if asked is None:
        powers = (10**power for power in range(len(str(edits))))
        return tuple(sorted({*(power for power in powers if power < edits), edits}))
    if isinstance(asked, str) and asked == "all":
        return tuple(range(1, edits + 1))
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise ArgumentError("checkpoint_at", asked, "a list of whole numbers, or 'all'")
    counts = {edits}
    for number in asked:
        if whole_number("checkpoint_at", number, 1) > edits:
            raise ArgumentError("checkpoint_at", number, f"1 to {edits:,}, the edits of the plan")
        counts.add(int(number))
    return tuple(sorted(counts))


def carry_out_in_sequence(
    model: nn.Module,
    method: EditMethod,
    plans: Sequence[EditPlan],
    context: EditContext,
    record: EditRecord,
    step: Advance,
    together: int = 1,
) -> tuple[float, int]:
    """Make the missing edits and save the sums.

    Returns
    -------
    tuple of float and int
        Duration in seconds, and number of edits that earlier calls made.

    Parameters
    ----------
    model : nn.Module
        Unedited; restored at the end.
    method : EditMethod
    plans : sequence of EditPlan
        Plans of the single edits, in their order.
    context : EditContext
        Passed to `method`.
    record : EditRecord
        Record of the directory to write; written after the first edit.
    step : callable
        Called with (edits made, edits).
    together : int
        Number of plans that fit in memory at a time, for a `Lookahead`.
    """
    begin = time.perf_counter()
    numbers = [int(plan.edits["edit"].item()) for plan in plans]
    with naming_method(method):
        delta_of = answers(method).in_sequence(model, context)
    keeper = _Keeper(record, delta_of)
    done, total, failures = keeper.newest()
    before = done
    sums = Sums(model, total)
    try:
        for end in _ends(record.checkpoints, done, len(plans)):
            sums.settle()
            if isinstance(delta_of, Lookahead):
                with naming_method(method):
                    delta_of.look_ahead(plans[done:end], together)
            for place in range(done, end):
                if isinstance(delta_of, Deferring):
                    with naming_method(method):
                        failure = delta_of.take(plans[place])
                else:
                    with naming_method(method):
                        delta = delta_of(plans[place])
                    check_deltas(method, model, [delta])
                    failure = delta.failure
                    if failure is None:
                        sums.add(delta.changes)
                if failure is not None:
                    failures.append(FailedEdit(numbers[place], failure))
                if not place:  # only now: the first edit may refuse a setting for this model
                    record.write()
                step(place + 1, len(plans))
            done = end
            if isinstance(delta_of, Deferring):
                with naming_method(method):
                    changes = delta_of.changes()
                made = EditDelta(dict(changes), method.info.name, {}, "", 0)
                check_deltas(method, model, [made])
                sums.add(changes)
            keeper.keep(done, sums.changes(), failures)
    finally:
        sums.restore()
    return time.perf_counter() - begin, before


def _ends(checkpoints: Sequence[int], done: int, total: int) -> Iterator[int]:
    """Yield the ends of stretches: checkpoints, and points to resume from.

    The last end is always included: the sum of all edits may exist as a checkpoint but not yet as
    the edit's delta.
    """
    every = {*checkpoints, *range(SAVED_EVERY, total, SAVED_EVERY)}
    yield from (end for end in sorted(every) if done < end < total)
    yield total


class Sums:
    """The sum of all changes so far, and the model with that sum.

    For changes of a module, the last one replaces the earlier ones. The model keeps the sum until
    `restore`.

    Parameters
    ----------
    model : nn.Module
    total : mapping of str to Change
        The initial sum.
    """

    def __init__(self, model: nn.Module, total: Mapping[str, Change]) -> None:
        self._model = model
        self._parameters = parameters_of(model)
        self._originals: dict[str, Tensor] = {}
        self._total: dict[str, Tensor] = {}
        self._memories: dict[str, ModuleChange] = {}
        self._marks: dict[str, object] = {}
        for name, change in total.items():
            if isinstance(change, ModuleChange):
                self._remember(name, change)
                continue
            self._touch(name)
            self._total[name] = change.to_dense().to(self._total[name])

    def add(self, changes: Mapping[str, Change]) -> None:
        """Add an edit's changes to the model and to the sum."""
        import torch

        with torch.no_grad():
            for name, change in changes.items():
                if isinstance(change, ModuleChange):
                    self._remember(name, change)
                    continue
                self._touch(name)
                dense = change.to_dense().to(self._total[name])
                self._total[name] += dense
                parameter = self._parameters[name]
                parameter.copy_(widened(parameter) + dense)

    def settle(self) -> None:
        """Set the model to its original weights plus the sum."""
        import torch

        with torch.no_grad():
            for name, original in self._originals.items():
                self._parameters[name].copy_(widened(original) + self._total[name])

    def restore(self) -> None:
        """Restore the model bit by bit."""
        import torch

        with torch.no_grad():
            for name, original in self._originals.items():
                self._parameters[name].copy_(original)
        for name in list(self._memories):
            self._forget(name)

    def changes(self) -> dict[str, Change]:
        """Return the sum as changes of a delta, which hold until the next edit is added.

        They are not copied: beside the originals and the sum, that would be a third of each weight.
        """
        sums = {name: Dense(change) for name, change in self._total.items()}
        return {**sums, **self._memories}

    def _remember(self, name: str, change: ModuleChange) -> None:
        [module] = modules_of(self._model, {name: change}).values()
        self._forget(name)
        self._memories[name], self._marks[name] = change, seat(module, change)

    def _forget(self, name: str) -> None:
        if self._memories.pop(name, None) is not None:
            unseat(self._model.get_submodule(name), self._marks.pop(name))

    def _touch(self, name: str) -> None:
        import torch

        if name not in self._originals:
            original = self._parameters[name].detach().clone()
            self._originals[name] = original
            self._total[name] = torch.zeros_like(widened(original))


@dataclass(frozen=True)
class _Keeper:
    """Writes the sums and a method's state, and finds the newest of them."""

    record: EditRecord
    delta_of: object

    def newest(self) -> tuple[int, Mapping[str, Change], list[FailedEdit]]:
        """Return the number of edits made, their sum, and those of them that failed."""
        sums = sorted(
            (int(place.name), place)
            for folder in self.record.folders_of_sums()
            for place in folder.glob("[0-9]*")
            if place.name.isdecimal()
            if (place / "delta.json").is_file() and self._remembered(place)
        )
        if not sums:
            return 0, {}, []
        done, place = sums[-1]
        delta = EditDelta.load(place)
        if isinstance(self.delta_of, Stateful):
            self.delta_of.restore(_read(place))
        return done, delta.changes, failures_within(delta)

    def keep(self, done: int, changes: dict[str, Change], failures: list[FailedEdit]) -> None:
        """Write the sum: as a checkpoint, as the edit's delta at the end, or to resume from."""
        record = self.record
        point = record.point_place(done)
        place = record.checkpoint_place(done) if done in record.checkpoints else point
        delta = EditDelta(
            changes=changes,
            method=record.method,
            settings=record.settings,
            plan_hash=record.plan_hash,
            seed=record.seed,
            failure=_failure(done, failures),
            trace=[{"edit": row.edit, "failure": row.failure} for row in failures],
        )
        last = done == record.checkpoints[-1]
        if isinstance(self.delta_of, Stateful) and not last:
            write_tensors(place / _MEMORY, self.delta_of.memory())
        delta.save(place)
        if last:
            delta.save(record.delta_place(None))
            settle(record)
            return
        # Only the newest is needed to resume; older checkpoints keep their sums without state. A
        # kill may leave that of an earlier one, until the end: to look into all of them after each
        # edit took longer with every edit.
        for old in point.parent.glob("[0-9]*"):
            if old != place:
                shutil.rmtree(old)
        if earlier := [number for number in record.checkpoints if number < done]:
            (record.checkpoint_place(max(earlier)) / _MEMORY).unlink(missing_ok=True)

    def _remembered(self, place: Path) -> bool:
        return not isinstance(self.delta_of, Stateful) or (place / _MEMORY).is_file()


def settle(record: EditRecord) -> None:
    """Remove the resume points and saved state of a complete sequence."""
    shutil.rmtree(record.point_place(0).parent, ignore_errors=True)
    for folder in record.folders_of_sums():
        for old in folder.glob("[0-9]*"):
            (old / _MEMORY).unlink(missing_ok=True)


def _failure(done: int, failures: Sequence[FailedEdit]) -> str | None:
    """Return the failure of a sum if all of its edits failed, else None."""
    if len(failures) < done:
        return None
    if done == 1:
        return failures[0].failure
    return f"all {done:,} edits failed, the first: {failures[0].failure}"


def _read(place: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = place / _MEMORY
    try:
        check(place, read_sealed(place / "delta.json", "a delta").get(FILES), _MEMORY)
        return load_file(file)
    except (OSError, SafetensorError, CorpusError):
        raise CorpusError(f"{file} is damaged; force=True starts over") from None
