"""The two units of work: train a model, and carry out a trial on it.

A `Laboratory` does them in one process. It keeps the last model and plan, since what comes next is
mostly another method on the same ones.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from behemoth.corpus.corpus import Corpus
from behemoth.delta.delta import EditDelta
from behemoth.edit.gradient.method import check_kinds
from behemoth.edit.protocol import EditContext, EditMethod
from behemoth.edit.registry import get_method
from behemoth.edit.stacking import most_stacked, stack_size
from behemoth.evaluate.frame import evaluate_model
from behemoth.plan.choice import choose_edits
from behemoth.plan.compile import compile_plan
from behemoth.plan.plan import EditPlan
from behemoth.plan.structure import Structure
from behemoth.recall.facts import recall
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.units import ModelUnit, PlanUnit, TrialUnit
from behemoth.study.schemas import EDITS, PROBES, RECALL, SHAPES, TRACES
from behemoth.support.files import replacing
from behemoth.support.locks import lock
from behemoth.support.provenance import versions
from behemoth.train import TrainConfig, train
from behemoth.train.device import device_name
from behemoth.train.run import Run, read_run, world_id

from .durability import retention
from .geometry import shapes
from .measure import about_edits, edit_frame, trace_frame

if TYPE_CHECKING:
    from transformers import GPTNeoXForCausalLM

__all__ = ["Laboratory"]

Progress = Callable[[int, int], object]


_DECOMPOSED = 8  # edits of each level of exposures whose dense changes are decomposed


def _silent(done: int, total: int) -> None:
    pass


@dataclass
class _Clock:
    """Seconds by what they went into."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Generator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


@dataclass
class _Planned:
    """A plan, cut into single edits once."""

    id: str
    plan: EditPlan
    about: pl.DataFrame
    singles: dict[int, EditPlan]
    decomposed: list[int]


