"""The units of work that a study comes to: models to train, and trials on them.

A unit says all that a worker has to know, as plain values, so it travels as one line of JSON to
another process or another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.corpus.source import Source
from behemoth.plan.request import EditRequest
from behemoth.train.config import TrainConfig

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["CorpusUnit", "ModelUnit", "PlanUnit", "TrialUnit"]


@dataclass(frozen=True)
class CorpusUnit:
    """A corpus by its specs.

    Attributes
    ----------
    world, corpus : dict
        The ``[world]`` and ``[corpus]`` tables.
    directory : str, optional
        Where ``table.parquet`` and ``exposures.parquet`` lie, if the specs need them.
    """

    world: dict[str, Any]
    corpus: dict[str, Any]
    directory: str | None = None

    def make(self) -> Corpus:
        """Make the corpus.

        Raises
        ------
        ArgumentError
            When the engine does not allow the specs.
        """
        place = None if self.directory is None else Path(self.directory)
        return Source(self.world, self.corpus, place).make_corpus()


@dataclass(frozen=True)
class ModelUnit:
    """A model to train.

    Attributes
    ----------
    id : str
        See `behemoth.study.file.identity.model_id`.
    corpus : CorpusUnit
    config : TrainConfig
    """

    id: str
    corpus: CorpusUnit
    config: TrainConfig

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"id": self.id, "corpus": asdict(self.corpus), "config": asdict(self.config)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelUnit:
        """Make the unit that `to_dict` gave."""
        corpus = CorpusUnit(**values["corpus"])
        return cls(values["id"], corpus, TrainConfig(**values["config"]))


@dataclass(frozen=True)
class PlanUnit:
    """A plan of edits to compile.

    Attributes
    ----------
    id : str
        See `behemoth.study.file.identity.plan_id`.
    request : EditRequest
    chosen_in : CorpusUnit, optional
        The corpus whose plan says which facts get which objects, where this is its twin: so
        that the same edits are made at other exposures.
    """

    id: str
    request: EditRequest
    chosen_in: CorpusUnit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        chosen = None if self.chosen_in is None else asdict(self.chosen_in)
        return {"id": self.id, "request": self.request.to_dict(), "chosen_in": chosen}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanUnit:
        """Make the unit that `to_dict` gave."""
        chosen = values["chosen_in"]
        return cls(
            values["id"],
            EditRequest.from_dict(values["request"]),
            None if chosen is None else CorpusUnit(**chosen),
        )


@dataclass(frozen=True)
class TrialUnit:
    """A method that carries out a plan on a model, and what is measured of it.

    Attributes
    ----------
    id : str
        See `behemoth.study.file.identity.trial_id`.
    model : str
        The model's id.
    plan : PlanUnit
    method : str
    settings : dict
        All settings of the method.
    measure : dict
        Fields of `behemoth.study.file.spec.Measure`.
    about : dict
        What it is called in this study, which is no part of its id: label and rotation.
    """

    id: str
    model: str
    plan: PlanUnit
    method: str
    settings: dict[str, Any]
    measure: dict[str, Any]
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {**vars(self), "plan": self.plan.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialUnit:
        """Make the unit that `to_dict` gave."""
        read: dict[str, Any] = {**values, "plan": PlanUnit.from_dict(values["plan"])}
        return cls(**read)
