"""Expansion of a study: the models and trials of the points of its grid, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import fspath
from typing import TYPE_CHECKING, Any

from behemoth.edit.tuned import kind_of_world
from behemoth.plan.check import check_request
from behemoth.plan.choice import Edits, choose_edits
from behemoth.plan.request import EditRequest
from behemoth.plan.structure import Structure
from behemoth.support.checks import path_of
from behemoth.support.errors import ArgumentError, within
from behemoth.train.config import default_config

from .grid import ROTATION, laid_over, turned
from .identity import canonical
from .measurement import Measurement
from .method import MethodChoice
from .swap import SWAP, swap_of, swapped_pairs
from .units import CorpusUnit, ModelUnit, PlanUnit, TrialUnit

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from behemoth.corpus.corpus import Corpus

    from .spec import Study

__all__ = ["Expansion", "expand"]

# Names whose value is 0 unless specified.
_ZERO = {"world.seed", "train.seed", "plan.seed", ".".join(ROTATION), ".".join(SWAP)}
# A study measures recall once, on all facts, and needs no learning curves of its models.
_QUIET: dict[str, Any] = {"tensorboard": False, "probe_facts": 0}


@dataclass(frozen=True)
class Expansion:
    """The units of a study.

    Attributes
    ----------
    models : dict of str to ModelUnit
        Models by id, in the order in which they are first needed. Twins with which suites compare
        are models as well, after the model of their trials.
    trials : list of TrialUnit
        Trials sorted by model; a trial that several points share is listed once.
    """

    models: dict[str, ModelUnit]
    trials: list[TrialUnit]

    def __repr__(self) -> str:
        return f"Expansion({len(self.models)} models, {len(self.trials)} trials)"

    def table(self) -> pl.DataFrame:
        """Return one row per trial.

        Columns: trial, label, method, model, size (of the model), seed (its own), world_seed, plan,
        edits, rotation, swap, twin (null without one).
        """
        import polars as pl

        rows = [
            {
                "trial": trial.id,
                "label": trial.choice.label,
                "method": trial.choice.name,
                "model": trial.model,
                "size": (model := self.models[trial.model]).config.model,
                "seed": model.config.seed,
                "world_seed": model.corpus.world.get("seed", 0),
                "plan": trial.plan.id,
                "edits": trial.plan.request.edits,
                "rotation": trial.rotation,
                "swap": trial.swap,
                "twin": trial.twin,
            }
            for trial in self.trials
        ]
        return pl.DataFrame(rows, schema_overrides={"twin": pl.String})

    def part(self, number: int, count: int) -> Expansion:
        """Return part `number` (from 0) of `count`: every `count`-th edited model, and its trials.

        Models that no trial needs are in the first part.
        """
        edited = dict.fromkeys(trial.model for trial in self.trials)
        own = {name for place, name in enumerate(edited) if place % count == number}
        trials = [trial for trial in self.trials if trial.model in own]
        needed = {name for trial in trials for name in trial.models}
        if number == 0:
            needed |= self.models.keys() - {n for trial in self.trials for n in trial.models}
        models = {name: unit for name, unit in self.models.items() if name in needed}
        return Expansion(models, trials)

    def units_of(self, number: int, count: int) -> tuple[set[str], set[str]]:
        """Return the folders of the units that a part needs, such as ``trials/ID``.

        The second set has those that no part of a lower number needs, too.
        """
        needed = self.part(number, count).units
        earlier = (self.part(each, count).units for each in range(number))
        return needed, needed.difference(*earlier)

    @property
    def units(self) -> set[str]:
        """Folders of all units, such as ``trials/ID``."""
        trials = {f"trials/{trial.id}" for trial in self.trials}
        plans = {f"plans/{plan}" for plan in self.plans}
        return {f"models/{name}" for name in self.models} | plans | trials

    @property
    def plans(self) -> set[str]:
        """Ids of the plans."""
        return {trial.plan.id for trial in self.trials}


def expand(study: Study, threads: int) -> Expansion:
    """Return the models and trials of a study; see `Study.expand`."""
    models: dict[str, ModelUnit] = {}
    trials: dict[str, TrialUnit] = {}
    made: dict[str, Corpus] = {}
    said: set[str] = set()
    first: dict[tuple[str, str], tuple[Any, int]] = {}
    for values in study.points:
        point = _Point(study, values, threads, made)
        seeds = (point.unit.world.get("seed", 0), point.config.seed)
        # Costs differ by what else a point sets, though no two points may have one pair of seeds.
        kind = canonical({name: own for name, own in values.items() if name not in _ZERO})
        said.update(_names(point.tables))
        models.setdefault(point.model.id, point.model)
        for trial, twin in point.trials():
            if twin is not None:
                models.setdefault(twin.id, twin)
            counted = first.setdefault((trial.choice.label, kind), seeds) == seeds
            other = trials.setdefault(trial.id, replace(trial, counted=counted))
            if other.choice.label != trial.choice.label:
                raise ArgumentError(
                    "method", trial.choice.label, f"one that differs from {other.choice.label!r}"
                )
    used = {trial.choice.label for trial in trials.values()}
    for choice in study.methods:
        # A name that no point specifies counts as 0, so a misspelt name with value 0 would match.
        for name in choice.where.keys() - said - _ZERO:
            raise ArgumentError.unknown("where", name, sorted(said | _ZERO)).within("method")
        if choice.label not in used:  # a misspelt value would pass silently
            allowed = "values of some point of the grid"
            raise ArgumentError("where", f"{choice.where} of {choice.label!r}", allowed)
    order = {name: place for place, name in enumerate(models)}
    return Expansion(models, sorted(trials.values(), key=lambda trial: order[trial.model]))


def _names(tables: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for key, value in tables.items():
        yield f"{within}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{within}{key}.")


class _Point:
    """One point of a grid: a model, and the trials of all methods on it."""

    def __init__(
        self, study: Study, values: Mapping[str, Any], threads: int, made: dict[str, Corpus]
    ) -> None:
        self.methods = study.methods
        self.tables = laid_over(study.tables, values)
        place = None if study.directory is None else fspath(study.directory)
        table, self.rotation = turned(self.tables["corpus"])
        self.swap = swap_of(table)
        version = study.format_version
        unit = CorpusUnit(self.tables["world"], table, place, version)
        self.corpus = _make(unit, made)
        with within("train"):
            settings: dict[str, Any] = {**_QUIET, **self.tables["train"]}
            if "threads" in settings:  # by which cores are divided among workers
                allowed = "none in a study, but --threads of its run"
                raise ArgumentError("threads", settings["threads"], allowed)
            settings["threads"] = threads
            if "start" in settings and study.directory is not None:
                allowed = "the directory of a model"
                start = path_of("start", settings["start"], allowed, beside=study.directory)
                settings["start"] = study.directory / start
            config = default_config(**settings)
        self.unit, self.config, self.gone = unit, config, dict[str, ModelUnit]()
        self.plans: dict[EditRequest, PlanUnit] = {}
        self.twin = self.first = None
        if self.rotation or self.swap:
            # The same corpus without rotation and swaps.
            drop = (ROTATION[1], SWAP[1])
            straight = {k: v for k, v in self.tables["corpus"].items() if k not in drop}
            twin = CorpusUnit(self.tables["world"], straight, place, version)
            first = _make(twin, made)
            if self.swap:
                self.unit = unit = self._swapped(unit, first)
                self.corpus = _make(unit, made)
            if first.spec_hash != self.corpus.spec_hash:  # equal after a complete rotation
                self.twin, self.first = twin, first
        self.model = ModelUnit.of(unit, config, self.corpus)

    def _swapped(self, unit: CorpusUnit, first: Corpus) -> CorpusUnit:
        with within("plan"):
            request = EditRequest.from_dict(self.tables["plan"])
            if request.count is None:
                raise ArgumentError(
                    "edits", None, "the number of facts to edit, where some are swapped"
                )
        pairs = swapped_pairs(self.corpus, request, self.swap, first)
        return replace(unit, exchanged=pairs)

    def trials(self) -> Iterator[tuple[TrialUnit, ModelUnit | None]]:
        """Yield one trial per method, with the twin that its suite compares with, if any."""
        for choice in self.methods:
            if not choice.is_at(self.tables):
                continue
            choice = choice.at(kind_of_world(self.corpus.grammar))
            with within("plan"):
                plan = self._plan(_request({**self.tables["plan"], **choice.plan}, choice))
            if plan.moved and choice.plan:
                self._check_swapped(plan, choice)
            with within("measure"):
                measure = Measurement.from_dict({**self.tables["measure"], **choice.measure})
                if measure.checkpoint_at is not None:
                    self._check_checkpoints(plan, measure.checkpoint_at)
            gone = self._without(plan) if measure.twin else None
            yield (
                TrialUnit.of(
                    self.model.id, plan, choice, measure, self.rotation, self.swap,
                    None if gone is None else gone.id,
                ),
                gone,
            )  # fmt: skip

    def _plan(self, request: EditRequest) -> PlanUnit:
        """Return the plan of a request, which is checked as far as can be without a model."""
        if request not in self.plans:
            _check_facts(self._facts_of, request)
            check_request(self.corpus, request)
            if request.count is None:  # a rule edits all facts of its share that its corpus states
                plan = PlanUnit.of(self.corpus, request)
            else:
                moved = self.swap > 0
                plan = PlanUnit.of(self.corpus, request, self.twin, self.first, moved=moved)
            self.plans[request] = plan
        return self.plans[request]

    def _check_swapped(self, plan: PlanUnit, choice: MethodChoice) -> None:
        """Refuse a plan of a method that would not edit the facts that were swapped."""
        swapped = {fact for fact, _ in self.unit.exchanged or ()}
        if not swapped.issubset(self._chosen(plan).facts.fact.tolist()):
            allowed = f"0 for {choice.label!r}, whose own plan chooses other facts than [plan]"
            raise ArgumentError(SWAP, self.swap, allowed)

    def _check_checkpoints(self, plan: PlanUnit, checkpoints: Sequence[int]) -> None:
        """Refuse a checkpoint beyond a plan, after its model would have been trained."""
        request = plan.request
        if request.count is None or plan.moved:
            edits = len(self._edited(plan, self._chosen(plan)))
        else:
            edits = request.count * len(request.exposures or (0,))
        if checkpoints[-1] > edits:
            allowed = f"1 to {edits:,}, the edits of the plan"
            raise ArgumentError("checkpoint_at", checkpoints[-1], allowed)

    @property
    def _origin(self) -> Corpus:
        """The corpus in which edits of a number are chosen: without rotation and swaps."""
        return self.corpus if self.first is None else self.first

    @cached_property
    def _facts_of(self) -> dict[int, int]:
        """Number of facts by their exposures in that corpus."""
        return {row["exposures"]: row["facts"] for row in self._origin.exposure_classes}

    def _chosen(self, plan: PlanUnit) -> Edits:
        """Return the edits of a plan, those of facts whose exposures did not move included."""
        there = self.corpus if plan.chosen_in is None else self._origin
        with within("plan"):
            return choose_edits(there, Structure(there.world), plan.request.carried_out, None)

    def _edited(self, plan: PlanUnit, chosen: Edits) -> NDArray[np.uint64]:
        """Return the facts that a plan edits: of those chosen, all or the ones that moved."""
        facts = chosen.facts.fact
        if not plan.moved:
            return facts
        return facts[self._origin.exposures(facts) != self.corpus.exposures(facts)]

    def _without(self, plan: PlanUnit) -> ModelUnit:
        """Return the twin: a model of the corpus that always had the outcome of a plan's edits."""
        if plan.id not in self.gone:
            chosen = self._chosen(plan)
            facts = self._edited(plan, chosen)
            new = [None if value < 0 else value for value in chosen.new_object.tolist()]
            pairs = dict(zip(chosen.facts.fact.tolist(), new, strict=True))
            unit = replace(self.unit, replaced=[[fact, pairs[fact]] for fact in facts.tolist()])
            self.gone[plan.id] = ModelUnit.of(unit, self.config)
        return self.gone[plan.id]