class Laboratory:
    """Carries out the units of a study in this process.

    Parameters
    ----------
    directory : StudyDirectory
    """

    def __init__(self, directory: StudyDirectory) -> None:
        self.directory = directory
        self._run: tuple[str, Run, GPTNeoXForCausalLM] | None = None
        self._planned: _Planned | None = None

    def train(self, unit: ModelUnit, progress: Progress = _silent) -> dict[str, Any]:
        """Train a model, or go on where a stopped run left it, and ask it all facts.

        Parameters
        ----------
        unit : ModelUnit
        progress : callable, optional
            Called with (steps done, steps).

        Returns
        -------
        dict
            The model's record, as in ``model.json``.

        Raises
        ------
        TrainError
            When the loss diverged or memory ran out.
        """
        clock = _Clock()
        place = self.directory.model(unit.id)
        corpus = unit.corpus.make()
        with clock("train"):
            result = train(
                corpus,
                out=place,
                config=unit.config,
                progress=lambda report: progress(report.step, report.steps),
            )
        self._run = None
        with clock("recall"):
            run, model = self._model(unit.id, unit.config)
            frame = _recall(model, run.corpus)
            with replacing(place / "recall.parquet") as temporary:
                frame.write_parquet(temporary)
        world = corpus.world
        record = {
            "id": unit.id,
            "status": "done",
            "size": unit.config.model,
            "seed": unit.config.seed,
            "world": world_id(corpus),
            "world_seed": world.spec.get("seed", 0),
            "spec_hash": corpus.spec_hash,
            "parameters": run.record["parameters"],
            "parameters_without_embedding": run.record["parameters_without_embedding"],
            "facts": world.fact_count,
            "bits": world.entropy,
            "steps": result.steps,
            "tokens": result.tokens,
            "training_seconds": result.seconds,
            "loss": result.loss,
            "recall": float(frame["exact_match"].mean() or 0.0),  # type: ignore[arg-type]
            "device": run.record["device_name"],
            "seconds": clock.seconds,
        }
        self.directory.write("model", record)
        return record

    def carry_out(self, unit: TrialUnit, progress: Progress = _silent) -> dict[str, Any]:
        """Carry out a trial on a model that is trained, and write its frames.

        Parameters
        ----------
        unit : TrialUnit
        progress : callable, optional
            Called with (edits done, edits).

        Returns
        -------
        dict
            The trial's record, as in ``trial.json``: ``status`` is done, or failed where
            every edit broke down, with the first one's reason.

        Raises
        ------
        ArgumentError
            When there are not enough facts for the plan.
        """
        clock = _Clock()
        with clock("load"):
            run, model = self._model(unit.model, None)
            method = get_method(unit.method, unit.settings)
        with clock("plan"):
            planned = self._plan(unit.plan, run.corpus)
        check_kinds(method, [planned.plan])
        context = EditContext(
            corpus=run.corpus,
            seed=unit.measure["edit_seed"],
            cache=self.directory.cache,
            run=run.directory,
        )
        place = self.directory.fresh(unit.id)
        work = _Work(run, model, method, planned, context, unit, clock, progress)
        kept = place / "deltas" if unit.measure["deltas"] else None
        frames = work.frames(kept)
        reason = None
        if unit.measure["durability"]:
            with clock("durability"):
                table, reason = work.durability()
                named = pl.lit(unit.id).alias("trial")
                frames["retention"] = table.select(named, pl.all())
        with clock("write"):
            for name, frame in frames.items():
                with replacing(place / f"{name}.parquet") as temporary:
                    frame.write_parquet(temporary)
        failures = frames["edits"]["failure"].drop_nulls()
        every = len(failures) == len(planned.plan)
        record = {
            "id": unit.id,
            "model": unit.model,
            "plan": unit.plan.id,
            "method": unit.method,
            "settings": unit.settings,
            "measure": unit.measure,
            **unit.about,
            "status": "failed" if every else "done",
            "reason": f"every edit broke down: {failures[0]}" if every else reason,
            "edits": len(planned.plan),
            "failed_edits": len(failures),
            "device": device_name(model.device),
            "versions": versions("behemoth", "torch", "transformers"),
            "seconds": clock.seconds,
        }
        self.directory.write("trial", record)
        return record

    def _model(self, name: str, config: TrainConfig | None) -> tuple[Run, GPTNeoXForCausalLM]:
        if self._run is None or self._run[0] != name:
            self._run = None
            run = read_run(self.directory.model(name))
            config = TrainConfig(**run.record["config"]) if config is None else config
            device = None if config.device == "auto" else config.device
            model: Any = run.load_model(device)
            self._run = name, run, model
        return self._run[1:]

    def _plan(self, unit: PlanUnit, corpus: Corpus) -> _Planned:
        if self._planned is None or self._planned.id != unit.id:
            self._planned = None
            place = self.directory.plan(unit.id)
            # Models of one corpus share a plan, and their trials may come to it at once.
            with lock(place.parent / f".{unit.id}.lock"):
                if not (place / "plan.toml").is_file():
                    _compile(unit, corpus).save(place)
                plan = EditPlan.load(place, corpus)
            about = about_edits(plan, corpus)
            independent = plan.request.independent
            singles = dict(zip(plan.edits["edit"], plan.singles(), strict=True))
            first = about.filter(pl.int_range(pl.len()).over("exposures") < _DECOMPOSED)
            self._planned = _Planned(
                unit.id, plan, about, singles if independent else {}, first["edit"].to_list()
            )
        return self._planned


