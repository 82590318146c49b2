"""The units of work of a study: models to train, and trials on them.

A unit contains everything that a worker needs. `to_dict` returns plain values, which are sent as
one line of JSON to another process or machine, and `from_dict` creates the same unit there.
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
    """A corpus, given by its specs.

    Attributes
    ----------
    world, corpus : dict
        The ``[world]`` and ``[corpus]`` tables.
    directory : str, optional
        Folder of ``table.parquet`` and ``exposures.parquet``, if the specs need them.
    format_version : int, optional
        Format version of the output bytes; the latest by default.
    exchanged : list of [int, int], optional
        Pairs of facts that have swapped exposures.
    replaced : list of [int, int or None], optional
        Facts and the objects that replace their own: the corpus of a twin, which always had the
        outcome of some edits. If any object is None, all these facts are omitted, as by `retrain`.
    """

    world: dict[str, Any]
    corpus: dict[str, Any]
    directory: str | None = None
    format_version: int | None = None
    exchanged: list[list[int]] | None = None
    replaced: list[list[Any]] | None = None

    def make(self) -> Corpus:
        """Create the corpus.

        Raises
        ------
        ArgumentError
            If the engine refuses the specs; its path begins with world or corpus.
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
            pairs: list[Any] = self.replaced  # (fact, object or None)
            facts = [fact for fact, _ in pairs]
            new = {fact: made for fact, made in pairs if made is not None}
            if len(new) < len(pairs):
                return corpus.without(facts)
            return corpus.override(new)

    def to_dict(self) -> dict[str, Any]:
        """Return the unit as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CorpusUnit:
        """Create the unit from the values of `to_dict`."""
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
            The corpus of `corpus`, if it has been created already.
        """
        spec = (corpus.make() if there is None else there).spec
        return cls(model_id(spec, config), corpus, config)

    def to_dict(self) -> dict[str, Any]:
        """Return the unit as plain values."""
        return {"id": self.id, "corpus": self.corpus.to_dict(), "config": asdict(self.config)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelUnit:
        """Create the unit from the values of `to_dict`."""
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
        For the plan of a twin, the corpus in which facts and new objects are chosen, so that the
        same edits are made at other exposures.
    moved : bool
        Whether only edits whose exposures differ from those in `chosen_in` are made.
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
            Corpus of the model to edit.
        request : EditRequest
        chosen_in : CorpusUnit, optional
        first : Corpus, optional
            The corpus of `chosen_in`.
        moved : bool
        """
        spec = None if first is None else first.spec
        return cls(plan_id(corpus.spec_hash, request, spec), request, chosen_in, moved)

    def to_dict(self) -> dict[str, Any]:
        """Return the unit as plain values."""
        chosen = None if self.chosen_in is None else self.chosen_in.to_dict()
        return {
            "id": self.id, "request": self.request.to_dict(), "chosen_in": chosen,
            "moved": self.moved,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanUnit:
        """Create the unit from the values of `to_dict`."""
        chosen = values["chosen_in"]
        return cls(
            values["id"],
            EditRequest.from_dict(values["request"]),
            None if chosen is None else CorpusUnit.from_dict(chosen),
            values["moved"],
        )


@dataclass(frozen=True)
class TrialUnit:
    """A method that applies a plan to a model, and what is measured.

    Attributes
    ----------
    id : str
        See `behemoth.study.file.identity.trial_id`.
    model : str
        Id of the model.
    plan : PlanUnit
    choice : MethodChoice
        The method; its label is not part of the trial's id.
    measure : Measurement
    rotation : int
        Number of places by which the levels of exposures are rotated; not part of the id.
    swap : int
        Number of edited facts that have swapped exposures with another fact; not part of the id.
    twin : str, optional
        Id of the model that the suite compares with, which follows from the model and the plan.
    counted : bool
        Whether the cost of its edits is counted; not part of the id. Counting takes longer than the
        edits, and other worlds and initialisations differ in the number of retained rows at most.
    """

    id: str
    model: str
    plan: PlanUnit
    choice: MethodChoice
    measure: Measurement
    rotation: int = 0
    swap: int = 0
    twin: str | None = None
    counted: bool = True

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
        """Create the unit with its id."""
        name = trial_id(model, plan.id, choice, measure)
        return cls(name, model, plan, choice, measure, rotation, swap, twin)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models that the trial needs."""
        return (self.model,) if self.twin is None else (self.model, self.twin)

    def row(self) -> TrialRow:
        """Return the definition of the trial for ``study.json`` and ``trial.json``."""
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
        """Return the unit as plain values."""
        return {
            "id": self.id,
            "model": self.model,
            "plan": self.plan.to_dict(),
            "method": self.choice.to_dict(),
            "measure": self.measure.to_dict(),
            "rotation": self.rotation,
            "swap": self.swap,
            "twin": self.twin,
            "counted": self.counted,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialUnit:
        """Create the unit from the values of `to_dict`."""
        return cls(
            values["id"],
            values["model"],
            PlanUnit.from_dict(values["plan"]),
            MethodChoice.from_dict(values["method"]),
            Measurement.from_dict(values["measure"]),
            values["rotation"],
            values["swap"],
            values["twin"],
            values["counted"],
        )


Unit = ModelUnit | TrialUnit


def unit_from_dict(values: Mapping[str, Any]) -> Unit:
    """Create the unit from the values of its `to_dict`; values with a method are of a trial."""
    return TrialUnit.from_dict(values) if "method" in values else ModelUnit.from_dict(values)
