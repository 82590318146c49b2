"""One trial: make edits with a method, evaluate the edited models, and measure the changes."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl
import torch

from behemoth.delta.delta import EditDelta
from behemoth.edit.cost import EditCost, edit_cost
from behemoth.edit.guarded import apply_method
from behemoth.edit.protocol import EditContext, EditMethod
from behemoth.edit.record import failures_within
from behemoth.edit.stacking import most_stacked
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.suites.sequence import SUITE
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.file.units import TrialUnit
from behemoth.study.schemas import PROBES, RETENTION, SHAPES
from behemoth.support.progress import Advance, silent
from behemoth.train.run import Run

from .batched_geometry import shapes
from .costs import COUNTING
from .durability import as_one_batch, retention
from .measure import edit_frame, trace_frame
from .sequence import InSequence, make_in_sequence, sequence_rows
from .suite import measured_in_trial, suite_frame

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.evaluate.suites.measured_model import MeasuredModel
    from behemoth.evaluate.unedited import Unedited

__all__ = ["Clock", "Planned", "Reference", "Trial"]

Reference: TypeAlias = "Callable[[pl.DataFrame, int | None], MeasuredModel]"
"""Function of a trial's probes and its rows per pass that returns the measured unedited model."""

SUMS = "sequence"
"""Folder of a trial with the sums of edits one after another, until it is done."""


@dataclass
class Clock:
    """Seconds of work by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Generator[None]:
        """Add the duration of the block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass
class Planned:
    """A plan, with its single edits if they are independent.

    Attributes
    ----------
    id : str
        Id of the plan.
    plan : EditPlan
    about : polars.DataFrame
        Frame returned by `about_edits`.
    singles : dict of int to EditPlan
        Plans of the single edits by number; empty for a batch.
    decomposed : list of int
        Edits whose dense changes are decomposed (`shapes`).
    """

    id: str
    plan: EditPlan
    about: pl.DataFrame
    singles: dict[int, EditPlan]
    decomposed: list[int]

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Kind, number of training rows and longest prompt and answer: these determine the cost."""
        rows = self.plan.training
        longest = [int(rows[name].list.len().max() or 0) for name in ("prompt", "answer")]  # type: ignore[arg-type]
        return (self.plan.request.kind, rows.height, *longest)

    @property
    def batch(self) -> int:
        """Number of edits made together."""
        return 1 if self.singles else len(self.plan)


@dataclass
class Trial:
    """One trial while it is carried out.

    Attributes
    ----------
    stack : int
        Number of single edits made at a time, or computed at a time in a sequence.
    rows : int, optional
        Number of rows per pass; by default the usual number of each measure.
    findings : Unedited, optional
        What is known of the unedited model, and what this trial finds.
    ordered : sequence of EditPlan
        Plans of the edits that are made one after another; empty if they are not.
    reference : callable, optional
        Returns the unedited model, measured once for all methods of the plan; see `Reference`.
    failures : list of str
        Reasons of the edits that failed, also of those of a batch that goes on without them.
    in_sequence : InSequence, optional
        Edits made one after another, once they are.
    """

    run: Run
    model: PreTrainedModel
    method: EditMethod
    planned: Planned
    context: EditContext
    unit: TrialUnit
    clock: Clock
    step: Advance
    twin: MeasuredModel | None = None
    stack: int = 1
    rows: int | None = None
    findings: Unedited | None = None
    ordered: Sequence[EditPlan] = ()
    reference: Reference | None = None
    failures: list[str] = field(default_factory=list)
    in_sequence: InSequence | None = None
    _whole: EditDelta | None = None

    def frames(self, place: Path) -> dict[str, pl.DataFrame]:
        """Make the edits and return all frames except `retention`.

        Parameters
        ----------
        place : Path
            Folder of the trial. Deltas are saved in its folder ``deltas`` if they are to be, and
            the sums of edits one after another, until `clear`, in its folder ``sequence``.
        """
        parts: dict[str, list[pl.DataFrame]] = {}
        all_deltas: dict[int | None, EditDelta] = {}
        for deltas in self._deltas(place / SUMS):
            self._note_failures(deltas)
            measured = self._measure(deltas)
            for name, frame in measured.items():
                parts.setdefault(name, []).append(frame)
            if self.unit.measure.suite is not None:
                all_deltas |= deltas
            if self.unit.measure.deltas:
                for edit, delta in deltas.items():
                    delta.save(place / "deltas" / ("batch" if edit is None else f"{edit:05}"))
            del deltas  # they would stay in memory while the next ones are made
        frames = {name: pl.concat(tables) for name, tables in parts.items()}
        probes = frames["probes"]
        frames["probes"] = probes.select(list(PROBES))
        if any(delta.failure is None for delta in all_deltas.values()):
            frames |= self._suite(all_deltas, probes)
        return frames

    def clear(self) -> None:
        """Remove the sums of edits one after another, when the trial is done."""
        if self.in_sequence is not None:
            shutil.rmtree(self.in_sequence.record.directory)

    def _note_failures(self, deltas: dict[int | None, EditDelta]) -> None:
        for edit, delta in deltas.items():
            if delta.failure is not None:
                count = len(self.planned.plan) if edit is None else 1
                self.failures += [delta.failure] * count
            elif edit is None:
                self.failures += [each.failure for each in failures_within(delta)]

    def durability(self) -> tuple[pl.DataFrame, str | None]:
        """Measure durability; return the `retention` frame, and why it is empty if it is.

        A batch is that of the trial; independent edits are made once more, as one batch.
        """
        plan, measure = self.planned.plan, self.unit.measure
        delta, self._whole = self._whole, None  # not in memory while costs are counted
        if delta is None:
            delta = as_one_batch(self.model, plan, self.method, self.context)
        if delta.failure is not None:
            reason = f"durability: the batch broke down: {delta.failure}"
            return pl.DataFrame(schema=RETENTION), reason
        frame = retention(
            self.model, self.run.corpus, plan, delta, self.run.config,
            forgets=self.method.info.forgets(nameless=plan.nameless),
            steps=measure.durability, rate=measure.durability_rate,
        )  # fmt: skip
        return frame, None

    @property
    def together(self) -> int:
        """Number of edits that are made together, whose cost is counted as one."""
        return 1 if self.ordered else self.planned.batch

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """What determines the cost of an edit: equal kinds have equal costs."""
        config = self.run.config
        kind = (COUNTING, config.model, self.run.record.parameters, str(self.model.device),
                repr(self.method), self.together, *self.planned.shape,
                *(["first of a sequence"] if self.ordered else []))  # fmt: skip
        # Edits of a method that stops early take different numbers of steps.
        stops = getattr(self.method, "stop_loss", None) is not None
        return (*kind, self.unit.model, self.unit.plan.id) if stops else kind

    def cost(self) -> EditCost | None:
        """Make the first edit, or the batch, once more and count its cost."""
        plan = next(iter(self.planned.singles.values()), self.planned.plan)
        plan = self.ordered[0] if self.ordered else plan
        context = replace(self.context, progress=silent, watch=None)  # count the edit alone
        with self.clock("cost"):
            return edit_cost(self.method, self.model, [plan], context)

    def _suite(
        self, deltas: dict[int | None, EditDelta], probes: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        """Run the suite on the edits and return its frames."""
        suite = self.unit.measure.suite
        assert suite is not None
        made = self.in_sequence if suite == SUITE.name else None
        with self.clock("suite"):
            measured = measured_in_trial(
                self.run, self.model, self.planned.plan, deltas, self.twin,
                None if made is None else made.record,
                frame=probes, continued=self.unit.measure.continued, added=self.unit.measure.added,
                batch_size=self.rows, findings=self.findings,
                reference=None if self.reference is None else self.reference(probes, self.rows),
            )  # fmt: skip
            frames = {"suites": suite_frame(suite, measured)}
            if made is not None:
                frames["sequence"] = sequence_rows(measured.sequence)
            return frames

    def _sum(self, sums: Path) -> EditDelta:
        """Make the edits one after another and return the sum of their changes."""
        context = replace(self.context, progress=silent)
        began = time.perf_counter()
        made, delta = make_in_sequence(
            sums, self.run, self.model, self.method, self.planned.plan, self.ordered, context,
            self.unit.measure.checkpoint_at, self.step, self.stack,
        )  # fmt: skip
        self.in_sequence = made
        # What a killed session took is not known: its edits have no time, rather than too little.
        stage = "edit, resumed" if made.resumed else "edit"
        self.clock.add(stage, time.perf_counter() - began)
        if self.unit.measure.durability:
            self._whole = delta
        return delta

    def _deltas(self, sums: Path) -> Iterator[dict[int | None, EditDelta]]:
        """Yield the deltas of single edits stack by stack, or that of all edits in one model."""
        total = len(self.planned.plan)
        if self.ordered:
            yield {None: self._sum(sums)}
            return
        if not self.planned.singles:
            context = replace(
                self.context,
                progress=lambda done, all_of_it, _=None: self.step(
                    total * done // max(1, all_of_it), total
                ),
            )
            with self.clock("edit"):
                [delta] = apply_method(self.method, self.model, [self.planned.plan], context)
            if self.unit.measure.durability:
                self._whole = delta
            yield {None: delta}
            self.step(total, total)
            return
        edits = list(self.planned.singles)
        stack_count = self.stack
        done = 0
        while done < total:
            keys = edits[done : done + stack_count]
            deltas = None
            try:
                with self.clock("edit"):
                    plans = [self.planned.singles[edit] for edit in keys]
                    deltas = apply_method(self.method, self.model, plans, self.context)
            except torch.OutOfMemoryError:
                if stack_count == 1:
                    raise
            if deltas is None:
                # Not earlier: until it is handled, the error keeps the tensors of the failed pass.
                stack_count //= 2
                gc.collect()
                torch.cuda.empty_cache()
                continue
            made: dict[int | None, EditDelta] = dict(zip(keys, deltas, strict=True))
            del deltas
            yield made
            del made
            done += len(keys)
            self.step(done, total)

    def _measure(self, deltas: dict[int | None, EditDelta]) -> dict[str, pl.DataFrame]:
        plan, model = self.planned.plan, self.model
        if None not in deltas:
            plan = plan.take(edit for edit in deltas if edit is not None)
        with self.clock("evaluate"):
            probes = evaluate_model(
                model, self.run.corpus, plan, deltas, run=self.unit.model, seed=self.run.seed,
                stack=most_stacked(model), batch_size=self.rows, unedited=self.findings,
            ).with_columns(pl.lit(self.unit.plan.id).alias("plan"))  # fmt: skip
        with self.clock("geometry"):
            table = pl.DataFrame(schema=SHAPES)
            if self.unit.measure.geometry:
                table = shapes(deltas, model, [None, *self.planned.decomposed])
        return {
            "edits": edit_frame(self.planned.about, deltas, probes, table, self.method.info),
            "geometry": table,
            "traces": trace_frame(deltas),
            "probes": probes,
        }
