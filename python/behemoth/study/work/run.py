"""Run or resume a study: every model and trial once, in any order, on any engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.spec import Study, read_study
from behemoth.study.results import Failure, Results
from behemoth.study.started import start_text, twins_from
from behemoth.study.tuned import tuned_here, tuned_text
from behemoth.support.checks import flag, is_url, path_of
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.progress import ProgressLike, check_progress

from .engine import Engine
from .memory_budget import Shares
from .prepare import check_run, divided_memory, expanded
from .record import record_of
from .schedule import Status, Work

__all__ = ["Status", "StudyResult", "run_study", "study"]


@dataclass(frozen=True)
class StudyResult:
    """Outcome of `run_study`.

    Attributes
    ----------
    out, name : str
    models, trials : int
        Number of models and trials of the study.
    models_done : int
        Number of models that are trained, in this run or before.
    done, failed : int
        Number of trials with results, and of trials that failed, in this run or before.
    trained, carried_out : int
        Number of models trained and trials carried out in this run.
    done_before : int
        Number of trials of the study that were done before this run.
    failures : list of Failure
        The trials that failed. Models of other tools (`add_model`) are neither done nor failed
        trials of the study.
    seconds : float
        Duration of this run.
    working_seconds : float
        Total time that the workers of this run spent on training and trials.
    tuned_here : list of str
        Labels of the methods that were tuned on a world of the study, or on one of the same seed:
        see `behemoth.study.tuned`.
    """

    out: str
    name: str
    models: int
    trials: int
    models_done: int
    done: int
    failed: int
    trained: int
    carried_out: int
    done_before: int
    failures: list[Failure]
    seconds: float
    working_seconds: float
    tuned_here: list[str]

    def __fspath__(self) -> str:
        return self.out


def study(
    source: Study | Mapping[str, Any] | str | PathLike[str],
    *,
    out: str | PathLike[str],
    size: str | None = None,
    methods: Sequence[str] | None = None,
    tuned: bool = False,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Results:
    """Run or resume a study and return its results as frames.

    Parameters
    ----------
    source : Study, mapping, path or str
        A study, the tables of its file (`Study.from_dict`), a study file (TOML), or the name of a
        preset.
    out : path
        Directory of the study, or its URL in a store; with `part`, a directory.
    size : {'smoke', 'quick', 'desk', 'paper'}, optional
        Size of a preset, where `source` is the name of one; smoke by default.
    methods : sequence of str, optional
        Names of the methods to restrict the study to; all by default.
    tuned : bool
        Give all methods that have them their tuned settings (`Study.with_tuned`).
    engine, workers, threads, part, memory, progress
        See `run_study`, which also lists the errors raised.

    Returns
    -------
    Results
        The same as `behemoth.load` returns for the directory; failed trials are listed in
        `Results.failures`.

    Examples
    --------
    >>> import behemoth as bh
    >>> results = bh.study("study.toml", out="study")
    >>> results
    Results('study', tiny: 1 of 1 trials done)
    >>> results.edits.select("edit").collect().height
    2
    """
    if is_url(out) and part != (0, 1):  # other parts may be at work there
        allowed = (
            "none with a URL, where run_study runs a part, and load reads what was united last"
        )
        raise ArgumentError("part", part, allowed)
    if isinstance(source, Mapping):
        source = Study.from_dict(source)
    if isinstance(source, Study) and size is not None:
        raise ArgumentError("size", size, "a size only with the name of a preset")
    if not isinstance(source, Study):
        definition = read_study(source, size, methods)
    else:
        definition = source if methods is None else source.with_methods(methods)
    definition = definition.with_tuned() if flag("tuned", tuned) else definition
    result = run_study(
        definition,
        out,
        engine=engine,
        workers=workers,
        threads=threads,
        part=part,
        memory=memory,
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
    memory: int | None = None,
    progress: ProgressLike = None,
) -> StudyResult:
    """Run or resume a study; finished units are not carried out again.

    Parameters
    ----------
    study : Study, path or str
        A study, a study file, or the name of a preset.
    out : path
        Directory of the study, or its URL in a store: finished units are sent to the store every
        half a minute, and a study found there is resumed. A study may change between runs; units
        it no longer contains stay in the directory but are excluded from its results.
    engine : {'local', 'ray'}
        Processes on this machine, or tasks of a Ray cluster.
    workers : int, optional
        Number of units at a time; by default one per GPU, or one per `threads` cores without GPUs,
        and fewer if so many do not fit into memory.
    threads : int, optional
        CPU threads per worker, on which weights depend; by default the number that the study was
        started with, or 1.
    part : (int, int)
        ``(i, n)`` carries out part i of n, from 0: every n-th model and the trials on it. Parts may
        share a directory or a URL, at the same time and in any order; directories of several
        machines are merged by `merge_studies`. A run without a part carries out all units that are
        missing. At a URL, the result of a part counts only its own trials as done.
    memory : int, optional
        Bytes of CPU memory that all workers together may take, divided equally among them: fewer
        single edits are made at a time, and fewer rows go through a pass, to fit. A study with a
        unit that does not fit even so is refused before anything is written. By default the free
        memory of the machine or the container. Only for the local engine: tasks of a Ray cluster
        see what their node has free when they begin.
    progress : callable or Progress, optional
        Called a few times a second for models and for trials, the latter with a `Status`.

    Returns
    -------
    StudyResult

    Raises
    ------
    ArgumentError
        If the study is invalid, or `out` contains something else.
    StudyError
        If another process is running the study, or no worker starts.

    Notes
    -----
    A unit that fails is recorded with its reason, the other units continue, and the next run tries
    it again. After Ctrl-C (KeyboardInterrupt) the workers are stopped. Methods that were tuned on a
    world of the study are logged as a warning before the first unit begins.
    """
    with renamed(source="study"):
        definition = study if isinstance(study, Study) else read_study(study)
    check_run(engine, workers, threads, part, memory)
    check_progress(progress)
    if is_url(out):
        return _run_in_store(definition, str(out), engine, workers, threads, part, memory, progress)
    from .local import wait_for_workers

    directory = StudyDirectory(path_of("out", out))
    definition, expansion, threads = expanded(definition, directory, threads)
    new = not directory.path.exists()
    directory.path.mkdir(parents=True, exist_ok=True)
    # Parts share a directory; a unit of two parts is carried out by one, and the other waits.
    with directory.locked(f"running the study in {fspath(out)}", shared=part[1] > 1):
        if engine == "local" and part[1] == 1:
            wait_for_workers(directory.path)  # they still hold memory
        work = Work(directory, expansion.part(*part), progress)
        left = bool(work.models or work.trials)  # a finished study does without torch
        try:  # before anything is written: a study that does not fit into memory is refused
            divided = left and engine == "local"
            shares = divided_memory(work, workers, threads, memory) if divided else None
        except ArgumentError:
            if new and part[1] == 1:
                for name in (".lock", ".workers.lock"):
                    (directory.path / name).unlink(missing_ok=True)
                directory.path.rmdir()
            raise
        with nullcontext() if part[1] == 1 else directory.beginning():
            directory.check(definition.name)  # another study may have begun here meanwhile
            directory.begin(definition.text, record_of(definition, expansion, threads, directory))
        if tuned := tuned_here(expansion):
            logging.getLogger(__name__).warning("%s", tuned_text(tuned))
        if (start := twins_from(expansion)) is not None:
            logging.getLogger(__name__).warning("%s", start_text(start))
        ready = (trial.id for trial in expansion.trials if trial.id not in work.trials)
        before = sum(work.is_done("trial", name) for name in ready)  # of all parts
        began = time.perf_counter()
        if left:
            with_engine = _engine(engine, directory.path, workers, threads, shares)
            try:
                work.carry_out(with_engine)
            finally:
                with_engine.close()
        results = Results.open(directory.path)
        own = {trial.id for trial in expansion.trials}  # without those of other tools
        failures = [each for each in results.failures if each.trial in own]
        return StudyResult(
            out=fspath(out),
            name=definition.name,
            models=len(expansion.models),
            trials=len(expansion.trials),
            models_done=sum(work.is_done("model", name) for name in expansion.models),
            done=len(own.intersection(results.done)),
            failed=len(failures),
            trained=work.trained,
            carried_out=work.carried_out,
            done_before=before,
            failures=failures,
            seconds=time.perf_counter() - began,
            working_seconds=work.working,
            tuned_here=tuned,
        )


def _run_in_store(
    study: Study,
    url: str,
    engine: Literal["local", "ray"],
    workers: int | None,
    threads: int | None,
    part: tuple[int, int],
    memory: int | None,
    progress: ProgressLike,
) -> StudyResult:
    from behemoth.store.parts import part_in_store
    from behemoth.store.staged import study_in_store

    if engine != "local":
        allowed = "local with a store; ray needs a directory that all nodes share, which push sends"
        raise ArgumentError("engine", engine, allowed)
    if part == (0, 1):
        with study_in_store(url, study.name, progress=progress) as stage:
            result = run_study(
                study, stage, workers=workers, threads=threads, memory=memory, progress=progress
            )
        return replace(result, out=url)
    with part_in_store(url, study.name, part, progress=progress) as staged:
        directory = StudyDirectory(staged.path)
        study, expansion, threads = expanded(study, directory, threads)
        # Before the store knows of the part, which others would then take for one at work.
        divided_memory(Work(directory, expansion.part(*part), None), workers, threads, memory)
        directory.begin(study.text, record_of(study, expansion, threads, directory))
        staged.begin(*expansion.units_of(*part))
        result = run_study(
            study,
            staged.path,
            workers=workers,
            threads=threads,
            part=part,
            memory=memory,
            progress=progress,
        )
    return replace(result, out=url)


def _engine(
    name: str,
    path: Path,
    workers: int | None,
    threads: int,
    shares: Shares | None,
) -> Engine:
    if name == "ray" or shares is None:
        from .ray import RayEngine

        return RayEngine(path, workers, threads)
    from .local import LocalEngine, gpus

    return LocalEngine(path, shares.workers, threads, gpus(), memory=shares.unit_bytes)
