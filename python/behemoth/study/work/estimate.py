"""Estimate of what a study would do, as printed by ``--dry-run``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.axes import pooled_beforehand
from behemoth.study.file.grid import grid_axes
from behemoth.study.file.spec import Study
from behemoth.study.saturation import facts_per_object, load_of
from behemoth.study.tuned import tuned_here

from .cost import START
from .prepare import check_run, divided_memory, expanded
from .schedule import Work

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """Estimate of what a study would do, as printed by ``--dry-run``.

    Attributes
    ----------
    name, question : str
    models, plans, trials : int
        Number of each; all trials of a model or plan share it.
    twins : int
        Number of the models that other models are compared with: trained in the same way, without
        the plan's facts.
    models_done, trials_done : int
        Number of models and trials that are already finished.
    tokens : int
        Training tokens of the models that are not finished.
    edits : int
        Edits of the trials that are not finished.
    steps : int
        Maximum number of steps of these edits together.
    seconds : float
        Estimated duration with `workers` workers.
    workers : int
    memory : int or None
        Estimated peak memory of a worker in bytes; None if nothing is left to do, and on a GPU.
    labels : dict of str to int
        Number of trials by label of the method.
    grid : dict of str to list
        Values of the study's grid by dotted name, such as ``{"world.seed": [0, 1]}``; of several
        grids together.
    pooled : dict of str to list
        Those of its axes that no table of the report separates: see `Results.pooled`.
    tuned_here : list of str
        Labels of the methods that were tuned on a world of the study, or on one of the same seed:
        see `behemoth.study.tuned`.
    facts : list of int
        Numbers of facts of the worlds, each number once.
    loads, facts_per_object : list of float
        Values of the models, each once: see `behemoth.study.saturation`.
    """

    name: str
    question: str
    models: int
    twins: int
    plans: int
    trials: int
    models_done: int
    trials_done: int
    tokens: int
    edits: int
    steps: int
    seconds: float
    workers: int
    memory: int | None
    labels: dict[str, int]
    grid: dict[str, list[Any]]
    pooled: dict[str, list[Any]]
    tuned_here: list[str]
    facts: list[int]
    loads: list[float]
    facts_per_object: list[float]


def estimate(
    study: Study,
    out: str | PathLike[str] | None = None,
    *,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
    memory: int | None = None,
) -> Estimate:
    """Estimate what `run_study` would do, without doing it.

    Parameters
    ----------
    study : Study
    out, engine, workers, threads, part
        See `run_study`; without `out` nothing counts as finished. The time is that of workers on
        this machine.
    memory : int, optional
        See `run_study`; by default nothing is refused, whatever the machine has free.

    Raises
    ------
    ArgumentError
        As in `run_study`.
    """
    check_run(engine, workers, threads, part, memory)
    directory = None if out is None else StudyDirectory(out)
    study, expansion, threads = expanded(study, directory, threads)
    axes, tuned = grid_axes(study.points), tuned_here(expansion)
    pooled = pooled_beforehand(list(axes), expansion)
    expansion = expansion.part(*part)
    work = Work(directory, expansion, None)
    costs = work.estimate()
    units = expansion.models.values()
    worlds = [(work.costs.corpus(unit), unit.config.size) for unit in units]
    loads = {
        round(load_of(corpus.world.entropy, size.parameters_with(corpus.vocabulary_size)), 4)
        for corpus, size in worlds
    }
    shares = divided_memory(work, workers, threads, memory, limited=False)
    count = shares.workers
    return Estimate(
        name=study.name,
        question=study.question,
        models=len(expansion.models),
        twins=len({trial.twin for trial in expansion.trials if trial.twin is not None}),
        plans=len(expansion.plans),
        trials=len(expansion.trials),
        models_done=len(expansion.models) - len(work.models),
        trials_done=len(expansion.trials) - len(work.trials),
        tokens=sum(cost.tokens for cost in costs[: len(work.models)]),
        edits=sum(cost.edits for cost in costs),
        steps=sum(cost.edits * cost.steps for cost in costs),
        seconds=sum(cost.seconds for cost in costs) / count + START * bool(costs),
        workers=count,
        memory=shares.worker_peak,
        labels=dict(Counter(trial.choice.label for trial in expansion.trials)),
        grid=axes,
        pooled=pooled,
        tuned_here=tuned,
        facts=sorted({corpus.world.num_facts for corpus, _ in worlds}),
        loads=sorted(loads),
        facts_per_object=sorted(
            {float(f"{facts_per_object(corpus.world):.4g}") for corpus, _ in worlds}
        ),
    )
