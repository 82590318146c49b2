"""Run a study: every model once, every trial once, in any order, on any engine, killed or not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

from behemoth._gen import FORMAT_VERSION
from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.file.expand import Expansion
from behemoth.study.file.spec import Study, read_study
from behemoth.study.records import FOREIGN, StudyRecord, TrialRow
from behemoth.study.results import Failure, Results
from behemoth.study.saturation import facts_per_object, load_of
from behemoth.support.checks import is_url, path_of
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.locks import holder, lock
from behemoth.support.progress import ProgressLike

from .cost import START, Estimator
from .engine import Engine
from .schedule import Status, Work

__all__ = ["Estimate", "Status", "StudyResult", "estimate", "run_study"]

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class StudyResult:
    """What `run_study` did.

    Attributes
    ----------
    out, name : str
    models, trials : int
        How many there are.
    done, failed : int
        Trials that have results, and that have none.
    trained, carried_out : int
        Models and trials of this run.
    failures : list of Failure
    seconds : float
        Of this run.
    working_seconds : float
        Of this run's workers together, in training and trials.
    """

    out: str
    name: str
    models: int
    trials: int
    done: int
    failed: int
    trained: int
    carried_out: int
    failures: list[Failure]
    seconds: float
    working_seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a study would do, as ``--dry-run`` tells.

    Attributes
    ----------
    name, question : str
    models, plans, trials : int
        How many there are; a model and a plan are shared by all trials on them.
    models_done, trials_done : int
        How many of them are finished already.
    tokens : int
        To train on, for models that are missing.
    edits : int
        Of trials that are missing.
    steps : int
        Edits times steps, of those.
    seconds : float
        Estimated, of all workers together.
    workers : int
    labels : dict of str to int
        Trials by method.
    facts : list of int
        Of the worlds, each number once.
    loads, facts_per_object : list of float
        Of the models, each once: bits of the world by 2 bits a parameter, and facts by objects.
    """

    name: str
    question: str
    models: int
    plans: int
    trials: int
    models_done: int
    trials_done: int
    tokens: int
    edits: int
    steps: int
    seconds: float
    workers: int
    labels: dict[str, int]
    facts: list[int]
    loads: list[float]
    facts_per_object: list[float]


def study(
    source: Study | str | PathLike[str],
    *,
    out: str | PathLike[str],
    size: str | None = None,
    methods: Sequence[str] | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
    progress: ProgressLike = None,
) -> Results:
    """Run a study, or go on with one, and give what it has found as frames.

    Parameters
    ----------
    source : Study, path or str
        A study, the file of one (TOML), or the name of a preset.
    out : path
        Its directory, or the URL of one in a store.
    size : {'smoke', 'quick', 'desk', 'paper'}, optional
        Of a preset; smoke by default.
    methods : sequence of str, optional
        Names of some of its methods, for the study that has these alone; all by default.
    engine, workers, threads, part, progress
        As of `run_study`, whose errors are those of this.

    Returns
    -------
    Results
        What `behemoth.load` of the directory gives, too; `Results.failures` has what failed.

    Examples
    --------
    >>> import behemoth as bh
    >>> results = bh.study("study.toml", out="study")
    >>> results
    Results('study', tiny: 1 of 1 trials done)
    >>> results.edits.select("edit").collect().height
    2
    """
    definition = source if isinstance(source, Study) else read_study(source, size)
    definition = definition if methods is None else definition.with_methods(methods)
    result = run_study(
        definition,
        out,
        engine=engine,
        workers=workers,
        threads=threads,
        part=part,
        progress=progress,
    )
    return Results.open(result.out)


