"""The units of work that a study comes to: models to train, and trials on them.

A unit says all that a worker has to know. `to_dict` gives plain values, so it travels as one line
of JSON to another process or another machine, and `from_dict` makes the same unit of them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.corpus.source import Source
from behemoth.plan.request import EditRequest
from behemoth.study.records import TrialRow
from behemoth.support.errors import within
from behemoth.support.fields import made
from behemoth.train.config import TrainConfig

from .identity import model_id, plan_id, trial_id
from .measurement import Measurement
from .method import MethodChoice

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["CorpusUnit", "ModelUnit", "PlanUnit", "TrialUnit", "Unit", "unit_from_dict"]


@dataclass(frozen=True)
class CorpusUnit:
    """A corpus by its specs.

    Attributes
    ----------
    world, corpus : dict
        The ``[world]`` and ``[corpus]`` tables.
    directory : str, optional
        Where ``table.parquet`` and ``exposures.parquet`` lie, if the specs need them.
    format_version : int, optional
        Of the output bytes; the latest by default.
    exchanged : list of [int, int], optional
        Pairs of facts that stand at each other's exposures.
    replaced : list of [int, int or None], optional
        Facts and the objects that they have in place of their own: the corpus of a twin, for which
        some edits have always been so. Where one has no object all are left
        out, as by `retrain`.
    """

    world: dict[str, Any]
    corpus: dict[str, Any]
    directory: str | None = None
    format_version: int | None = None
    exchanged: list[list[int]] | None = None
    replaced: list[list[Any]] | None = None

    def make(self) -> Corpus:
        """Make the corpus.

        Raises
        ------
        ArgumentError
            When the engine does not allow the specs; its path begins with world or corpus.
        """
        place = None if self.directory is None else Path(self.directory)
        source = Source(self.world, self.corpus, place, format_version=self.format_version)
        with within("world"):
            world = source.make_world()
        with within("corpus"):
            corpus = source.make_corpus(world)
            if self.exchanged is not None:
                corpus = corpus.exchanged(self.exchanged)
            if self.replaced is None:
                return corpus
            pairs: list[Any] = self.replaced  # of a fact, and its object or none
            facts = [fact for fact, _ in pairs]
            new = {fact: made for fact, made in pairs if made is not None}
            if len(new) < len(pairs):
                return corpus.without(facts)
            return corpus.override(new)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CorpusUnit:
        """Make the unit that `to_dict` gave."""
        return made(cls, values)


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

    @classmethod
    def of(cls, corpus: CorpusUnit, config: TrainConfig, there: Corpus | None = None) -> ModelUnit:
        """Make the unit with its id.

        Parameters
        ----------
        corpus : CorpusUnit
        config : TrainConfig
        there : Corpus, optional
            What `corpus` makes, where it has been made already.
        """
        spec = (corpus.make() if there is None else there).spec
        return cls(model_id(spec, config), corpus, config)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"id": self.id, "corpus": self.corpus.to_dict(), "config": asdict(self.config)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelUnit:
        """Make the unit that `to_dict` gave."""
        corpus = CorpusUnit.from_dict(values["corpus"])
        return cls(values["id"], corpus, made(TrainConfig, values["config"]))


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
    moved : bool
        Whether only those are made whose exposures are other than there.
    """

    id: str
    request: EditRequest
    chosen_in: CorpusUnit | None = None
    moved: bool = False

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        request: EditRequest,
        chosen_in: CorpusUnit | None = None,
        first: Corpus | None = None,
        *,
        moved: bool = False,
    ) -> PlanUnit:
        """Make the unit with its id.

        Parameters
        ----------
        corpus : Corpus
            What the plan is for.
        request : EditRequest
        chosen_in : CorpusUnit, optional
        first : Corpus, optional
            What `chosen_in` makes.
        moved : bool
        """
        spec = None if first is None else first.spec
        return cls(plan_id(corpus.spec_hash, request, spec), request, chosen_in, moved)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        chosen = None if self.chosen_in is None else self.chosen_in.to_dict()
        return {
            "id": self.id, "request": self.request.to_dict(), "chosen_in": chosen,
            "moved": self.moved,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanUnit:
        """Make the unit that `to_dict` gave."""
        chosen = values["chosen_in"]
        return cls(
            values["id"],
            EditRequest.from_dict(values["request"]),
            None if chosen is None else CorpusUnit.from_dict(chosen),
            values["moved"],
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
    choice : MethodChoice
        The method; what it is called in this study is no part of the id.
    measure : Measurement
    rotation : int
        By how many places the levels of exposures are turned, which is no part of it, either.
    swap : int
        Of how many edited facts the exposures are another fact's; no part of it, either.
    twin : str, optional
        Id of the model that a suite is taken beside, which follows from the model and the plan.
    """

    id: str
    model: str
    plan: PlanUnit
    choice: MethodChoice
    measure: Measurement
    rotation: int = 0
    swap: int = 0
    twin: str | None = None

    @classmethod
    def of(
        cls,
        model: str,
        plan: PlanUnit,
        choice: MethodChoice,
        measure: Measurement,
        rotation: int = 0,
        swap: int = 0,
        twin: str | None = None,
    ) -> TrialUnit:
        """Make the unit with its id."""
        name = trial_id(model, plan.id, choice, measure)
        return cls(name, model, plan, choice, measure, rotation, swap, twin)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models that it needs."""
        return (self.model,) if self.twin is None else (self.model, self.twin)

    def row(self) -> TrialRow:
        """Say what it is, as ``study.json`` and ``trial.json`` do."""
        return TrialRow(
            id=self.id,
            model=self.model,
            plan=self.plan.id,
            method=self.choice.name,
            settings=self.choice.settings,
            measure=self.measure.to_dict(),
            label=self.choice.label,
            rotation=self.rotation,
            family=self.choice.method.info.family,
            swap=self.swap,
            twin=self.twin,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "id": self.id,
            "model": self.model,
            "plan": self.plan.to_dict(),
            "method": self.choice.to_dict(),
            "measure": self.measure.to_dict(),
            "rotation": self.rotation,
            "swap": self.swap,
            "twin": self.twin,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialUnit:
        """Make the unit that `to_dict` gave."""
        return cls(
            values["id"],
            values["model"],
            PlanUnit.from_dict(values["plan"]),
            MethodChoice.from_dict(values["method"]),
            Measurement.from_dict(values["measure"]),
            values["rotation"],
            values["swap"],
            values["twin"],
        )


Unit = ModelUnit | TrialUnit


def unit_from_dict(values: Mapping[str, Any]) -> Unit:
    """Make the unit that one of the `to_dict` gave; a trial is what has a method."""
    return TrialUnit.from_dict(values) if "method" in values else ModelUnit.from_dict(values)
