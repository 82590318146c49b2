"""What gates request, and what they read: units, the world most of them share, and results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import polars as pl

from behemoth.edit.registry import get_method
from behemoth.plan.request import EditRequest
from behemoth.study.directory import RECALL, StudyDirectory, StudyError
from behemoth.study.file.expand import Expansion
from behemoth.study.file.measurement import Measurement
from behemoth.study.file.method import MethodChoice
from behemoth.study.file.units import CorpusUnit, ModelUnit, PlanUnit, TrialUnit
from behemoth.study.records import ModelRecord, TrialRecord
from behemoth.support.digests import check
from behemoth.train.config import default_config
from behemoth.train.run import Run, checkpoint_paths, read_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .record import Gate

__all__ = [
    "GateResults",
    "SharedWorld",
    "Units",
    "consequences",
    "expansion_of",
    "mean_of",
    "model_unit",
    "trial_unit",
    "units_of",
]

_RATE = 4e-3  # learning rate of pico in small batches; its default is for batches of 256 blocks


@dataclass(frozen=True)
class Units:
    """The models and trials that a gate needs, by names that the gate chooses.

    Attributes
    ----------
    models : dict of str to ModelUnit
    trials : dict of str to TrialUnit
    """

    models: dict[str, ModelUnit]
    trials: dict[str, TrialUnit] = field(default_factory=dict)


def units_of(gate: Gate, threads: int) -> list[Units]:
    """Return the units of a gate, by seed."""
    return [gate.units(seed, threads) for seed in range(gate.seeds)]


def expansion_of(wanted: Iterable[Units]) -> Expansion:
    """Return all units, each once: seeds share equal units."""
    models: dict[str, ModelUnit] = {}
    trials: dict[str, TrialUnit] = {}
    for units in wanted:
        models |= {unit.id: unit for unit in units.models.values()}
        trials |= {unit.id: unit for unit in units.trials.values()}
    return Expansion(models, list(trials.values()))


def model_unit(
    world: Mapping[str, Any],
    corpus: Mapping[str, Any],
    *,
    seed: int = 0,
    threads: int = 1,
    **train: Any,
) -> ModelUnit:
    """Create the unit of a model on a CPU.

    Parameters
    ----------
    world, corpus : mapping
        Tables as in a study file.
    seed : int
        Seed of the world and of the initialisation.
    threads : int
        Number of CPU threads, on which weights depend.
    **train
        Fields of `TrainConfig`.
    """
    quiet = {"tensorboard": False, "probe_facts": 0, "device": "cpu", "threads": threads}
    settings: dict[str, Any] = {"model": "pico", "seed": seed, **quiet, **train}
    worlds = {"seed": seed, **world}
    return ModelUnit.of(CorpusUnit(worlds, dict(corpus)), default_config(**settings))


def trial_unit(
    model: ModelUnit, request: EditRequest, method: str, settings: Mapping[str, Any], label: str
) -> TrialUnit:
    """Create the unit of a trial on a model."""
    choice = MethodChoice(method, label, get_method(method, settings), {})
    return TrialUnit.of(model.id, PlanUnit.of(model.corpus.make(), request), choice, Measurement())


@dataclass(frozen=True)
class SharedWorld:
    """The world that most gates share: facts at many levels of exposures.

    Attributes
    ----------
    subjects, relations, objects : int
        Numbers of subjects, of relations, and of objects per relation.
    levels : tuple of int
        Levels of exposures, equally often within each relation (a Latin square). A subject has as
        many of them as there are relations, so its total varies if there are more levels.
    train : dict
        Fields of `TrainConfig`.
    """

    subjects: int = 200
    relations: int = 4
    objects: int = 50
    levels: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    train: Mapping[str, Any] = field(default_factory=lambda: {"batch_size": 8})

    def model(
        self,
        seed: int,
        threads: int = 1,
        *,
        world: Mapping[str, Any] | None = None,
        corpus: Mapping[str, Any] | None = None,
        **train: Any,
    ) -> ModelUnit:
        """Create the unit of a pico model, with some keys of world, corpus and training changed."""
        worlds = {"subjects": self.subjects, "relations": self.relations,
                  "objects": self.objects, **(world or {})}  # fmt: skip
        corpora = {"exposures": f"latin:{','.join(map(str, self.levels))}", **(corpus or {})}
        settings = {"learning_rate": _RATE, **self.train, **train}
        return model_unit(worlds, corpora, seed=seed, threads=threads, **settings)

    @property
    def told(self) -> str:
        """Description of the world in words."""
        return (
            f"{self.subjects * self.relations:,} facts ({self.subjects} subjects x "
            f"{self.relations} relations, {self.objects} objects each) in one plain sentence, "
            f"exposures {self.levels[0]} to {self.levels[-1]} ({len(self.levels)} levels, a Latin "
            f"square), batches of {self.train.get('batch_size')} x "
            f"{self.train.get('block_length', 128)} tokens"
        )

    def request(self, edits: int, **fields: Any) -> EditRequest:
        """Return a request of edits of each level, independent unless `fields` change that."""
        values: dict[str, Any] = {
            "independent": True, "edits": edits, "exposures": self.levels, "repeats": 8,
            "same_object": 8, "same_relation": 16, "regular": 16, "probes": 5, **fields,
        }  # fmt: skip
        return EditRequest(**values)


@dataclass(frozen=True)
class GateResults:
    """Results of the finished units of a gate, for one seed.

    Attributes
    ----------
    directory : StudyDirectory
    units : Units
    seed : int
        Seed of the world and of the initialisation.
    threads : int
        Number of CPU threads of a worker, and of measurements (`measured` sets them).
    """

    directory: StudyDirectory
    units: Units
    seed: int = 0
    threads: int = 1

    def model(self, name: str) -> ModelRecord:
        """Return the record of a model.

        Raises
        ------
        StudyError
            If the model failed, or has not been trained.
        """
        return _done(self.directory.model_record(self.units.models[name].id), f"model {name!r}")

    def trial(self, name: str) -> TrialRecord:
        """Return the record of a trial.

        Raises
        ------
        StudyError
            If the trial failed, or has not been carried out.
        """
        return _done(self.directory.trial_record(self.units.trials[name].id), f"trial {name!r}")

    @cached_property
    def seconds(self) -> float:
        """Total worker seconds of the units."""
        records = [
            *(self.model(name) for name in self.units.models),
            *(self.trial(name) for name in self.units.trials),
        ]
        return sum(sum((record.seconds or {}).values()) for record in records)

    def recall(self, name: str) -> pl.DataFrame:
        """Return the recall of all facts of a model; see `behemoth.study.schemas.RECALL`."""
        check(self._model(name), self.model(name).files, RECALL)
        return pl.read_parquet(self._model(name) / RECALL, glob=False)

    def metrics(self, name: str) -> pl.DataFrame:
        """Return the metrics of a model's training; see `behemoth.train.metrics`."""
        self.model(name)
        return pl.read_parquet(self._model(name) / "metrics.parquet", glob=False)

    def run(self, name: str) -> Run:
        """Return the training run of a model, with its corpus."""
        self.model(name)
        return read_run(self._model(name))

    def load(self, name: str, step: int | None = None) -> PreTrainedModel:
        """Load a model, as it was at the end or after one of its `steps`."""
        model: Any = self.run(name).load_model("cpu")
        if step is not None:
            from behemoth.train.checkpoint import load_weights

            load_weights(self._model(name) / "checkpoints" / f"step-{step:08}", model)
        return model

    def steps(self, name: str) -> list[int]:
        """Return the steps of a model's checkpoints (`checkpoint_history`), in ascending order.

        Raises
        ------
        StudyError
            If there are none: checkpoints are not part of a model's id.
        """
        found = list(checkpoint_paths(self._model(name) / "checkpoints"))
        if not found:
            raise StudyError(f"model {name!r}: it was trained without checkpoints to keep")
        return found

    def frame(self, name: str, kind: Literal["edits", "probes"]) -> pl.DataFrame:
        """Return a frame of a trial."""
        place = self.directory.trial(self.units.trials[name].id)
        check(place, self.trial(name).files, f"{kind}.parquet")
        return pl.read_parquet(place / f"{kind}.parquet", glob=False)

    def after(self, name: str) -> pl.DataFrame:
        """Return the probes of a trial after its edits, without those that broke down."""
        probes = self.frame(name, "probes")
        return probes.filter(pl.col("stage") == "after", pl.col("failure").is_null())

    def curve(self, name: str) -> list[list[float]]:
        """Return the exposures and recall of a model by level, in ascending order."""
        table = self.recall(name).group_by("exposures").agg(pl.col("exact_match").mean())
        return [[level, share] for level, share in table.sort("exposures").iter_rows()]

    def about(self, name: str) -> dict[str, Any]:
        """Return size, training length and recall of a model, as plain values."""
        record = self.model(name)
        return {"size": record.size, "parameters": record.parameters, "steps": record.steps,
                "tokens": record.tokens, "recall": record.recall}  # fmt: skip

    def _model(self, name: str) -> Path:
        return self.directory.model(self.units.models[name].id)


def mean_of(values: pl.Series) -> float:
    """Return the mean of a column; NaN if nothing was measured."""
    mean: Any = values.cast(pl.Float64).mean()
    return math.nan if mean is None else float(mean)


def consequences(after: pl.DataFrame) -> pl.Series:
    """Return whether facts follow that depend on an edited fact and were known: 0 or 1."""
    depends = pl.col("must_change") & pl.col("known") & (pl.col("group") == "subject_nested")
    return after.filter(depends)["exact_match"]


R = TypeVar("R", ModelRecord, TrialRecord)


def _done(record: R | None, what: str) -> R:
    if record is None:
        raise StudyError(f"{what}: it was not carried out")
    if record.status != "done":
        raise StudyError(f"{what}: {record.reason}")
    return record