def _make(unit: CorpusUnit, made: dict[str, Corpus]) -> Corpus:
    key = canonical([unit.world, unit.corpus, unit.exchanged])
    if key not in made:
        made[key] = unit.make()
    return made[key]


def _check_facts(facts_of: Mapping[int, int], request: EditRequest) -> None:
    """Refuse levels that a corpus does not have, and more edits than it has facts.

    Which facts are candidates is known when a plan is compiled, after a model has been trained: a
    plan of more than all of them is refused before that.
    """
    if request.count is None:
        return
    for level in request.exposures or ():
        if not (facts := facts_of.get(level)):
            levels = sorted(level for level, facts in facts_of.items() if facts)
            shown = ", ".join(map(str, levels[:12])) + (", ..." if len(levels) > 12 else "")
            raise ArgumentError("exposures", level, f"levels of the corpus: {shown}")
        if request.count > facts:
            allowed = f"up to {facts:,}, the facts of {level} exposures"
            raise ArgumentError(request.counted, request.count, allowed)
    written = sum(facts for level, facts in facts_of.items() if level)
    if request.exposures is None and request.count > written:
        allowed = f"up to {written:,}, the facts that the corpus states"
        raise ArgumentError(request.counted, request.count, allowed)


def _request(values: dict[str, Any], choice: MethodChoice) -> EditRequest:
    request = EditRequest.from_dict(values)
    if request.facts is not None:
        raise ArgumentError("facts", "a table", "none in a study, but edits")
    # A unit keeps the request as given, on which its id depends.
    if request.count is None and request.carried_out.fraction is None:
        raise ArgumentError("edits", None, "the number of facts to edit")
    kinds = choice.method.info.kinds
    if request.kind not in kinds:
        allowed = f"for {choice.label!r}: {', '.join(sorted(kinds))}"
        raise ArgumentError("kind", request.kind, allowed)
    return request
