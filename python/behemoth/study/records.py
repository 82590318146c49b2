"""What is recorded of a study: ``study.json``, and a ``model.json`` or ``trial.json`` a unit.

Each type gives itself as plain values and is made of them again; `StudyDirectory` reads and writes
the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from behemoth.support.fields import made
from behemoth.support.studies import FOREIGN

__all__ = ["FOREIGN", "ModelRecord", "Outcome", "StudyRecord", "TrialRecord", "TrialRow"]

Outcome = Literal["done", "failed"]


@dataclass(frozen=True)
class _Record:
    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make what `to_dict` gave.

        Raises
        ------
        ArgumentError
            When something else gave them.
        """
        return made(cls, values)


@dataclass(frozen=True)
class ModelRecord(_Record):
    """What became of a model.

    Attributes
    ----------
    id, status : str
    reason : str, optional
        Why it failed; all that follows is then missing.
    size : str
        Its name.
    seed : int
        Of its training.
    world : str
    world_seed : int
    spec_hash : str
    parameters, parameters_without_embedding : int
    facts : int
        Of the world.
    bits : float
        The world's entropy.
    facts_per_object : float
        Facts of subjects by all objects of their relations.
    steps, tokens : int
        That it was trained on.
    training_seconds : float
    loss : float
        Mean of the last steps.
    recall : float
        Share of all facts.
    device : str
    seconds : dict of str to float
        By what they went into.
    files : dict of str to str, optional
        Digests of its frames; none of earlier versions.
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
    loss: float = 0.0
    recall: float = 0.0
    device: str = ""
    seconds: dict[str, float] | None = None
    files: dict[str, str] | None = None


@dataclass(frozen=True)
class TrialRow(_Record):
    """What a trial is.

    Attributes
    ----------
    id : str
    model, plan : str
        Their ids.
    method : str
    settings : dict
        All of the method's.
    measure : dict
        Fields of `Measurement`.
    label : str
        What the method is called in the study.
    rotation : int
        By how many places the levels of exposures are turned.
    family : str
        The method's.
    swap : int
        Of how many edited facts the exposures are those of another fact of the subject.
    twin : str, optional
        Id of the model that its suite was taken beside.
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


@dataclass(frozen=True, kw_only=True)
class TrialRecord(TrialRow):
    """What a trial is, and what became of it.

    Attributes
    ----------
    status : {'done', 'failed'}
    reason : str, optional
        Why it failed, or what of it did.
    seconds : dict of str to float
        By what they went into.
    edits, failed_edits : int
        How many there are, and how many of them broke down.
    device : str, optional
        Where it was carried out; none where it was not.
    versions : dict of str to str
        With what.
    flops : float, optional
        Operations of one edit, and memory : int, optional, bytes that making it takes beside the
        model, of a batch as a whole: see `behemoth.edit.cost.EditCost`. None of methods that train
        a model again, and of trials that were carried out before it was counted.
    files : dict of str to str, optional
        Digests of its frames; none of earlier versions.
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
    """A study, and what it comes to.

    Attributes
    ----------
    name, question : str
    primary : dict, optional
        ``measure`` and ``method`` of the contrast that is stated beforehand.
    threads : int
        CPU threads of a worker.
    corpus_version : int
        Format version of its corpora; records without one are of the first.
    methods, points, models : tuple of dict
        What `MethodChoice` and `ModelUnit` give, and the grid's points.
    trials : tuple of TrialRow
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make what `to_dict` gave."""
        trials = tuple(TrialRow.from_dict(row) for row in values["trials"])
        return made(cls, {**values, "trials": trials})