def run_study(
    study: Study | str | PathLike[str],
    out: str | PathLike[str],
    *,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
    progress: ProgressLike = None,
) -> StudyResult:
    """Run a study, or go on with one: what is finished is not done again.

    Parameters
    ----------
    study : Study, path or str
        A study, the file of one, or the name of a preset.
    out : path
        Its directory, or the URL of one in a store: what is finished is sent there every half a
        minute, and what is there is gone on with. A study may change between runs: what it no
        longer has stays there and is no part of its results.
    engine : {'local', 'ray'}
        Processes on this machine, or tasks of a Ray cluster.
    workers : int, optional
        Units at once; by default one a GPU, or where there is none one for `threads` cores.
    threads : int, optional
        CPU threads of a worker. Weights depend on it; 1 by default, or what the study was
        begun with.
    part : (int, int)
        ``(i, n)`` carries out part i of n, from 0: every n-th model and the trials on it. Parts may
        share a directory, all at once and in any order; those in directories of several machines
        are put together by `merge_studies`. A run of no part does what is still missing.
    progress : callable or Progress, optional
        Who looks on, a few times a second: models, and trials, whose details are a `Status`.

    Returns
    -------
    StudyResult

    Raises
    ------
    ArgumentError
        When the study makes no sense, or `out` holds something else.
    StudyError
        When another process is running it, or no worker starts.

    Notes
    -----
    A unit that fails is recorded with its reason, the others go on, and the next run tries it
    again. After Ctrl-C (KeyboardInterrupt) the workers are stopped.
    """
    with renamed(source="study"):
        definition = study if isinstance(study, Study) else read_study(study)
    _check(engine, workers, threads)
    if not (part[1] >= 1 and 0 <= part[0] < part[1]):
        raise ArgumentError("part", part, "(i, n) with i from 0 up to n - 1")
    if is_url(out):
        return _run_in_store(definition, str(out), engine, workers, threads, part, progress)
    directory = StudyDirectory(path_of("out", out))
    directory.check(definition.name)
    threads, definition = _threads(directory, threads), _in_its_version(directory, definition)
    expansion = definition.expand(threads)
    directory.path.mkdir(parents=True, exist_ok=True)
    # Parts share a directory; what two of them come to is done by one, and the other waits.
    with lock(directory.path / ".lock", shared=part[1] > 1, wait=False) as ours:
        if not ours:
            raise StudyError(
                f"another process is running the study in {fspath(out)}: "
                f"{holder(directory.path / '.lock')}"
            )
        directory.begin(
            definition.text, _about(definition, expansion, threads, _foreign(directory, expansion))
        )
        began = time.perf_counter()
        work = Work(directory, expansion.part(*part), progress)
        if work.models or work.trials:
            with_engine = _engine(engine, directory.path, workers, threads, work, part)
            try:
                work.carry_out(with_engine)
            finally:
                with_engine.close()
        results = Results.open(directory.path)
        return StudyResult(
            out=fspath(out),
            name=definition.name,
            models=len(expansion.models),
            trials=len(expansion.trials),
            done=len(results.done),
            failed=len(results.failures),
            trained=work.trained,
            carried_out=work.carried_out,
            failures=results.failures,
            seconds=time.perf_counter() - began,
            working_seconds=work.working,
        )


def _run_in_store(
    study: Study,
    url: str,
    engine: Literal["local", "ray"],
    workers: int | None,
    threads: int | None,
    part: tuple[int, int],
    progress: ProgressLike,
) -> StudyResult:
    from behemoth.store.staged import study_in_store

    if engine != "local":
        raise ArgumentError("engine", engine, "local with a store: others do not see its stage")
    if part != (0, 1):
        allowed = "not with a store, which has no locks; merge_studies merges directories"
        raise ArgumentError("part", part, allowed)
    with study_in_store("out", url, study.name, progress=progress) as stage:
        result = run_study(study, stage, workers=workers, threads=threads, progress=progress)
    return replace(result, out=url)


