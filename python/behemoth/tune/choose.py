"""Choose the settings of a method by trials on a separate plan: `behemoth tune`.

Methods are comparable if each has the same budget: the same number of trials, on the same plans,
with the same maximum number of rows for its steps.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from behemoth.edit.cache import cache_place
from behemoth.edit.errors import MethodError
from behemoth.edit.guarded import apply_method
from behemoth.edit.protocol import EditContext, EditMethod, answers, settings_of
from behemoth.edit.registry import get_method
from behemoth.edit.search import Range, Searched
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.run import SUITES
from behemoth.evaluate.suites.score import OBJECTIVES, Reading, legs_of, score_of
from behemoth.evaluate.suites.suite import take_one
from behemoth.model.device import find_device, is_out_of_memory
from behemoth.support.checks import check_directory, path_of, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.locks import lock, refused
from behemoth.support.progress import ProgressLike, check_progress, task
from behemoth.support.text import error_text
from behemoth.train import train
from behemoth.train.errors import TrainError
from behemoth.train.run import read_run, world_id, world_seed

from .asked import Asked, searched_by, twin_config, untold
from .record import Tried, TuningDirectory
from .sampler import suggested

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


__all__ = ["Tuned", "tune"]


@dataclass(frozen=True)
class Tuned:
    """The result of `tune`; usable as a path, that of ``best.toml``.

    Attributes
    ----------
    out, method, objective : str
    settings : dict
        Chosen values of the searched settings.
    score, default_score : float
        Scores of the chosen settings, and of the method's default settings.
    default_steps : int, optional
        Number of steps that `default_score` was obtained with, if `rows` allowed fewer than the
        default.
    most_steps : int, optional
        Largest number of steps that `rows` allowed with these settings, if larger ones are in the
        search space; they were lowered to it.
    trial, trials : int
        Number of the trial with the chosen settings, and number of all trials.
    carried_out : int
        Number of trials made by this call.
    seconds : float
        Duration of all edits of all trials.
    legs : dict of str to float or None
        The values whose harmonic mean is the score of these settings; empty if the edit failed.
    flat : str, optional
        If all trials have the same score, so that there was nothing to choose by: the reason.
    """

    out: str
    method: str
    objective: str
    settings: dict[str, Any]
    score: float
    default_score: float
    default_steps: int | None
    most_steps: int | None
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
    objective: Literal["editing", "editing-locality", "unlearning"] | None = None,
    edits: int = 8,
    exposures: Sequence[int] | None = None,
    apart: str | PathLike[str] | None = None,
    twin: str | PathLike[str] | None = None,
    rows: int = 1280,
    seed: int = 0,
    plan_seed: int | None = None,
    cache: str | PathLike[str] | None = None,
    device: torch.device | str | None = None,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Tuned:
    """Choose settings by the score of a suite; an interrupted tuning resumes.

    Parameters
    ----------
    method : str
        Name of a method that has a search space (`Answers.searched`).
    on : path
        A finished training run, preferably of another world than the runs in reported results.
    out : path
        Directory to write; an interrupted tuning resumes with the same trials.
    trials : int
        Total number of trials, of which the first has the default settings, with fewer steps if
        `rows` requires it.
    objective : {'editing', 'editing-locality', 'unlearning'}, optional
        Score that is maximised (`behemoth.evaluate.suites.score`); by default that of the suite for
        the method's goal. ``editing-locality`` also counts what the edit's bystanders keep. For
        unlearning a twin without the plan's facts is trained first.
    edits : int
        Number of edits in the plan, all in one batch; with `exposures`, of each level.
    exposures : sequence of int, optional
        Levels of exposures of the facts; by default any above 0.
    apart : path, optional
        A plan with reported results on the same run: the facts that it edits are excluded here
        from edits, retain rows and probes. Its bystanders are not excluded.
    twin : path, optional
        For unlearning, a finished run on the corpus of `on` without the facts that the plan edits,
        such as ``twin`` of another tuning with the same plan; by default one is trained in `out`.
    rows : int
        Maximum number of rows of a mixture that an edit passes forward and backward (steps times
        rows per step); the number of steps is lowered to that.
    seed : int
        Seed of the search and of the methods' draws.
    plan_seed : int, optional
        Seed of the plan; by default `seed`. With it, tunings that differ in `seed` search on the
        same edits.
    cache : path, optional
        Directory in which methods keep covariances; by default in `out`.
    device : optional
        Device of the models, and of the training of a twin; by default a GPU if one is available,
        and for a twin that of the run's configuration.
    memory : int, optional
        Bytes of CPU memory that may be used in addition to what the process already uses: fewer
        rows go through a pass to fit, and a tuning that does not fit even so is refused beforehand.
        By default the free memory of the machine or the container.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    Tuned

    Raises
    ------
    ArgumentError
        For a method without a search space, a plan that cannot be compiled, a twin of another
        corpus or size or without other facts, a run whose own twin would begin from a changed model
        or from one that has read the plan's facts, a directory with something else, or a cache in a
        file.
    CorpusError
        If another process is tuning in `out`.

    Examples
    --------
    >>> import behemoth as bh
    >>> tuned = bh.tune("ft_l", on="run", out="tuned", trials=2, edits=2, rows=16)
    >>> tuned.trials, tuned.score >= tuned.default_score
    (2, True)
    """
    searched_by(get_method(method))
    check_progress(progress)
    trials = whole_number("trials", trials, 1)
    rows = whole_number("rows", rows, 1)
    seed = whole_number("seed", seed)
    plan_seed = seed if plan_seed is None else whole_number("plan_seed", plan_seed)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    if device is not None:
        find_device(device)
    asked = Asked.of(method, on, objective, edits, exposures, apart, twin, rows, seed, plan_seed)
    directory = TuningDirectory(path_of("out", out))
    directory.check()  # before anything is written
    kept = directory.path / "cache" if cache is None else cache_place(cache)
    batch_size = None
    if len(directory.tried()) < trials:
        batch_size = asked.fitting(directory, device, memory)
    file = _made(directory.path) / ".lock"
    with refused(lock(file, wait=False), file, f"tuning in {fspath(out)}"):
        directory.begin(asked.record())
        done = directory.tried()
        carried_out = 0
        if len(done) < trials:
            laboratory = _Laboratory.of(asked, directory, kept, device, memory, batch_size)
            directory.reopen()
            with task(progress, "tuning", "trials") as step:
                while len(done) < trials:
                    done.append(laboratory.carry_out(len(done), _next(asked, done)))
                    directory.write(done[-1])
                    carried_out += 1
                    step(len(done), trials)
        return _conclude(asked, fspath(out), directory, done, carried_out)


def _conclude(
    asked: Asked, out: str, directory: TuningDirectory, done: Sequence[Tried], carried_out: int
) -> Tuned:
    """Write the best of the trials, and return it."""
    lowered = getattr(_below(asked.method, asked.rows), "steps", None)
    default_steps = None if lowered == getattr(asked.method, "steps", None) else lowered
    corpus = asked.run.corpus
    best = directory.conclude(
        done, asked.name, asked.objective, asked.rows, default_steps=default_steps,
        origin={"spec_hash": corpus.spec_hash, "world_id": world_id(corpus),
                "world_seed": world_seed(corpus), "plan_hash": asked.plan.plan_hash},
    )  # fmt: skip
    return Tuned(
        out=out,
        method=asked.name,
        objective=asked.objective,
        settings=best.settings,
        score=best.score,
        default_score=done[0].score,
        default_steps=default_steps,
        most_steps=_lowered_to(asked, best.settings),
        trial=best.number,
        trials=len(done),
        carried_out=carried_out,
        seconds=sum(trial.seconds for trial in done),
        legs=best.legs,
        flat=_why_undecided(done),
    )


def _why_undecided(done: Sequence[Tried]) -> str | None:
    """Return why trials do not distinguish settings, if all have one score, else None."""
    scores = {trial.score for trial in done}
    if len(scores) > 1 or (len(done) == 1 and scores != {0.0}):
        return None
    said = "one trial scores" if len(done) == 1 else f"all {len(done):,} trials score"
    said = f"{said} {done[0].score:.3f}"
    if scores != {0.0}:
        return said
    whole = [trial for trial in done if trial.failure is None]
    if not whole:
        return f"{said}, because every trial failed: {done[0].failure}"
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
    check_directory("out", place)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _next(asked: Asked, done: Sequence[Tried]) -> dict[str, Any]:
    """Return the settings to try next: first the defaults."""
    if not done:
        defaults = settings_of(asked.method)
        return {name: defaults[name] for name in asked.searched}
    past = [(_as_searched(trial.settings, asked.searched), trial.score) for trial in done]
    return suggested(asked.searched, past, asked.seed)


def _as_searched(settings: Mapping[str, Any], searched: Searched) -> Mapping[str, Any]:
    """Return the settings of a trial with steps of the search space.

    If `rows` allows fewer steps than the search space has, any number of these is lowered to the
    same one, and a search that saw that one would leave the trial out. The range itself stays: its
    upper end decides what is suggested, also where `rows` lowers only the largest numbers.
    """
    steps, one = settings.get("steps"), searched.get("steps")
    if isinstance(one, Range) and isinstance(steps, int) and steps < one.low:
        return {**settings, "steps": one.low}
    return settings


@dataclass
class _Laboratory:
    """What all trials share: the model, its plan, and for unlearning the twin.

    The model is None after a trial that ended with an error, which may have left it changed.
    """

    asked: Asked
    device: torch.device | str | None
    model: PreTrainedModel | None
    twin: MeasuredModel | None
    context: EditContext
    batch_size: int | None

    @classmethod
    def of(
        cls,
        asked: Asked,
        directory: TuningDirectory,
        cache: Path,
        device: torch.device | str | None,
        memory: int | None,
        batch_size: int | None,
    ) -> _Laboratory:
        """Load the models; if a twin is needed and none is given, train it or resume that."""
        run, plan, twin = asked.run, asked.plan, asked.twin
        if not (directory.plan / "plan.toml").is_file():
            plan.save(directory.plan)
        measured = None
        if asked.objective == "unlearning":
            if twin is None:
                config = twin_config(run, directory.twin, device)
                train(untold(run, plan), out=directory.twin, config=config, memory=memory)
                twin = read_run(directory.twin)
            beside = twin.load_model(device)
            measured = MeasuredModel(  # with the same probes
                run.directory, run, plan, {}, lambda: beside, batch_size=batch_size, in_trial=True
            )
        context = EditContext(run.corpus, seed=asked.seed, cache=cache, run=run.directory)
        return cls(asked, device, run.load_model(device), measured, context, batch_size)

    def carry_out(self, number: int, settings: Mapping[str, Any]) -> Tried:
        """Make the plan's edits with some settings, and score them."""
        asked = self.asked
        try:
            given = _below(replace(asked.method, **settings), asked.rows)  # type: ignore[type-var]
        except ValueError as error:  # a combination that the method refuses
            return Tried(number, dict(settings), 0.0, {}, 0.0, str(error))
        own = {name: settings_of(given)[name] for name in settings}
        model = self._loaded()
        run, objective, readings = asked.run, asked.objective, dict[str, Reading]()
        began, ended = time.perf_counter(), None
        try:
            [delta] = apply_method(given, model, [asked.plan], self.context)
            ended, failure = time.perf_counter(), delta.failure
            if failure is None:
                measured = MeasuredModel(
                    run.directory, run, asked.plan, {None: delta}, lambda: model, None, self.twin,
                    batch_size=self.batch_size, in_trial=True,
                )  # fmt: skip
                readings = _readings(objective, measured)
        except Exception as error:
            # An evaluation may run out of memory; what else it refuses, no settings change.
            if ended is not None and not is_out_of_memory(error):
                raise
            failure, self.model = _why_failed(error), None
        seconds = (time.perf_counter() if ended is None else ended) - began
        if failure is not None:
            return Tried(number, own, 0.0, {}, seconds, failure)
        if broken := [name for name, reading in readings.items() if not _is_finite(reading)]:
            return Tried(number, own, 0.0, {}, seconds, f"{broken[0]} is no number")
        score, legs = score_of(objective, readings), legs_of(objective, readings)
        # Without a leg that sets it apart, another objective than this one would be tuned for.
        lacking = [name for name in OBJECTIVES[objective].essential if legs[name] is None]
        if score is None or lacking:
            raise ArgumentError(
                "on", fspath(run.directory), f"a run whose plan has a score ({lacking[0]})"
            )
        return Tried(number, own, score, legs, seconds)

    def _loaded(self) -> PreTrainedModel:
        """Return the model, read again after an error."""
        if self.model is None:
            gc.collect()  # what the method kept
            self.model = self.asked.run.load_model(self.device)
        return self.model


