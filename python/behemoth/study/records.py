"""Records of a study: ``study.json``, and one ``model.json`` or ``trial.json`` per unit.

Each type converts itself to plain values and back; `StudyDirectory` reads and writes the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, Literal, Self

from behemoth.store.studies import FOREIGN
from behemoth.support.fields import made

__all__ = [
    "FOREIGN",
    "ModelRecord",
    "Outcome",
    "StudyRecord",
    "TrialRecord",
    "TrialRow",
    "place_of",
]

Outcome = Literal["done", "failed"]


@dataclass(frozen=True)
class _Record:
    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a record from the values of `to_dict`.

        Raises
        ------
        ArgumentError
            If the values are not those of such a record.
        """
        return made(cls, values)


@dataclass(frozen=True)
class ModelRecord(_Record):
    """The record of a model.

    Attributes
    ----------
    id, status : str
    reason : str, optional
        Why it failed; all following fields then have their defaults.
    size : str
        Name of the model's size.
    seed : int
        Seed of the training.
    world : str
    world_seed : int
    spec_hash : str
    parameters, parameters_without_embedding : int
    facts : int
        Number of facts of the world.
    bits : float
        Entropy of the world, in bits.
    facts_per_object : float
        Number of subject facts divided by the number of objects of their relations.
    steps, tokens : int
        Length of the training.
    training_seconds : float
    loss : float, optional
        Mean loss of the last steps; None if no token of them has a label.
    recall : float
        Share of all facts whose object is generated exactly.
    device : str
    seconds : dict of str to float
        Seconds of work by stage; of a training that was stopped and resumed, of all its steps.
    files : dict of str to str, optional
        Digests of its frames; None in records of earlier versions.
    """

    id: str
    status: Outcome
    reason: str | None = None
    size: str = ""
    seed: int = 0
    world: str = ""
    world_seed: int = 0
    spec_hash: str = ""
    parameters: int = 0
    parameters_without_embedding: int = 0
    facts: int = 0
    bits: float = 0.0
    facts_per_object: float = 0.0
    steps: int = 0
    tokens: int = 0
    training_seconds: float = 0.0
    loss: float | None = 0.0
    recall: float = 0.0
    device: str = ""
    seconds: dict[str, float] | None = None
    files: dict[str, str] | None = None


@dataclass(frozen=True)
class TrialRow(_Record):
    """The definition of a trial.

    Attributes
    ----------
    id : str
    model, plan : str
        Ids of the model and of the plan.
    method : str
    settings : dict
        All settings of the method.
    measure : dict
        Fields of `Measurement`.
    label : str
        Name of the method in the study.
    rotation : int
        Number of places by which the levels of exposures are rotated.
    family : str
        Family of the method.
    swap : int
        Number of edited facts that have swapped exposures with another fact of their subject.
    twin : str, optional
        Id of the twin model that the suite compares with.
    """

    id: str
    model: str
    plan: str
    method: str
    settings: dict[str, Any]
    measure: dict[str, Any]
    label: str
    rotation: int
    family: str
    swap: int = 0
    twin: str | None = None


def place_of(row: TrialRow) -> tuple[str, ...]:
    """Return what identifies a trial within a study: another tool's by label, model and plan."""
    return (row.label, row.model, row.plan) if row.family == FOREIGN else (row.id,)


@dataclass(frozen=True, kw_only=True)
class TrialRecord(TrialRow):
    """The definition of a trial and its outcome.

    Attributes
    ----------
    status : {'done', 'failed'}
    reason : str, optional
        Why the trial, or a part of it, failed: its durability, or the count of its cost.
    seconds : dict of str to float
        Seconds of work by stage.
    edits, failed_edits : int
        Number of edits, and how many of them broke down, also within a batch that goes on without
        them (0 for these in records of earlier versions).
    device : str, optional
        Device it was carried out on; None if it was not carried out.
    versions : dict of str to str, optional
        Versions of the packages it was carried out with.
    flops : float, optional
        Operations of the first edit, or per edit of the batch; see `behemoth.edit.cost.EditCost`.
        None for methods that retrain a model, if that edit broke down or its cost could not be
        counted, for other worlds and initialisations than the first of the method (at the other
        values of the grid), and for trials carried out before costs were counted.
    memory : int, optional
        Bytes that making an edit, or the complete batch, needs beside the model; None as `flops`.
    files : dict of str to str, optional
        Digests of its frames; None in records of earlier versions.
    """

    status: Outcome
    reason: str | None
    seconds: dict[str, float]
    edits: int = 0
    failed_edits: int = 0
    device: str | None = None
    versions: dict[str, str] | None = None
    flops: float | None = None
    memory: int | None = None
    files: dict[str, str] | None = None


@dataclass(frozen=True)
class StudyRecord(_Record):
    """The record of a study: its definition, models and trials.

    Attributes
    ----------
    name, question : str
    primary : dict, optional
        ``measure`` and ``method`` of the contrast that was specified in advance.
    threads : int
        CPU threads of a worker.
    corpus_version : int
        Format version of its corpora; 1 in records without one.
    methods, points, models : tuple of dict
        `MethodChoice` objects as dicts, the points of the grid, and `ModelUnit` objects as dicts.
    trials : tuple of TrialRow
    requests : dict of str to dict
        `EditRequest.to_dict` of each plan by its id: that of a twin is compiled from a table, and
        its ``plan.toml`` lacks what chose the facts. Empty in records of earlier versions.
    """

    name: str
    question: str
    primary: dict[str, str] | None
    models: tuple[dict[str, Any], ...]
    trials: tuple[TrialRow, ...]
    methods: tuple[dict[str, Any], ...] = ()
    points: tuple[dict[str, Any], ...] = ()
    threads: int = 1
    corpus_version: int = 1
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a record from the values of `to_dict`.

        Raises
        ------
        ArgumentError
            If the values are not those of such a record.
        ValueError
            If an id is not the name of one folder: a study that others made could otherwise have
            its units read from, and merged to, a place outside of it.
        """
        trials = tuple(TrialRow.from_dict(row) for row in values["trials"])
        record = made(cls, {**values, "trials": trials})
        ids = [model.get("id") for model in record.models]
        for row in trials:
            ids += [row.id, row.model, row.plan, *([] if row.twin is None else [row.twin])]
        for name in ids:
            if not isinstance(name, str) or name == ".." or PurePath(name).parts != (name,):
                raise ValueError(f"{name!r} is not the name of a folder")
        return record