def estimate(
    study: Study,
    out: str | PathLike[str] | None = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
) -> Estimate:
    """Say what `run_study` would do, without doing it.

    Parameters
    ----------
    study : Study
    out, workers, threads
        As of `run_study`; without `out` nothing counts as finished.
    """
    from behemoth.support.provenance import cores

    from .local import gpus

    _check("local", workers, threads)
    directory = StudyDirectory("/nonexistent" if out is None else out)
    if out is not None:
        directory.check(study.name)
    threads, study = _threads(directory, threads), _in_its_version(directory, study)
    expansion = study.expand(threads)
    work = Work(directory, expansion, None)
    devices = gpus()
    costs = Estimator(gpu=devices > 0)
    units = [*work.models, *work.trials]
    models = [costs.model(unit) for unit in work.models.values()]
    trials = [costs.trial(unit, expansion.models[unit.model]) for unit in work.trials.values()]
    labels: dict[str, int] = {}
    for trial in expansion.trials:
        labels[trial.choice.label] = labels.get(trial.choice.label, 0) + 1
    worlds = [(costs.corpus(unit), unit.config.size) for unit in expansion.models.values()]
    count = workers or devices or max(1, cores() // threads)
    return Estimate(
        name=study.name,
        question=study.question,
        models=len(expansion.models),
        plans=len(expansion.plans),
        trials=len(expansion.trials),
        models_done=len(expansion.models) - len(work.models),
        trials_done=len(expansion.trials) - len(work.trials),
        tokens=sum(cost.tokens for cost in models),
        edits=sum(cost.edits for cost in trials),
        steps=sum(cost.edits * cost.steps for cost in trials),
        seconds=sum(cost.seconds for cost in [*models, *trials]) / count + START * bool(units),
        workers=count,
        labels=labels,
        facts=sorted({corpus.world.num_facts for corpus, _ in worlds}),
        loads=sorted({round(load_of(corpus, size), 4) for corpus, size in worlds}),
        facts_per_object=sorted({round(facts_per_object(corpus.world), 2) for corpus, _ in worlds}),
    )


def _check(engine: str, workers: int | None, threads: int | None) -> None:
    if engine not in ENGINES:
        raise ArgumentError.unknown("engine", engine, ENGINES)
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ArgumentError(name, value, "1 or more")


def _threads(directory: StudyDirectory, threads: int | None) -> int:
    if threads is not None:
        return threads
    if (directory.path / "study.json").is_file():
        return directory.read().threads
    return 1


def _in_its_version(directory: StudyDirectory, study: Study) -> Study:
    """Give the study in the format version that it was begun in, unless it names one."""
    if study.format_version is not None:
        return study
    begun = (directory.path / "study.json").is_file()
    version = directory.read().corpus_version if begun else FORMAT_VERSION
    return replace(study, format_version=version)


def _engine(
    name: str,
    path: Path,
    workers: int | None,
    threads: int,
    work: Work,
    part: tuple[int, int],
) -> Engine:
    if name == "ray":
        from .ray import RayEngine

        return RayEngine(path, workers, threads)
    from behemoth.support.provenance import cores

    from .local import LocalEngine, gpus

    devices = gpus()
    count = workers or devices or max(1, cores() // threads)
    count = min(count, max(len(work.models), len(work.trials)))
    return LocalEngine(path, count, threads, devices, alone=part[1] == 1)


def _foreign(directory: StudyDirectory, expansion: Expansion) -> list[TrialRow]:
    """Trials of other tools that a study has, of models and plans that it still comes to."""
    if not (directory.path / "study.json").is_file():
        return []
    pairs = {(trial.model, trial.plan.id) for trial in expansion.trials}
    return [
        row
        for row in directory.read().trials
        if row.family == FOREIGN and (row.model, row.plan) in pairs
    ]


def _about(
    study: Study, expansion: Expansion, threads: int, foreign: Sequence[TrialRow]
) -> StudyRecord:
    """What ``study.json`` says."""
    return StudyRecord(
        name=study.name,
        question=study.question,
        primary=asdict(study.primary),
        threads=threads,
        corpus_version=study.format_version or FORMAT_VERSION,
        methods=tuple(choice.to_dict() for choice in study.methods),
        points=study.points,
        models=tuple(unit.to_dict() for unit in expansion.models.values()),
        trials=(*(unit.row() for unit in expansion.trials), *foreign),
    )