@dataclass
class _Work:
    """One trial under way."""

    run: Run
    model: GPTNeoXForCausalLM
    method: EditMethod
    planned: _Planned
    context: EditContext
    unit: TrialUnit
    clock: _Clock
    progress: Progress

    def frames(self, kept: Any) -> dict[str, pl.DataFrame]:
        """Make the edits, ask the edited models, and give the frames but that of durability."""
        parts: dict[str, list[pl.DataFrame]] = {}
        for deltas in self._deltas():
            found = self._measure(deltas)
            for name, frame in found.items():
                parts.setdefault(name, []).append(frame)
            if kept is not None:
                for edit, delta in deltas.items():
                    delta.save(kept / ("batch" if edit is None else f"{edit:05}"))
        return {name: pl.concat(some) for name, some in parts.items()}

    def durability(self) -> tuple[pl.DataFrame, str | None]:
        """Go on training after a batch of the edits."""
        config = TrainConfig(**self.run.record["config"])
        measure = self.unit.measure
        frame, failure = retention(
            self.model, self.run.corpus, self.planned.plan, self.method, self.context, config,
            steps=measure["durability"], rate=measure["durability_rate"],
        )  # fmt: skip
        return frame, None if failure is None else f"durability: the batch broke down: {failure}"

    def _deltas(self) -> Iterator[dict[int | None, EditDelta]]:
        """Single edits stack by stack, or the plan as one batch."""
        total = len(self.planned.plan)
        if not self.planned.singles:
            context = replace(
                self.context,
                progress=lambda step, steps: self.progress(total * step // max(1, steps), total),
            )
            with self.clock("edit"):
                delta = self.method.apply(self.model, [self.planned.plan], context)[0]
            yield {None: delta}
            self.progress(total, total)
            return
        edits = list(self.planned.singles)
        most = stack_size(self.method, self.model)
        done = 0
        while done < total:
            some = edits[done : done + most]
            try:
                with self.clock("edit"):
                    made = self.method.apply(
                        self.model, [self.planned.singles[edit] for edit in some], self.context
                    )
            except torch.OutOfMemoryError:
                if most == 1:
                    raise
                most //= 2
                gc.collect()
                torch.cuda.empty_cache()
                continue
            yield dict(zip(some, made, strict=True))
            done += len(some)
            self.progress(done, total)

    def _measure(self, deltas: dict[int | None, EditDelta]) -> dict[str, pl.DataFrame]:
        plan, model = self.planned.plan, self.model
        if None not in deltas:
            plan = _some(plan, [edit for edit in deltas if edit is not None])
        with self.clock("evaluate"):
            probes = evaluate_model(
                model, self.run.corpus, plan, deltas, run=self.unit.model, seed=self.run.seed,
                stack=most_stacked(model),
            ).with_columns(pl.lit(self.unit.plan.id).alias("plan"))  # fmt: skip
        with self.clock("geometry"):
            table = pl.DataFrame(schema=SHAPES)
            if self.unit.measure["geometry"]:
                table = shapes(deltas, model, [None, *self.planned.decomposed])
        edits = edit_frame(self.planned.about, deltas, probes, table, self.method.info).select(
            list(EDITS)
        )
        named = pl.lit(self.unit.id).alias("trial")
        found = {
            "edits": edits,
            "probes": probes.select(list(PROBES)),
            "geometry": table,
            "traces": trace_frame(deltas).select(list(TRACES)),
        }
        return {name: frame.select(named, pl.all()) for name, frame in found.items()}


def _some(plan: EditPlan, edits: Sequence[int]) -> EditPlan:
    """Give the edits of a stack with their probes; evaluation looks at no mixture."""
    return EditPlan(
        plan.request,
        plan.spec_hash,
        plan.edits.filter(pl.col("edit").is_in(edits)),
        plan.training.clear(),
        plan.probes.filter(pl.col("edit").is_in(edits) | pl.col("edit").is_null()),
    )


def _compile(unit: PlanUnit, corpus: Corpus) -> EditPlan:
    """Compile a plan; that of a twin has the edits that were chosen in the first world."""
    if unit.chosen_in is None:
        return compile_plan(corpus, unit.request)
    first = unit.chosen_in.make()
    chosen = choose_edits(first, Structure(first.world), unit.request, None)
    new = pl.Series("object", chosen.new_object, dtype=pl.Int64)
    table = pl.DataFrame({"fact": chosen.facts.fact, "object": new}).with_columns(
        pl.when(pl.col("object") >= 0).then(pl.col("object")).alias("object")
    )
    return compile_plan(corpus, replace(unit.request, edits=None, exposures=None), table=table)


def _recall(model: GPTNeoXForCausalLM, corpus: Corpus) -> pl.DataFrame:
    names = {row["name"] for row in corpus.templates if row["share"] > 0 and row["probe"]}
    if not names:
        return pl.DataFrame(schema=RECALL)
    template = "default" if "default" in names else sorted(names)[0]
    facts = np.arange(corpus.world.fact_count, dtype=np.uint64)
    objects = pl.Series([row["objects"] for row in corpus.world.relation_table], dtype=pl.UInt32)
    frame = recall(model, corpus, facts=facts, templates=[template])
    first = frame.filter(pl.col("wording") == frame["wording"].min())
    return first.with_columns(objects.gather(first["relation"]).alias("objects")).select(
        list(RECALL)
    )
