"""The two units of work: train a model, and carry out a trial on it.

A `Laboratory` carries them out in one process. It keeps the last model and plan, and what trials
found of the unedited model, since the next one is usually another method with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.edit.protocol import EditContext, Watch, check_kinds
from behemoth.evaluate.unedited import Unedited
from behemoth.plan.choice import choose_edits
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.structure import Structure
from behemoth.recall.facts import recall
from behemoth.study.directory import RECALL as RECALL_FILE, StudyDirectory
from behemoth.study.file.measurement import DECOMPOSED
from behemoth.study.file.units import ModelUnit, PlanUnit, TrialUnit
from behemoth.study.records import ModelRecord, TrialRecord
from behemoth.study.saturation import facts_per_object
from behemoth.study.schemas import RECALL
from behemoth.support.errors import CorpusError
from behemoth.support.files import replacing
from behemoth.support.progress import Advance, silent
from behemoth.support.provenance import versions
from behemoth.support.text import error_text
from behemoth.train import TrainConfig, train
from behemoth.train.device import device_name
from behemoth.train.memory_budget import ROWS, recall_rows
from behemoth.train.run import Run, read_run, world_id

from .costs import cost_of
from .measure import about_edits
from .memory_budget import TrialBudget
from .sequence import edits_in_order
from .suite import measured_in_trial
from .trial import Clock, Planned, Reference, Trial

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.edit.cost import EditCost
    from behemoth.evaluate.suites.measured_model import MeasuredModel

__all__ = ["Laboratory", "compile_unit"]

R = TypeVar("R", ModelRecord, TrialRecord)


class Laboratory:
    """Carries out the units of a study in this process.

    Parameters
    ----------
    directory : StudyDirectory
    memory : int, optional
        Bytes that a unit may use on a CPU, in addition to what the process used before: fewer
        single edits are made at a time, and fewer rows go through a pass, to fit. By default what
        the machine or the container has free when a unit begins.
    """

    def __init__(self, directory: StudyDirectory, memory: int | None = None) -> None:
        self.directory, self.memory = directory, memory
        self._run: tuple[str, Run, PreTrainedModel] | None = None
        self._planned: Planned | None = None
        self._twin: tuple[tuple[str, str, bool], MeasuredModel] | None = None
        self._found: tuple[str, str, Unedited] | None = None
        self._reference: tuple[tuple[str, str, bool], MeasuredModel] | None = None

    def train(self, unit: ModelUnit, step: Advance = silent) -> ModelRecord:
        """Train a model, or resume its training, and evaluate its recall of all facts.

        If another process is training the model, wait for it and return its record.

        Parameters
        ----------
        unit : ModelUnit
        step : callable, optional
            Called with (steps done, steps).

        Returns
        -------
        ModelRecord

        Raises
        ------
        TrainError
            If the loss diverged or memory ran out.
        """
        place = self.directory.model(unit.id)
        with self.directory.holding(place):
            existing = _done(self.directory.model_record, unit.id)
            return self._train(unit, place, step) if existing is None else existing

    def _train(self, unit: ModelUnit, place: Path, step: Advance) -> ModelRecord:
        clock = Clock()
        corpus = unit.corpus.make()
        self._run = self._twin = self._found = self._reference = None  # training needs their memory
        with clock("train"):
            result = train(
                corpus,
                out=place,
                config=unit.config,
                memory=self.memory,
                progress=lambda moment: step(moment.done, moment.total),
            )
        # The clock has only the last session of a training that was stopped and resumed.
        clock.add("train", max(0.0, result.seconds - clock.seconds["train"]))
        with clock("recall"):
            run, model = self._model(unit.id, unit.config)
            vocabulary, facts = int(model.config.vocab_size), run.corpus.world.num_facts
            rows = ROWS
            if self.memory is not None:
                rows = recall_rows(unit.config, vocabulary, facts, self.memory) or 1
            frame = _recall(model, run.corpus, rows)
            with replacing(place / RECALL_FILE) as temporary:
                frame.write_parquet(temporary)
        world = corpus.world
        record = ModelRecord(
            id=unit.id,
            status="done",
            size=unit.config.model,
            seed=unit.config.seed,
            world=world_id(corpus),
            world_seed=world.spec.get("seed", 0),
            spec_hash=corpus.spec_hash,
            parameters=run.record.parameters,
            parameters_without_embedding=run.record.parameters_without_embedding,
            facts=world.num_facts,
            bits=world.entropy,
            facts_per_object=facts_per_object(world),
            steps=result.steps,
            tokens=result.tokens,
            training_seconds=result.seconds,
            loss=result.loss,
            recall=float(frame["exact_match"].mean() or 0.0),  # type: ignore[arg-type]
            device=run.record.device_name,
            seconds=clock.seconds,
        )
        self.directory.write(record)
        return record

    def carry_out(self, unit: TrialUnit, step: Advance = silent) -> TrialRecord:
        """Carry out a trial on a trained model, and write its frames.

        If another process is carrying out the trial, wait for it and return its record.

        Parameters
        ----------
        unit : TrialUnit
        step : callable, optional
            Called with (edits done, edits).

        Returns
        -------
        TrialRecord
            ``status`` is 'failed' if every edit broke down, with the first one's reason, else
            'done'.

        Raises
        ------
        ArgumentError
            If there are not enough facts for the plan.
        """
        with self.directory.holding(self.directory.trial(unit.id)):
            existing = _done(self.directory.trial_record, unit.id)
            return self._carry_out(unit, step) if existing is None else existing

    def _carry_out(self, unit: TrialUnit, step: Advance) -> TrialRecord:
        trial = self._begun(unit, step)
        clock, place = trial.clock, self.directory.fresh(unit.id)
        frames = trial.frames(place)
        reasons: list[str] = []
        if unit.measure.durability:
            with clock("durability"):
                table, lost = trial.durability()
                reasons += [] if lost is None else [lost]
                frames["retention"] = table
        with clock("write"):
            for name, frame in frames.items():
                with replacing(place / f"{name}.parquet") as temporary:
                    frame.select(pl.lit(unit.id).alias("trial"), pl.all()).write_parquet(temporary)
        cost = None
        try:
            if unit.counted:
                cost = cost_of(self.directory.cache / "costs", trial.kind, trial.cost)
        except Exception as error:  # what the trial measured stands without its cost
            # The edit may have left the model changed.
            self._run = self._twin = self._found = self._reference = None
            reasons.append(f"cost: it could not be counted: {error_text(error)}")
        trial.clear()
        record = _record_of(trial, reasons, cost)
        self.directory.write(record)
        return record

    def _begun(self, unit: TrialUnit, step: Advance) -> Trial:
        """Load what a trial needs, and divide its work so that it fits into memory."""
        clock = Clock()
        with clock("load"):
            run, model = self._model(unit.model, None)
        with clock("plan"):
            planned = self._plan(unit.plan, run.corpus)
            ordered = edits_in_order(planned.plan, run.corpus) if unit.measure.sequential else []
        method = unit.choice.method
        check_kinds(method, [planned.plan])
        context = EditContext(
            corpus=run.corpus,
            seed=unit.measure.edit_seed,
            cache=self.directory.cache,
            run=run.directory,
            # Of edits one after another a sum is kept, which has no traces.
            watch=None if ordered else Watch(unit.measure.held_out, unit.measure.bystanders),
            # A retraining method reuses the twin, but its training time counts as the method's.
            retrained=() if unit.twin is None else (self.directory.model(unit.twin),),
            saved=lambda seconds: clock.add("edit", seconds),
        )
        budget = TrialBudget(
            model, method, planned.plan, ordered or list(planned.singles.values()), context,
            unit.measure, run.config, unit.twin is not None or self._twin is not None,
        )  # fmt: skip
        stack, rows = budget.fitting(self.memory)
        with clock("load"):
            twin = self._measured_twin(unit, planned, run)
            if twin is not None:
                twin.batch_size = rows
        return Trial(
            run, model, method, planned, context, unit, clock, step, twin,
            stack=stack, rows=rows, findings=self._findings(unit.model, planned), ordered=ordered,
            reference=self._measured_reference(unit, planned),
        )  # fmt: skip

    def _model(self, name: str, config: TrainConfig | None) -> tuple[Run, PreTrainedModel]:
        if self._run is None or self._run[0] != name:
            self._run = self._twin = self._found = self._reference = None
            run = read_run(self.directory.model(name))
            config = run.config if config is None else config
            device = None if config.device == "auto" else config.device
            model: Any = run.load_model(device)
            self._run = name, run, model
        return self._run[1:]

    def _findings(self, name: str, planned: Planned) -> Unedited:
        """Return what is kept of the model without edits, whom methods of a plan ask the same."""
        if self._found is None or self._found[:2] != (name, planned.id):
            self._found = name, planned.id, Unedited()
        return self._found[2]

    def _measured_reference(self, unit: TrialUnit, planned: Planned) -> Reference:
        """Return a function of a trial's probes that returns the measured unedited model.

        It is measured once for all methods, whose probes have the same rows of it.
        """

        def measured(probes: pl.DataFrame, rows: int | None) -> MeasuredModel:
            key = unit.model, planned.id, _together(unit, planned)
            if self._reference is None or self._reference[0] != key:
                run, model = self._model(unit.model, None)
                before = probes.filter(stage="before").with_columns(failure=None)
                made = measured_in_trial(
                    run, model, planned.plan, {}, frame=before, together=key[-1]
                )
                self._reference = key, made
            self._reference[1].batch_size = rows
            return self._reference[1]

        return measured

    def _measured_twin(self, unit: TrialUnit, planned: Planned, run: Run) -> MeasuredModel | None:
        """Return the measured twin, which is evaluated in the same way for all methods."""
        if unit.twin is None:
            return None
        key = unit.twin, planned.id, _together(unit, planned)
        if self._twin is None or self._twin[0] != key:
            self._twin = None
            device = None if run.config.device == "auto" else run.config.device
            model: Any = read_run(self.directory.model(unit.twin)).load_model(device)
            # On the run's corpus, like its methods: on the twin's own corpus, which lacks the
            # facts, its perplexity would be that of another text.
            self._twin = key, measured_in_trial(run, model, planned.plan, {}, together=key[-1])
        return self._twin[1]

    def _plan(self, unit: PlanUnit, corpus: Corpus) -> Planned:
        if self._planned is None or self._planned.id != unit.id:
            self._planned = None
            place = self.directory.plan(unit.id)
            # Models of one corpus share a plan, and their trials may need it at the same time.
            with self.directory.holding(place):
                if not (place / "plan.toml").is_file():
                    compile_unit(unit, corpus).save(place)
                plan = EditPlan.load(place, corpus)
            about = about_edits(plan, corpus)
            independent = plan.request.independent
            singles = dict(zip(plan.edits["edit"], plan.singles(), strict=True))
            first = about.filter(pl.int_range(pl.len()).over("exposures") < DECOMPOSED)
            self._planned = Planned(
                unit.id, plan, about, singles if independent else {}, first["edit"].to_list()
            )
        return self._planned


def _together(unit: TrialUnit, planned: Planned) -> bool:
    """Whether the edits of a trial are made in one model, which leaves out some of the probes."""
    return unit.measure.sequential or not planned.singles


def _record_of(trial: Trial, reasons: Sequence[str], cost: EditCost | None) -> TrialRecord:
    """Return the record of a trial, from the failures of its edits and of its parts."""
    edits = len(trial.planned.plan)
    failures = trial.failures
    all_failed = len(failures) == edits
    said = f"every edit broke down: {failures[0]}" if all_failed else "; ".join(reasons)
    return TrialRecord(
        **vars(trial.unit.row()),
        status="failed" if all_failed else "done",
        reason=said or None,
        edits=edits,
        failed_edits=len(failures),
        device=device_name(trial.model.device),
        versions=versions("behemoth", "torch", "transformers"),
        flops=None if cost is None else cost.flops / trial.together,
        memory=None if cost is None else cost.memory,
        seconds=trial.clock.seconds,
    )


def _done(read: Callable[[str], R | None], name: str) -> R | None:
    """Return the record of a unit if it is finished and did not fail, else None."""
    try:
        record = read(name)
    except CorpusError:  # the unit is carried out again
        return None
    return record if record is not None and record.status == "done" else None


def compile_unit(unit: PlanUnit, corpus: Corpus) -> EditPlan:
    """Compile a plan; that of a rotated world has the edits that were chosen in the first one."""
    if unit.chosen_in is None:
        return compile_plan(corpus, unit.request)
    first_corpus = unit.chosen_in.make()
    edits = choose_edits(first_corpus, Structure(first_corpus.world), unit.request, None)
    new = pl.Series("object", edits.new_object, dtype=pl.Int64)
    table = pl.DataFrame({"fact": edits.facts.fact, "object": new}).with_columns(
        pl.when(pl.col("object") >= 0).then(pl.col("object")).alias("object")
    )
    if unit.moved:
        facts = edits.facts.fact
        table = table.filter(first_corpus.exposures(facts) != corpus.exposures(facts))
    request = replace(  # without what chose the facts, which the table names
        unit.request, edits=None, exposures=None, most_frequent=None, least_frequent=None,
        correlated_only=False,
    )  # fmt: skip
    return compile_plan(corpus, request, table=table)


def _recall(model: PreTrainedModel, corpus: Corpus, batch_size: int) -> pl.DataFrame:
    names = {row["name"] for row in corpus.templates if row["share"] > 0 and row["probe"]}
    if not names:
        return pl.DataFrame(schema=RECALL)
    objects = pl.Series([row["objects"] for row in corpus.world.relation_table], dtype=pl.UInt32)
    frames: list[pl.DataFrame] = []
    left = np.arange(corpus.world.num_facts, dtype=np.uint64)
    # A relation of a grammar may have questions alone.
    for template in sorted(names, key=lambda name: (name != "default", name)):
        frame = recall(model, corpus, facts=left, templates=[template], batch_size=batch_size)
        # Relations have sentences of their own: the first one of one need not be another's.
        first = frame.filter(pl.col("wording") == pl.col("wording").min().over("relation"))
        counted = first.with_columns(objects.gather(first["relation"]).alias("objects"))
        frames.append(counted.select(list(RECALL)))
        left = left[~np.isin(left, first["fact"].to_numpy())]
        if not len(left):
            break
    return pl.concat(frames)
