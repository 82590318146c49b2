"""What a run of a study and its estimate have in common, before any unit begins."""

from __future__ import annotations

from dataclasses import replace

from behemoth._gen import FORMAT_VERSION
from behemoth.edit.parametrise import check_layers
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.expand import Expansion
from behemoth.study.file.spec import Study
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.study.file.with_settings import with_settings
from behemoth.support.checks import part_of, whole_number
from behemoth.support.errors import ArgumentError

from .cost import on_gpu
from .engine import check_sizes
from .memory_budget import Shares, shares_of
from .schedule import Work

__all__ = ["check_run", "divided_memory", "expanded"]

ENGINES = ("local", "ray")


def check_run(
    engine: str,
    workers: int | None,
    threads: int | None,
    part: tuple[int, int],
    memory: int | None,
) -> None:
    """Check the arguments of `run_study` that no study decides.

    Raises
    ------
    ArgumentError
        If one is not allowed, or `memory` is given with the engine "ray".
    """
    part_of(part)
    if engine not in ENGINES:
        raise ArgumentError.unknown("engine", engine, ENGINES)
    check_sizes(workers, threads)
    if memory is not None:
        whole_number("memory", memory, 1)
        if engine != "local":
            allowed = "only with the local engine: tasks of a cluster see what their node has free"
            raise ArgumentError("memory", memory, allowed)


def expanded(
    study: Study, directory: StudyDirectory | None, threads: int | None
) -> tuple[Study, Expansion, int]:
    """Return a study in the version and with the threads that its directory was started with.

    Its text has the settings of files written into it, as its directory keeps it.
    """
    begun = None
    if directory is not None:
        directory.check(study.name)
        begun = directory.begun()
    if threads is None:
        threads = 1 if begun is None else begun.threads
    if study.format_version is None:  # the file of the study may name one
        version = FORMAT_VERSION if begun is None else begun.corpus_version
        study = replace(study, format_version=version)
    study = replace(study, text=with_settings(study.text, study.directory))
    expansion = study.expand(threads)
    if begun is None:
        _check_layers(expansion)
    return study, expansion, threads


def _check_layers(expansion: Expansion) -> None:
    """Refuse layers that no model of the study has, after they would have been trained.

    In a grid of sizes, trials of the smaller ones may fail for that reason.
    """
    models: dict[str, list[tuple[TrialUnit, ModelUnit]]] = {}
    for trial in expansion.trials:
        models.setdefault(trial.choice.label, []).append((trial, expansion.models[trial.model]))
    for tried in models.values():
        refusals: list[ArgumentError] = []
        for trial, model in tried:
            try:
                check_layers(trial.choice.method, model.config.size.layers)
            except ArgumentError as error:
                got = f"{error.got} of {trial.choice.label!r}"
                allowed = f"{error.allowed}, the layers of {model.config.model}"
                refusals.append(ArgumentError(("method", *error.path), got, allowed))
        if len(refusals) == len(tried):
            raise refusals[-1]


def divided_memory(
    work: Work,
    workers: int | None,
    threads: int,
    memory: int | None,
    *,
    limited: bool = True,
) -> Shares:
    """Divide the memory and determine the number of workers.

    Parameters
    ----------
    limited : bool
        Whether there are no more workers than units, and a unit that does not fit is refused,
        as for a run; a dry run tells of the machine.
    """
    from behemoth.support.provenance import cores

    from .local import gpus

    left = {*work.models, *(trial.model for trial in work.trials.values())}
    with_gpu = any(on_gpu(work.expansion.models[name]) for name in left or work.expansion.models)
    usual = workers or (gpus() if with_gpu else 0) or max(1, cores() // threads)
    if limited:  # a dry run tells of the machine, also where there are fewer units
        usual = min(usual, max(1, len(work.models), len(work.trials)))
    return shares_of(work, usual, memory, given=workers, limited=limited)
