"""Memory of a study on a CPU: whether its units fit into the workers' shares, before it is begun.

Units of one kind, which differ in seeds and in the facts that they edit, are estimated once, by the
first of them; its model is only shapes, and its plan is compiled and not kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from behemoth.plan.edit_plan import PlanWarning
from behemoth.study.file.identity import canonical
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.support.errors import ArgumentError, within
from behemoth.support.memory import limit_of, limit_text
from behemoth.support.text import bytes_text
from behemoth.support.workers import WORKER, too_many_workers

from .schedule import Work

if TYPE_CHECKING:
    from torch import nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.study.trial.memory_budget import TrialBudget
    from behemoth.train.config import TrainConfig

__all__ = ["Shares", "shares_of"]


@dataclass(frozen=True)
class Shares:
    """Distribution of memory over the workers of a study.

    Attributes
    ----------
    workers : int
    unit_bytes : int or None
        Bytes that a unit may use besides its worker; None if memory is not limited.
    worker_peak : int or None
        Estimated peak memory of a worker in bytes, itself included; None if nothing is estimated.
    """

    workers: int
    unit_bytes: int | None
    worker_peak: int | None


@dataclass(frozen=True)
class _Need:
    """Estimated peak memory of a worker for one kind of unit, in bytes.

    Attributes
    ----------
    unit : str
        The unit, for messages.
    least, most : int
        With the smallest portions, and with the usual ones.
    refusal : callable
        Called with the bytes there are, and how to state them; returns the error.
    """

    unit: str
    least: int
    most: int
    refusal: Callable[[int, str], ArgumentError]


def shares_of(
    work: Work,
    workers: int,
    memory: int | None,
    *,
    given: int | None = None,
    limited: bool = True,
    measuring: bool = False,
) -> Shares:
    """Divide memory among workers, and refuse a study with a unit that does not fit.

    Parameters
    ----------
    work : Work
        The units to carry out.
    workers : int
        Number of workers.
    memory : int, optional
        Bytes for all workers; by default the free memory of the machine or the container.
    given : int, optional
        The number of workers that the user gave, which may be more than there are units. Without
        one, the number is reduced if that makes all units fit.
    limited : bool
        If false and `memory` is None, memory is only estimated.
    measuring : bool
        Whether one more process, which measures the models, needs as much as a worker.

    Raises
    ------
    ArgumentError
        If a unit does not fit even with the fewest edits at a time and rows per pass; it states
        what would fit.
    """
    needs = list(_needs(work))
    if not needs:
        return Shares(workers, None, None)
    largest = max(needs, key=lambda need: need.least)
    most = max(need.most for need in needs)
    free = limit_of(memory) if limited else memory
    if free is None:
        return Shares(workers, None, most)
    fit = free // largest.least - measuring
    there = limit_text(free, memory)
    if measuring:
        there += ", and the process that measures needs as much"
    if fit < 1:
        raise largest.refusal(free // (1 + measuring), there)
    if fit < workers and given is not None:
        need = f"{bytes_text(largest.least)} of memory for {largest.unit}"
        raise too_many_workers(given, need, there, fit)
    count = min(workers, fit)
    share = free // (count + measuring)
    return Shares(count, share - WORKER, min(most, share))


def _needs(work: Work) -> Iterator[_Need]:
    """Yield what each kind of unit needs that is carried out on a CPU."""
    from behemoth.model.device import find_device

    models = {
        name: unit
        for name, unit in work.expansion.models.items()
        if find_device(unit.config.device).type == "cpu"
    }
    seen: set[str] = set()
    for name, unit in models.items():
        if name not in work.models:
            continue
        corpus = work.costs.corpus(unit)
        kind = canonical([_settings(unit.config), corpus.vocabulary_size, corpus.world.num_facts])
        if kind not in seen:
            seen.add(kind)
            yield _of_model(unit, corpus)
    with_twin = {trial.model for trial in work.expansion.trials if trial.twin is not None}
    plans: dict[str, _Plan | None] = {}
    shapes: dict[str, nn.Module] = {}
    for trial in work.trials.values():
        if trial.model not in models:
            continue
        unit = models[trial.model]
        lengths = _lengths_of(unit)
        request = {**trial.plan.request.to_dict(), "seed": None}
        # A twin with swapped exposures edits only the facts that were swapped.
        swapped = trial.swap if trial.plan.moved else 0
        sequential = trial.measure.sequential
        planned = canonical([lengths, request, swapped, sequential])
        method = [trial.choice.name, trial.choice.settings]
        measured = [trial.measure.to_dict(), trial.model in with_twin]
        kind = canonical([planned, _settings(unit.config), method, measured])
        if kind in seen:
            continue
        seen.add(kind)
        corpus = work.costs.corpus(unit)
        if planned not in plans:
            plans[planned] = _compiled(trial, corpus)
        plan = plans[planned]
        if plan is None:
            continue
        shape = canonical([asdict(unit.config.size), corpus.vocabulary_size])
        if shape not in shapes:
            shapes[shape] = _shape(unit.config, corpus)
        try:
            need = _of_trial(trial, unit, _budget(
                trial, unit.config, corpus, plan, shapes[shape], twin=trial.model in with_twin
            ))  # fmt: skip
        except ArgumentError:  # settings that are not for this model: the trial fails with this
            continue
        yield need


def _settings(config: TrainConfig) -> dict[str, Any]:
    return {**asdict(config), "seed": None}


def _lengths_of(unit: ModelUnit) -> list[Any]:
    """Return what lengths of prompts depend on: the specs without seeds and exposures."""
    corpus = {k: v for k, v in unit.corpus.corpus.items() if k not in ("seed", "exposures")}
    return [{**unit.corpus.world, "seed": None}, corpus]


@dataclass(frozen=True)
class _Plan:
    """A plan, and the single edits that may be made at a time, or the first of a sequence."""

    plan: EditPlan
    singles: list[EditPlan]


def _compiled(trial: TrialUnit, corpus: Corpus) -> _Plan | None:
    from behemoth.edit.stacking import MOST
    from behemoth.study.trial.laboratory import compile_unit
    from behemoth.study.trial.sequence import edits_in_order

    try:
        plan = compile_unit(trial.plan, corpus)
    except ArgumentError as error:
        if error.path not in ((trial.plan.request.counted,), ("fraction",)):
            raise error.within("plan") from None
        return None  # too few facts: the trial fails with this reason
    if trial.measure.sequential:
        with warnings.catch_warnings():  # the trial itself warns of edits without retained facts
            warnings.simplefilter("ignore", PlanWarning)
            return _Plan(plan, edits_in_order(plan, corpus)[: MOST["cpu"]])
    if not plan.request.independent:
        return _Plan(plan, [])
    return _Plan(plan, plan.take(plan.edits["edit"].to_list()[: MOST["cpu"]]).singles())


def _shape(config: TrainConfig, corpus: Corpus) -> nn.Module:
    from behemoth.model.build import padded_vocabulary, shape_of

    vocabulary = padded_vocabulary(corpus.vocabulary_size, config.vocabulary_multiple or 8)
    with within("train", "architecture"):
        return shape_of(config.size, vocabulary, config.block_length)


def _of_model(unit: ModelUnit, corpus: Corpus) -> _Need:
    from behemoth.train.memory_budget import model_bytes, require_room

    config, size, facts = unit.config, corpus.vocabulary_size, corpus.world.num_facts
    least = WORKER + model_bytes(config, size, facts, 1)

    def refusal(free: int, there: str) -> ArgumentError:
        needs = f"which needs about {bytes_text(least)} of memory in a worker while {there}"
        try:
            require_room(config, size, memory=max(1, free - WORKER))
        except ArgumentError as error:
            if error.path == ("batch_size",):
                got = f"{config.batch_size:,} of {config.model}, {needs}"
                return ArgumentError(("train", "batch_size"), got, error.allowed)
        allowed = "what fits: a smaller model, shorter blocks or fewer facts"
        return ArgumentError(("train", "model"), f"{config.model}, {needs}", allowed)

    most = WORKER + model_bytes(config, size, facts)
    return _Need(f"training {config.model}", least, most, refusal)


def _of_trial(trial: TrialUnit, unit: ModelUnit, budget: TrialBudget) -> _Need:
    label, model = trial.choice.label, unit.config.model
    least = WORKER + budget.least()

    def refusal(free: int, there: str) -> ArgumentError:
        from behemoth.edit.memory_budget import smaller

        fits = smaller(
            budget.method, lambda own: WORKER + replace(budget, method=own).least() <= free
        )
        needs = f"needs about {bytes_text(least)} of memory in a worker while {there}"
        if fits is not None:
            allowed = f"with {fits}, which fits"
            return ArgumentError("method", f"{label} on {model}, which {needs}", allowed)
        fewer = ", or a plan of fewer edits" if _is_of_edits(budget, free) else ""
        allowed = f"what fits: a smaller model{fewer}"
        return ArgumentError(("train", "model"), f"{model}, on which {label} {needs}", allowed)

    return _Need(f"{label} on {model}", least, WORKER + budget.most(), refusal)


def _is_of_edits(budget: TrialBudget, free: int) -> bool:
    """Return whether a trial does not fit only because of the number of its edits.

    Independent edits count for a suite, which keeps all of them, and for the batch of `durability`.
    """
    plan = budget.plan
    if len(plan) == 1:
        return False
    one = replace(budget, plan=plan.single(plan.edits["edit"][0]), singles=budget.singles[:1])
    return WORKER + one.least() <= free


def _budget(
    trial: TrialUnit,
    config: TrainConfig,
    corpus: Corpus,
    plan: _Plan,
    model: nn.Module,
    *,
    twin: bool,
) -> TrialBudget:
    from behemoth.edit.protocol import EditContext, Watch
    from behemoth.study.trial.memory_budget import TrialBudget

    measure = trial.measure
    context = EditContext(
        corpus, seed=measure.edit_seed, trained=config,
        watch=None if measure.sequential else Watch(measure.held_out, measure.bystanders),
    )  # fmt: skip
    return TrialBudget(
        model, trial.choice.method, plan.plan, plan.singles, context, measure, config, twin
    )