def _why_failed(error: Exception) -> str:
    """Return why a trial failed that ended with an error; raise an error of a file or a package.

    Settings are a function of the trials before, so a trial without a record would end every
    resumption. A study fails such a trial and goes on, too, also if memory ran out.
    """
    if isinstance(error, ArgumentError | MethodError | TrainError):
        return str(error)
    if is_out_of_memory(error):
        return error_text(error)
    raise error


def _below(method: EditMethod, rows: int) -> EditMethod:
    """Return the method, with fewer steps if its steps would need more rows than allowed."""
    most = _most_steps(method, rows)
    if answers(method).effort().steps <= most or "steps" not in settings_of(method):
        return method
    return replace(method, steps=most)  # type: ignore[type-var]


def _most_steps(method: EditMethod, rows: int) -> int:
    """Return the number of a method's steps that do not need more rows than allowed, at least 1."""
    return max(1, rows // max(1, answers(method).effort().rows))


def _lowered_to(asked: Asked, settings: Mapping[str, Any]) -> int | None:
    """Return how many steps `rows` allows with the settings of a trial, if more are searched."""
    one = asked.searched.get("steps")
    if one is None:
        return None
    most = _most_steps(replace(asked.method, **settings), asked.rows)  # type: ignore[type-var]
    searched = (one.high,) if isinstance(one, Range) else one.values
    more = any(isinstance(value, int | float) and value > most for value in searched)
    return most if more else None


def _is_finite(reading: Reading) -> bool:
    return all(value is None or math.isfinite(value) for value in (reading.value, reading.twin))


def _readings(objective: str, measured: MeasuredModel) -> dict[str, Reading]:
    """Return the readings of the measures that the score is made of."""
    wanted = {name for leg in OBJECTIVES[objective].legs for name in leg.measures}
    found: dict[str, Reading] = {}
    for measure in SUITES[OBJECTIVES[objective].suite].measures(measured):
        if measure.name not in wanted:
            continue
        taken = take_one(measure, measured)
        if taken.found is not None:
            found[measure.name] = Reading(taken.found.value, taken.twin)
    return found
