"""What a tuning is asked for: a run, a plan for it, and the settings that are searched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.edit.errors import MethodError
from behemoth.edit.protocol import EditMethod, answers, settings_of
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.search import Searched
from behemoth.evaluate.source import check_shape, check_start
from behemoth.evaluate.suites.score import OBJECTIVES
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import EditRequest
from behemoth.support.errors import ArgumentError, renamed
from behemoth.train.run import Run, read_record, read_run

from .memory_budget import fitting_rows, is_trained, require_twin
from .record import TuningDirectory

if TYPE_CHECKING:
    import torch

    from behemoth.corpus.corpus import Corpus
    from behemoth.train.config import TrainConfig

__all__ = ["Asked", "searched_by", "twin_config", "untold"]

_POPULATION = 1 << 24  # facts of a larger world among which edits apart from a plan are chosen
_KINDS = {"editing": "remap", "unlearning": "refusal"}  # of the edits that a suite is for


@dataclass(frozen=True)
class Asked:
    """The arguments of a tuning that decide its trials, checked."""

    name: str
    method: EditMethod
    searched: Searched
    objective: str
    run: Run
    plan: EditPlan
    twin: Run | None
    rows: int
    seed: int

    @classmethod
    def of(
        cls,
        name: str,
        on: str | PathLike[str],
        objective: str | None,
        edits: int,
        exposures: Sequence[int] | None,
        apart: str | PathLike[str] | None,
        twin: str | PathLike[str] | None,
        rows: int,
        seed: int,
        plan_seed: int,
    ) -> Asked:
        """Read the run and compile the plan."""
        method = get_method(name)
        if objective is None:
            objective = "unlearning" if method.info.forgets() else "editing"
        elif not isinstance(objective, str) or objective not in OBJECTIVES:
            raise ArgumentError.unknown("objective", objective, OBJECTIVES)
        with renamed(directory="on"):
            run = read_run(on)
        request = EditRequest(
            edits=edits,
            kind=_KINDS[OBJECTIVES[objective].suite],  # type: ignore[arg-type]
            exposures=exposures,  # type: ignore[arg-type]  # makes them a tuple
            distinct=False,
            repeats=8, same_object=4, same_relation=8, regular=16, probes=3, seed=plan_seed,
        )  # fmt: skip
        if request.kind not in method.info.kinds:
            kinds = ", ".join(sorted(method.info.kinds))
            raise ArgumentError("objective", objective, f"one whose edits {name} makes: {kinds}")
        plan = _plan(run, request, apart)
        beside = None if twin is None else _twin(twin, run, plan, objective)
        return cls(name, method, searched_by(method), objective, run, plan, beside, rows, seed)

    def record(self) -> dict[str, Any]:
        """Return what must be equal for a tuning to be resumed."""
        return {
            "method": self.name, "objective": self.objective,
            "spec_hash": self.run.corpus.spec_hash, "plan_hash": self.plan.plan_hash,
            "rows": self.rows, "seed": self.seed, "weights": self.run.weights_digest(),
            "twin": None if self.twin is None else self.twin.weights_digest(),
            "settings": settings_of(self.method),
            "searched": {name: repr(one) for name, one in sorted(self.searched.items())},
        }  # fmt: skip

    def fitting(
        self, directory: TuningDirectory, device: torch.device | str | None, memory: int | None
    ) -> int | None:
        """Return how many rows fit in a pass; refuse what does not, before anything is written."""
        run, plan, objective = self.run, self.plan, self.objective
        if objective == "unlearning" and self.twin is None:
            _check_own_twin(run, plan)
            if not is_trained(directory.twin):
                config = twin_config(run, directory.twin, device)
                require_twin(run, config, untold(run, plan), memory)
        found = fitting_rows(run, plan, self.method, self.searched, objective, device, memory)
        # Refuses weights that cannot be used. It is not kept: a twin may be trained first.
        run.load_model(device)
        return found


def _plan(run: Run, request: EditRequest, apart: str | PathLike[str] | None) -> EditPlan:
    """Return the plan that settings are tried on, without the edited facts of another plan."""
    if apart is None:
        return compile_plan(run.corpus, request)
    with renamed(plan="apart"):
        other = EditPlan.of(apart)
        other.check(run.corpus)
    reported = other.edits["fact"]
    known = np.setdiff1d(run.corpus.sample_facts(_POPULATION), reported.to_numpy())
    plan = compile_plan(run.corpus, request, known=known)
    # Excluded from edits, from retain rows and from bystanders' probes.
    stays = ~pl.col("fact").is_in(reported.implode())
    return EditPlan(
        plan.request, plan.spec_hash, plan.edits, plan.training.filter(stays),
        plan.probes.filter(stays),
    )  # fmt: skip


def untold(run: Run, plan: EditPlan) -> Corpus:
    """Return the corpus of a run without the facts that a plan edits."""
    return run.corpus.without(plan.edits["fact"].to_numpy())


def twin_config(run: Run, place: Path, device: torch.device | str | None) -> TrainConfig:
    """Return how the twin at `place` is trained: as the run was, on the device asked for.

    A twin that was begun keeps its device, as training does not resume on another one.

    Parameters
    ----------
    run : Run
    place : Path
    device : optional
        By default that of the run's configuration.
    """
    begun = read_record(place)
    if begun is not None:
        own = begun.config
        return replace(run.config, device=own.device, vocabulary_multiple=own.vocabulary_multiple)
    return run.record.config_on(None if device is None else str(device))


def _twin(twin: str | PathLike[str], run: Run, plan: EditPlan, objective: str) -> Run:
    """Return the run at `twin`; refuse one that is no twin for this plan."""
    if objective != "unlearning":
        given = fspath(twin) if isinstance(twin, str | PathLike) else twin
        raise ArgumentError("twin", given, f"none with the objective {objective}")
    with renamed(directory="twin"):
        found = read_run(twin)
    if found.corpus.spec_hash != untold(run, plan).spec_hash:
        raise ArgumentError(
            "twin",
            f"{fspath(twin)}, trained on another corpus",
            "a run on the corpus of the tuned run without the facts that this plan edits",
        )
    check_shape(found.directory, found, run)
    check_start(found.directory, found, run.corpus, plan)
    return found


def _check_own_twin(run: Run, plan: EditPlan) -> None:
    """Refuse a run whose start would make a model no twin, which begins from that start, too."""
    if run.record.start_changed:
        raise ArgumentError(
            "on",
            f"{fspath(run.directory)}, whose start {run.config.start} has other weights now",
            "a run whose start is as it was, from which its twin begins, too; or a twin (twin)",
        )
    with renamed(twin="on"):
        check_start(run.directory, run, run.corpus, plan)


def searched_by(method: EditMethod) -> Searched:
    """Return the search space of a method; refuse an empty one, or one with unknown fields."""
    found = answers(method).searched()
    if not found:
        raise ArgumentError(
            "method",
            method.info.name,
            f"one with a search space for its settings (searched): {', '.join(_tunable())}",
        )
    for name in found:
        if name not in settings_of(method):
            raise ArgumentError(
                "method", f"{method.info.name}, which searches {name}", "its fields"
            )
    return found


def _tunable() -> list[str]:
    """Return the names of the methods that have a search space."""
    found: list[str] = []
    for name in method_names():
        # A broken method of another package must not hide the others.
        with suppress(ImportError, AttributeError, MethodError, TypeError, ValueError):
            if answers(get_method(name)).searched():
                found.append(name)
    return found
