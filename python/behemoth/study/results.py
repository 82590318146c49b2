"""Results of a study so far, as lazy frames over its finished trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import polars as pl

from behemoth.plan.directory import edits_in
from behemoth.plan.edit_plan import read_head
from behemoth.store.source import at_hand
from behemoth.support.calls import made_by
from behemoth.support.digests import check
from behemoth.support.errors import CorpusError
from behemoth.support.parquet import check_rows
from behemoth.support.provenance import listed

from .directory import RECALL as RECALL_FILE, StudyDirectory
from .file.axes import axes_frame, axes_of, pooled_axes
from .file.grid import grid_axes
from .records import FOREIGN, ModelRecord, StudyRecord, TrialRecord
from .saturation import load_of
from .schemas import EDITS, PROBES, RECALL, RETENTION, SEQUENCE, SHAPES, SUITES, TRACES

__all__ = ["INDEX", "MODELS", "Failure", "Results"]

MODELS: dict[str, Any] = {
    "model": pl.String,
    "size": pl.String,
    "seed": pl.Int64,
    "world": pl.String,
    "world_seed": pl.Int64,
    "rotation": pl.Int64,
    "swap": pl.Int64,
    "parameters": pl.Int64,
    "parameters_without_embedding": pl.Int64,
    "facts": pl.Int64,
    "bits": pl.Float64,
    "facts_per_object": pl.Float64,
    "load": pl.Float64,
    "recall": pl.Float64,
    "steps": pl.Int64,
    "tokens": pl.Int64,
    "seconds": pl.Float64,
    "loss": pl.Float64,
    "device": pl.String,
}
"""Columns of `Results.models`."""

INDEX: dict[str, Any] = {
    "trial": pl.String,
    "model": pl.String,
    "label": pl.String,
    "method": pl.String,
    "family": pl.String,
    "settings": pl.String,
    "rank": pl.Int64,
    "part": pl.String,
    "optimiser": pl.String,
    "learning_rate": pl.Float64,
    "retain_rows": pl.Int64,
    "size": pl.String,
    "world": pl.String,
    "world_seed": pl.Int64,
    "seed": pl.Int64,
    "rotation": pl.Int64,
    "swap": pl.Int64,
}
"""Columns of `Results.index`, which every frame of trials includes."""

_OF_MODEL = ("model", "size", "seed", "world", "world_seed", "rotation", "swap")
_OF_TRIAL = ("rotation", "swap")
_SETTINGS = ("rank", "part", "optimiser", "learning_rate", "retain_rows")
# In evaluation frames `rank` is the rank of the true object and keeps its name.
_SCHEMAS: dict[str, dict[str, Any]] = {
    "edits": EDITS, "probes": PROBES, "geometry": SHAPES, "retention": RETENTION,
    "traces": TRACES, "suites": SUITES, "sequence": SEQUENCE,
}  # fmt: skip


def _setting(settings: Mapping[str, Any], name: str) -> Any:
    """Return a setting if it has the type of its column: methods of plugins choose their types."""
    value = settings.get(name)
    types = {pl.Int64: int, pl.Float64: (int, float), pl.String: str}[INDEX[name]]
    return value if isinstance(value, types) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class Failure:
    """A trial that failed, or failed in part.

    Attributes
    ----------
    trial : str
        Id of the trial.
    label : str
        Name of its method in the study.
    model : str
    reason : str
    """

    trial: str
    label: str
    model: str
    reason: str


@made_by("bh.load(PATH) of a directory that bh.study wrote")
@dataclass(frozen=True, eq=False)
class Results:
    """The finished trials of a study; accepted wherever a path is.

    Open a study with `Results.open`. Frames of trials (`edits`, `probes`, `geometry`, `retention`,
    `traces`, `suites`, `sequence`) include the columns of `INDEX`. If a frame has a column of the
    same name (``rank`` of probes and geometry), the index's is called ``method_rank``. All frames
    are lazy; a frame for which nothing has been run yet is empty, with all its columns.

    Attributes
    ----------
    directory : StudyDirectory
    about : StudyRecord
        ``study.json``.
    """

    directory: StudyDirectory
    about: StudyRecord
    _hashed: set[tuple[str, str]] = field(default_factory=set, init=False)

    def __fspath__(self) -> str:
        return fspath(self.path)

    def __repr__(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return (
            f"Results({fspath(self.path)!r}, {self.about.name}: {len(self.done):,} of "
            f"{len(self.about.trials):,} trials done{failed})"
        )

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Study {self.about.name}",
            {
                "directory": fspath(self.path),
                "methods": ", ".join(dict.fromkeys(trial.label for trial in self.about.trials)),
                "trials": len(self.about.trials),
                "done": len(self.done),
                "failed": len(self.failures),
            },
        )

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Results:
        """Open a study, finished or not.

        Raises
        ------
        ArgumentError
            If there is no study.
        CorpusError
            If its record is damaged.
        """
        directory = StudyDirectory(at_hand("path", path, "the directory of a study"))
        return cls(directory, directory.read())

    @property
    def path(self) -> Path:
        """The study's directory."""
        return self.directory.path

    @cached_property
    def _records(self) -> dict[str, TrialRecord]:
        found = {trial.id: self.directory.trial_record(trial.id) for trial in self.about.trials}
        return {name: record for name, record in found.items() if record is not None}

    @property
    def done(self) -> list[str]:
        """Ids of the trials that have frames and whose model has a finished record."""
        return self._done(with_model=True)

    @property
    def without_model(self) -> list[str]:
        """Ids of the trials that are done but whose model has no finished record any more.

        Frames exclude them, since they have columns of the model; `study run` trains it again.
        """
        return self._done(with_model=False)

    def _done(self, *, with_model: bool) -> list[str]:
        return [
            name
            for name, record in self._records.items()
            if record.status == "done" and (record.model in self._model_records) is with_model
        ]

    @property
    def failures(self) -> list[Failure]:
        """Trials that failed."""
        return [
            Failure(trial.id, trial.label, trial.model, record.reason or "")
            for trial in self.about.trials
            if (record := self._records.get(trial.id)) is not None and record.status == "failed"
        ]

    @property
    def incomplete(self) -> list[Failure]:
        """Trials that are done except for a part that failed, with the reason of that part."""
        done = set(self.done)
        return [
            Failure(trial.id, trial.label, trial.model, reason)
            for trial in self.about.trials
            if trial.id in done and (reason := self._records[trial.id].reason) is not None
        ]

    @property
    def reasons(self) -> list[tuple[str, str, str]]:
        """Label, model and reason of trials that failed, or failed in part."""
        both = [*self.failures, *self.incomplete]
        return [(each.label, each.model, each.reason) for each in both]

    @property
    def without_retention(self) -> list[str]:
        """Ids of the trials that measure durability and whose batch of edits broke down."""
        there = set(self.retention.select("trial").unique().collect()["trial"])
        return [
            name
            for name in self.done
            if self._records[name].measure.get("durability") and name not in there
        ]

    @property
    def missing(self) -> list[str]:
        """Ids of the trials that have not been carried out yet."""
        return [trial.id for trial in self.about.trials if trial.id not in self._records]

    @cached_property
    def plan_sizes(self) -> dict[str, int]:
        """Number of edits of each plan that has been compiled, by its id."""
        names = {trial.plan for trial in self.about.trials}
        sizes = {name: edits_in(self.directory.plan(name)) for name in names}
        return {name: size for name, size in sizes.items() if size is not None}

    @cached_property
    def _axes(self) -> dict[str, dict[str, Any]]:
        """Values of the axes of the grid by finished trial."""
        names = list(grid_axes(self.about.points))
        requests = dict(self.about.requests)
        for plan in {trial.plan for trial in self.about.trials} - requests.keys() if names else ():
            head = read_head(self.directory.plan(plan)) or {}
            requests[plan] = head.get("request", {})
        models = {model["id"]: model for model in self.about.models}
        done = set(self.done)
        return {
            row.id: axes_of(names, row, models[row.model], requests[row.plan])
            for row in (self.about.trials if names else ())
            if row.id in done
        }

    @cached_property
    def pooled(self) -> dict[str, list[Any]]:
        """Axes of the grid that no table of the report separates, with their values.

        Seeds, rotations, swaps and exposures, which tables or intervals know, are not among them;
        nor are sizes and numbers of subjects, except on boards. `grid` has all axes.
        """
        sizes = {name: record.size for name, record in self._model_records.items()}
        rows = (row for row in self.about.trials if row.id in self._axes)
        return pooled_axes((row, sizes[row.model], self._axes[row.id]) for row in rows)

    @property
    def made_on(self) -> list[str]:
        """Devices and package versions its trials were carried out with, each pair once."""
        said = {
            f"{record.device}, {listed(record.versions or {})}"
            for record in self._records.values()
            if record.device is not None
        }
        return sorted(said)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds of work by stage, over all finished models and all recorded trials.

        A training that was stopped and resumed counts with all its steps.
        """
        total: dict[str, float] = {}
        for record in [*self._model_records.values(), *self._records.values()]:
            for name, value in (record.seconds or {}).items():
                total[name] = total.get(name, 0.0) + value
        return total

    @property
    def edit_seconds(self) -> dict[str, float]:
        """Seconds spent on making the edits of each finished trial of its own, by trial id.

        For models of other tools they are not known: their edits were made elsewhere.
        """
        return {
            name: record.seconds["edit"]
            for name in self._own
            if "edit" in ((record := self._records[name]).seconds or {})
        }

    @property
    def edit_costs(self) -> dict[str, tuple[float, int]]:
        """Operations and bytes per edit of each finished trial whose costs were counted, by id."""
        return {
            name: (record.flops, record.memory)
            for name in self._own
            if (record := self._records[name]).flops is not None and record.memory is not None
        }

    @property
    def _own(self) -> list[str]:
        """Ids of the finished trials whose edits the study made itself."""
        foreign = {row.id for row in self.about.trials if row.family == FOREIGN}
        return [name for name in self.done if name not in foreign]

    @cached_property
    def _model_records(self) -> dict[str, ModelRecord]:
        found = {
            model["id"]: self.directory.model_record(model["id"]) for model in self.about.models
        }
        return {
            name: record
            for name, record in found.items()
            if record is not None and record.status == "done"
        }

    @property
    def _edited_models(self) -> dict[str, ModelRecord]:
        """The finished models, except those that serve only as twins of others."""
        twins = {trial.twin for trial in self.about.trials}
        twins -= {trial.model for trial in self.about.trials}
        return {name: made for name, made in self._model_records.items() if name not in twins}

    @cached_property
    def models(self) -> pl.LazyFrame:
        """One row per trained model that is edited, columns as in `MODELS`.

        bits: entropy of the world; load: bits / (2 x parameters), all parameters counted;
        facts_per_object: number of subject facts divided by the number of objects of their
        relations; recall: share of all facts whose object is generated exactly; seconds: of
        training; loss: mean of the last steps.
        """
        first = {trial.model: trial for trial in reversed(self.about.trials)}
        rows = [
            {
                **record.to_dict(),
                "model": name,
                "rotation": first[name].rotation if name in first else None,
                "swap": first[name].swap if name in first else None,
                "load": load_of(record.bits, record.parameters),
                "seconds": record.training_seconds,
            }
            for name, record in self._edited_models.items()
        ]
        kept = [{name: row.get(name) for name in MODELS} for row in rows]
        return pl.DataFrame(kept, schema=MODELS).lazy()

    @cached_property
    def index(self) -> pl.LazyFrame:
        """One row per finished trial in the order of the study, columns as in `INDEX`.

        settings: all settings of the method, as JSON; those in which arms usually differ (rank,
        part, optimiser, learning_rate, retain_rows) also have their own columns, null if the
        method has no such setting, or one of another type; rank: null also if it is full. rotation
        and swap: how the corpus differs from the unchanged one of the same seed.
        """
        done = set(self.done)
        rows = [
            {
                "trial": trial.id,
                "model": trial.model,
                "label": trial.label,
                "method": trial.method,
                "family": trial.family,
                "settings": json.dumps(trial.settings),
                **{name: _setting(trial.settings, name) for name in _SETTINGS},
                "rotation": trial.rotation,
                "swap": trial.swap,
            }
            for trial in self.about.trials
            if trial.id in done
        ]
        of_model = self.models.select(name for name in _OF_MODEL if name not in _OF_TRIAL)
        if not rows:
            return pl.LazyFrame(schema=INDEX)
        of_trial = pl.DataFrame(rows, schema={name: INDEX[name] for name in rows[0]}).lazy()
        joined = of_trial.join(of_model, on="model", maintain_order="left")
        return joined.select(list(INDEX))

    @property
    def grid(self) -> pl.LazyFrame:
        """One row per finished trial: ``trial``, and a column for each axis of the grid.

        Columns have the dotted names of the axes, such as ``plan.repeats``, and the values that the
        trial was carried out with: null where neither the study nor a default sets one, JSON where
        values are lists or tables. Every frame of trials joins it by ``trial``.
        """
        return axes_frame(grid_axes(self.about.points), self._axes).lazy()

    @property
    def edits(self) -> pl.LazyFrame:
        """One row per edit; columns as in `behemoth.study.schemas.EDITS`.

        efficacy and success are 0 for edits that failed. Their trials evaluated the unedited model,
        which may not generate the old answer either, and so may seem to have forgotten it.
        """
        failed = pl.col("failure").is_not_null()
        return self._frame("edits").with_columns(
            pl.when(failed).then(0.0).otherwise(name).alias(name)
            for name in ("efficacy", "success")
        )

    @property
    def probes(self) -> pl.LazyFrame:
        """One row per edit, probe and stage, as returned by `behemoth.evaluate.evaluate`."""
        return self._frame("probes")

    @property
    def geometry(self) -> pl.LazyFrame:
        """One row per edit and changed parameter; see `trial.batched_geometry.shapes`."""
        return self._frame("geometry")

    @property
    def retention(self) -> pl.LazyFrame:
        """One row per evaluated step and edit; see `trial.durability.retention`."""
        return self._frame("retention")

    @property
    def traces(self) -> pl.LazyFrame:
        """One row per edit and step; see `behemoth.study.trial.measure.trace_frame`."""
        return self._frame("traces")

    @property
    def suites(self) -> pl.LazyFrame:
        """One row per measure of a trial's suite; see `behemoth.study.schemas.SUITES`.

        ``twin`` is the value of the twin itself, ``before`` that of the unedited model.
        """
        return self._frame("suites")

    @property
    def sequence(self) -> pl.LazyFrame:
        """One row per checkpoint and sampled edit of a sequence; see `schemas.SEQUENCE`."""
        return self._frame("sequence")

    @property
    def recall(self) -> pl.LazyFrame:
        """One row per model and fact, in the template ``default`` (else the first one by name).

        Columns as in `behemoth.study.schemas.RECALL`, and columns of the model: model, size, seed,
        world, world_seed, rotation, swap, parameters, load.
        """
        for name, record in self._model_records.items():
            self._check(name, self.directory.model(name), record.files, RECALL_FILE)
        parts = [
            pl.scan_parquet(file, glob=False).with_columns(pl.lit(name).alias("model"))
            for name in self._edited_models
            if (file := self.directory.model(name) / RECALL_FILE).is_file()
        ]
        if not parts:
            parts = [pl.LazyFrame(schema={**RECALL, "model": pl.String})]
        of_model = self.models.select(*_OF_MODEL, "parameters", "load")
        return pl.concat(parts).join(of_model, on="model", how="left", maintain_order="left")

    def _check(self, name: str, place: Path, files: dict[str, str] | None, file: str) -> None:
        """Refuse a damaged frame; each is hashed once."""
        if (name, file) in self._hashed:
            return
        try:
            check(place, files, file)
        except CorpusError as error:
            error.add_note(f"remove {place} and run the study again to recreate it")
            raise
        if (place / file).is_file():
            check_rows(place / file)
        self._hashed.add((name, file))

    def _frame(self, name: str) -> pl.LazyFrame:
        schema = {"trial": pl.String, **_SCHEMAS[name]}
        for trial in self.done:
            place, record = self.directory.trial(trial), self._records[trial]
            self._check(trial, place, record.files, f"{name}.parquet")
        files = [self.directory.trial(trial) / f"{name}.parquet" for trial in self.done]
        files = [file for file in files if file.is_file()]
        frame = pl.LazyFrame(schema=schema)
        if files:  # of which those of earlier versions may lack columns of today
            frame = pl.scan_parquet(files, glob=False, schema=schema, missing_columns="insert")
        clash = [column for column in INDEX if column in schema and column != "trial"]
        index = self.index.rename({column: f"method_{column}" for column in clash})
        return frame.join(index, on="trial", how="left", maintain_order="left")
