"""Choose the settings of a method by trials on a plan of its own: `behemoth tune`.

Methods are comparable when each was given as much: the same number of trials, on the same plans,
each with the same ceiling of rows that its steps may take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from behemoth.edit.protocol import EditContext, EditMethod, answers, settings_of
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.search import Searched
from behemoth.evaluate.suites.bench import Bench
from behemoth.evaluate.suites.run import SUITES
from behemoth.evaluate.suites.score import LEGS, Reading, legs_of, score_of
from behemoth.evaluate.suites.suite import MissingError
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import EditRequest
from behemoth.support.checks import in_the_way, path_of, whole_number
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.locks import lock
from behemoth.support.progress import ProgressLike, task
from behemoth.train import train
from behemoth.train.run import Run, read_run

from .record import Tried, TuningDirectory
from .sampler import suggested

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["Tuned", "tune"]

OBJECTIVES = tuple(LEGS)
_KINDS = {"editing": "remap", "unlearning": "refusal"}


@dataclass(frozen=True)
class Tuned:
    """What `tune` chose; a path, of ``best.toml``, wherever one is asked for.

    Attributes
    ----------
    out, method, objective : str
    settings : dict
        What was chosen of what is searched.
    score, default_score : float
        Of these settings, and of those that the method has by default.
    trial, trials : int
        The trial that they were tried in, and how many there are.
    carried_out : int
        Trials of this call.
    seconds : float
        Of all edits of all trials.
    legs : dict of str to float or None
        What the score of these settings is the harmonic mean of; empty where the edit broke down.
    flat : str, optional
        Why nothing was chosen by, where all trials have one score.
    """

    out: str
    method: str
    objective: str
    settings: dict[str, Any]
    score: float
    default_score: float
    trial: int
    trials: int
    carried_out: int
    seconds: float
    legs: dict[str, float | None]
    flat: str | None = None

    def __fspath__(self) -> str:
        return fspath(Path(self.out) / "best.toml")


def tune(
    method: str,
    on: str | PathLike[str],
    out: str | PathLike[str],
    *,
    trials: int = 20,
    objective: Literal["editing", "unlearning"] | None = None,
    edits: int = 8,
    exposures: Sequence[int] | None = None,
    apart: str | PathLike[str] | None = None,
    rows: int = 1280,
    seed: int = 0,
    cache: str | PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: ProgressLike = None,
) -> Tuned:
    """Choose settings by the score of a suite, in trials that can be stopped and gone on with.

    Parameters
    ----------
    method : str
        Name of a method that says what there is to search (`Answers.searched`).
    on : path
        A finished training run; better of another world than those that are reported on.
    out : path
        Directory to write; a tuning that was stopped goes on, to the same trials.
    trials : int
        How many there are to be in all, the first of them the defaults.
    objective : {'editing', 'unlearning'}, optional
        Whose score decides (`behemoth.evaluate.suites.score`); by default by what the method's
        edits are judged by. For unlearning a twin without the plan's facts is trained first.
    edits : int
        Edits of the plan, all in one batch; of each level with `exposures`.
    exposures : sequence of int, optional
        Levels of exposures of the facts; any above 0 by default.
    apart : path, optional
        A plan that is reported on, where the run is one of those: the facts that it edits are
        neither edited nor asked nor held in place here. Its bystanders may be.
    rows : int
        Most rows of a mixture that an edit takes forward and backward, steps times rows a step:
        what would take more gets fewer steps.
    seed : int
        Key of the plan, of the search and of the methods' draws.
    cache : path, optional
        Where methods keep covariances; in `out` by default.
    device : optional
        A GPU where there is one by default.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Returns
    -------
    Tuned

    Raises
    ------
    ArgumentError
        For a method without anything to search, a plan that cannot be made, or a directory of
        something else.

    Examples
    --------
    >>> import behemoth as bh
    >>> tuned = bh.tune("ft_l", on="run", out="tuned", trials=2, edits=2, rows=16)
    >>> tuned.trials, tuned.score >= tuned.default_score
    (2, True)
    """
    chosen = get_method(method)
    searched = _searched(chosen)
    whole_number("trials", trials, 1)
    whole_number("rows", rows, 1)
    whole_number("seed", seed)
    if objective is None:
        objective = "unlearning" if chosen.info.forgets() else "editing"
    elif objective not in OBJECTIVES:
        raise ArgumentError.unknown("objective", objective, OBJECTIVES)
    with renamed(directory="on"):
        run = read_run(on)
    request = EditRequest(
        edits=edits,
        kind=_KINDS[objective],  # type: ignore[arg-type]
        exposures=None if exposures is None else tuple(exposures),
        distinct=False,
        repeats=8, same_object=4, same_relation=8, regular=16, probes=3, seed=seed,
    )  # fmt: skip
    if request.kind not in chosen.info.kinds:
        kinds = ", ".join(sorted(chosen.info.kinds))
        raise ArgumentError("objective", objective, f"one whose edits {method} makes: {kinds}")
    plan = _plan(run, request, apart)
    directory = TuningDirectory(path_of("out", out))
    with lock(_made(directory.path) / ".lock", wait=False) as ours:
        if not ours:
            raise ArgumentError("out", fspath(out), "a directory that no other process is in")
        directory.begin(
            {"method": method, "objective": objective, "spec_hash": run.corpus.spec_hash,
             "plan_hash": plan.plan_hash, "rows": rows, "seed": seed,
             "weights": run.weights_digest(), "settings": settings_of(chosen),
             "searched": {name: repr(one) for name, one in sorted(searched.items())}}
        )  # fmt: skip
        done = directory.tried()
        carried_out = 0
        if len(done) < trials:
            kept = directory.path / "cache" if cache is None else Path(cache)
            laboratory = _Laboratory.of(run, plan, objective, directory, kept, seed, device)
            with task(progress, "tuning", "trials") as step:
                while len(done) < trials:
                    settings = _next(chosen, searched, done, seed)
                    done.append(laboratory.carry_out(len(done), chosen, settings, rows))
                    directory.write(done[-1])
                    carried_out += 1
                    step(len(done), trials)
        best = directory.conclude(done, method, objective, rows)
    return Tuned(
        out=fspath(out),
        method=method,
        objective=objective,
        settings=best.settings,
        score=best.score,
        default_score=done[0].score,
        trial=best.number,
        trials=len(done),
        carried_out=carried_out,
        seconds=sum(trial.seconds for trial in done),
        legs=best.legs,
        flat=_flat(done),
    )


def _flat(done: Sequence[Tried]) -> str | None:
    """Why trials say nothing of their settings, where all have one score."""
    scores = {trial.score for trial in done}
    if len(scores) > 1 or (len(done) == 1 and scores != {0.0}):
        return None
    said = "one trial scores" if len(done) == 1 else f"all {len(done):,} trials score"
    said = f"{said} {done[0].score:.3f}"
    if scores != {0.0}:
        return said
    whole = [trial for trial in done if trial.failure is None]
    if not whole:
        return f"{said}, as every edit broke down: {done[0].failure}"
    nothing = [
        name
        for name in whole[0].legs
        if all(value is not None and value <= 0 for value in (each.legs[name] for each in whole))
    ]
    if nothing:
        legs = " and ".join(nothing)
        return f"{said}, as {legs} is 0 in each, and so is a harmonic mean with it"
    return f"{said}, as some leg is 0 in each, and so is a harmonic mean with it"


def _made(place: Path) -> Path:
    if in_the_way(place):
        raise ArgumentError("out", f"{fspath(place)}, a file", "a new or empty directory")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _searched(method: EditMethod) -> Searched:
    """What a method has to search."""
    found = answers(method).searched()
    if not found:
        raise ArgumentError(
            "method",
            method.info.name,
            f"one that says what of its settings to search (searched): {', '.join(_tunable())}",
        )
    for name in found:
        if name not in settings_of(method):
            raise ArgumentError(
                "method", f"{method.info.name}, which searches {name}", "its fields"
            )
    return found


def _tunable() -> list[str]:
    """The methods that say what to search."""
    found: list[str] = []
    for name in method_names():
        # One broken method of another package must not take the others away.
        with suppress(ImportError, AttributeError, TypeError, ValueError):
            if answers(get_method(name)).searched():
                found.append(name)
    return found


def _plan(run: Run, request: EditRequest, apart: str | PathLike[str] | None) -> EditPlan:
    """The plan that settings are tried on, without the facts of another one."""
    if apart is None:
        return compile_plan(run.corpus, request)
    with renamed(plan="apart"):
        other = EditPlan.of(apart)
        other.check(run.corpus)
    every = np.arange(run.corpus.world.num_facts, dtype=np.uint64)
    reported = other.edits["fact"]
    known = np.setdiff1d(every, reported.to_numpy())
    plan = compile_plan(run.corpus, request, known=known)
    # Neither edited, nor held in place, nor asked as bystanders.
    stays = ~pl.col("fact").is_in(reported.implode())
    return EditPlan(
        plan.request, plan.spec_hash, plan.edits, plan.training.filter(stays),
        plan.probes.filter(stays),
    )  # fmt: skip


def _next(
    method: EditMethod, searched: Searched, done: Sequence[Tried], seed: int
) -> dict[str, Any]:
    """What is tried next: first the defaults."""
    if not done:
        defaults = settings_of(method)
        return {name: defaults[name] for name in searched}
    past = [(trial.settings, trial.score) for trial in done]
    return suggested(searched, past, seed)


@dataclass
class _Laboratory:
    """What all trials share: the model, its plan, and the twin of unlearning."""

    run: Run
    plan: EditPlan
    objective: str
    model: PreTrainedModel
    twin: Bench | None
    context: EditContext

    @classmethod
    def of(
        cls,
        run: Run,
        plan: EditPlan,
        objective: str,
        directory: TuningDirectory,
        cache: Path,
        seed: int,
        device: torch.device | str | None,
    ) -> _Laboratory:
        """Load the model, and train the twin, or go on with it, where one is needed."""
        if not (directory.plan / "plan.toml").is_file():
            plan.save(directory.plan)
        twin = None
        if objective == "unlearning":
            facts = plan.edits["fact"].to_numpy()
            train(run.corpus.without(facts), out=directory.twin, config=run.config)
            beside = read_run(directory.twin).load_model(device)
            twin = Bench(run.directory, run, plan, {}, lambda: beside)  # asked the same
        context = EditContext(run.corpus, seed=seed, cache=cache, run=run.directory)
        return cls(run, plan, objective, run.load_model(device), twin, context)

    def carry_out(
        self, number: int, method: EditMethod, settings: Mapping[str, Any], rows: int
    ) -> Tried:
        """Make the plan's edits with some settings, and score them."""
        given = _below(replace(method, **settings), rows)  # type: ignore[type-var]
        own = {name: settings_of(given)[name] for name in settings}
        began = time.perf_counter()
        try:
            [delta] = given.apply(self.model, [self.plan], self.context)
            failure = delta.failure
        except ArgumentError as error:  # settings that do not go with this model
            delta, failure = None, str(error)
        seconds = time.perf_counter() - began
        if delta is None or failure is not None:
            return Tried(number, own, 0.0, {}, seconds, failure)
        model = self.model
        run = self.run
        bench = Bench(run.directory, run, self.plan, {None: delta}, lambda: model, None, self.twin)
        readings = _readings(self.objective, bench)
        if broken := [name for name, reading in readings.items() if not _is_finite(reading)]:
            return Tried(number, own, 0.0, {}, seconds, f"{broken[0]} is no number")
        score = score_of(self.objective, readings)
        if score is None:
            lacking = [
                leg.name
                for leg in LEGS[self.objective]
                if leg.needed and legs_of(self.objective, readings)[leg.name] is None
            ]
            raise ArgumentError(
                "on", fspath(run.directory), f"a run whose plan has a score ({lacking[0]})"
            )
        return Tried(number, own, score, legs_of(self.objective, readings), seconds)


def _below(method: EditMethod, rows: int) -> EditMethod:
    """The method with fewer steps, where its steps would take more rows than are allowed."""
    effort = answers(method).effort()
    most = max(1, rows // max(1, effort.rows))
    if effort.steps <= most or "steps" not in settings_of(method):
        return method
    return replace(method, steps=most)  # type: ignore[type-var]


def _is_finite(reading: Reading) -> bool:
    return all(value is None or math.isfinite(value) for value in (reading.value, reading.twin))


def _readings(objective: str, bench: Bench) -> dict[str, Reading]:
    """The measures that the score is made of."""
    wanted = {name for leg in LEGS[objective] for name in leg.measures}
    found: dict[str, Reading] = {}
    for measure in SUITES[objective].measures(bench):
        if measure.name not in wanted:
            continue
        try:
            value = measure.find(bench).value
            twin = None
            if measure.beside and bench.twin is not None:
                twin = measure.find(bench.twin).value
        except MissingError:
            continue
        found[measure.name] = Reading(value, twin)
    return found
