"""The study language: a TOML file, read and validated as a whole before anything runs.

::

    name = "frequency"
    question = "Does the frequency of a fact decide how well it can be edited?"
    [primary]                # the one contrast that is stated beforehand
    measure = "ed50"
    method = "lora, rank 1"  # a method's label
    [world]                  # [world] and [corpus] as in spec.toml
    [corpus]
    [train]                  # fields of TrainConfig; what is missing is the size's default
    [plan]                   # fields of EditRequest
    [[method]]               # name, label, settings, grid of settings, plan (over [plan])
    name = "lora"
    grid = { rank = [1, 16] }
    [measure]                # fields of Measure
    [grid]                   # lists by dotted name; their product is the trials
    "world.seed" = [0, 1, 2]
    "corpus.rotation" = [0, 2]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import product
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.plan.request import EditRequest
from behemoth.support.errors import ArgumentError, check_keys, within
from behemoth.train.config import default_config

from .grid import grid_points, laid_over, refuse, turned
from .identity import canonical, model_id, plan_id, trial_id
from .presets import study_text
from .units import CorpusUnit, ModelUnit, PlanUnit, TrialUnit

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["MEASURES", "Expansion", "Measure", "MethodChoice", "Primary", "Study", "read_study"]

MEASURES = ("ed50", "efficacy", "success")
"""What a primary contrast may be about."""
_KEYS = ("name", "question", "primary", "world", "corpus", "train", "plan", "method", "measure",
         "grid")  # fmt: skip
_METHOD_KEYS = ("name", "label", "settings", "grid", "plan")
# A study measures recall once, on all facts, and needs no curves of each of its models.
_QUIET: dict[str, Any] = {"tensorboard": False, "probe_facts": 0}


@dataclass(frozen=True)
class Primary:
    """The contrast that is stated beforehand: the slope of a measure on log2 exposures.

    Parameters
    ----------
    measure : {'ed50', 'efficacy', 'success'}
    method : str
        Label of a method.
    """

    measure: str
    method: str


@dataclass(frozen=True)
class Measure:
    """What is measured of each trial.

    Parameters
    ----------
    durability : int
        Steps of training that goes on on the corpus after the edits; 0 for none.
    durability_rate : float
        Its learning rate, constant, as a share of the peak of training.
    deltas : bool
        Keep what each edit changed.
    geometry : bool
        Measure size and shape of what each edit changed.
    edit_seed : int
        Key of the methods' draws.
    """

    durability: int = 0
    durability_rate: float = 0.1
    deltas: bool = False
    geometry: bool = True
    edit_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("durability", "edit_seed"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise refuse(name, value, "a whole number from 0")
        for name in ("deltas", "geometry"):
            if not isinstance(getattr(self, name), bool):
                raise refuse(name, getattr(self, name), "true or false")
        rate: Any = self.durability_rate
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= 1:
            raise refuse("durability_rate", rate, "a number above 0 up to 1")


@dataclass(frozen=True)
class MethodChoice:
    """A method with its settings, as a study calls it.

    Parameters
    ----------
    name : str
        Of the registry.
    label : str
        Unique in the study.
    settings : dict
        All of them, defaults included.
    plan : dict
        Fields of the request that are other than in ``[plan]`` for this method.
    kinds : frozenset of str
        Kinds of edits that it can carry out.
    family : str
    """

    name: str
    label: str
    settings: dict[str, Any]
    plan: dict[str, Any]
    kinds: frozenset[str]
    family: str


@dataclass(frozen=True)
class Expansion:
    """The units that a study comes to.

    Attributes
    ----------
    models : dict of str to ModelUnit
        By id, in the order in which they are first needed.
    trials : list of TrialUnit
        By model; a trial that several points have in common is there once.
    """

    models: dict[str, ModelUnit]
    trials: list[TrialUnit]

    @property
    def plans(self) -> set[str]:
        """Ids of the plans."""
        return {trial.plan.id for trial in self.trials}


@dataclass(frozen=True, eq=False)
class Study:
    """A study that is fit to run.

    Attributes
    ----------
    name, question : str
    primary : Primary
    tables : dict of str to dict
        ``world``, ``corpus``, ``train``, ``plan`` and ``measure``, as given.
    methods : tuple of MethodChoice
    points : tuple of dict
        The grid's points: values by dotted name.
    text : str
        The TOML.
    directory : Path, optional
        Where the file lies, with arrays that its world may rest on.
    """

    name: str
    question: str
    primary: Primary
    tables: dict[str, dict[str, Any]]
    methods: tuple[MethodChoice, ...]
    points: tuple[dict[str, Any], ...]
    text: str
    directory: Path | None = None

    def __repr__(self) -> str:
        return f"Study({self.name}, methods={len(self.methods)}, points={len(self.points)})"

    @classmethod
    def parse(cls, text: str, directory: Path | None = None) -> Study:
        """Read a study from TOML, and refuse it unless all of it makes sense.

        Raises
        ------
        ArgumentError
            Names the key, the value got and the values allowed. That there are enough facts
            for a plan is seen only when it is compiled.
        """
        try:
            table = tomllib.loads(text)
        except ValueError as error:
            raise ArgumentError("study", "what is no TOML", f"a TOML file; here: {error}") from None
        _known("", table, _KEYS)
        for name in ("name", "question"):
            if not isinstance(table.get(name, ""), str):
                raise refuse(name, table[name], "a text")
        if not re.fullmatch(r"[\w.-]+", table.get("name", "")):
            raise refuse("name", table.get("name", ""), "letters, digits, '-', '_' and '.'")
        sections = ("world", "corpus", "train", "plan", "measure")
        tables = {name: _table(name, table.get(name, {})) for name in sections}
        methods = _methods(table.get("method", []))
        study = cls(
            name=table["name"],
            question=table.get("question", ""),
            primary=_primary(table.get("primary", {}), methods),
            tables=tables,
            methods=methods,
            points=tuple(grid_points(table.get("grid", {}))),
            text=text,
            directory=directory,
        )
        study.expand()
        return study

    def expand(self, threads: int = 1) -> Expansion:
        """Give the models and trials that the study comes to.

        Parameters
        ----------
        threads : int
            CPU threads of a worker, unless ``[train]`` says so: weights depend on them.

        Raises
        ------
        ArgumentError
            On a value of some point that is not allowed.
        """
        models: dict[str, ModelUnit] = {}
        trials: dict[str, TrialUnit] = {}
        made: dict[str, Corpus] = {}
        for point in self.points:
            model, requests, measure = self._point(point, threads, made)
            models.setdefault(model.id, model)
            for method, (plan, rotation) in requests:
                name = trial_id(model.id, plan.id, method.name, method.settings, measure)
                about = {"label": method.label, "rotation": rotation, "family": method.family}
                trial = TrialUnit(
                    name, model.id, plan, method.name, method.settings, measure, about
                )
                other = trials.setdefault(name, trial)
                if other.about["label"] != method.label:
                    raise refuse(
                        "method", method.label, f"one that differs from {other.about['label']!r}"
                    )
        order = {name: place for place, name in enumerate(models)}
        return Expansion(models, sorted(trials.values(), key=lambda trial: order[trial.model]))

    def _point(
        self, point: Mapping[str, Any], threads: int, made: dict[str, Corpus]
    ) -> tuple[ModelUnit, list[tuple[MethodChoice, tuple[PlanUnit, int]]], dict[str, Any]]:
        tables = laid_over(self.tables, point)
        place = None if self.directory is None else fspath(self.directory)
        table, rotation = turned(tables["corpus"])
        unit = CorpusUnit(tables["world"], table, place)
        corpus = _make(unit, made)
        with _within("train"):
            settings: dict[str, Any] = {**_QUIET, "threads": threads, **tables["train"]}
            config = default_config(**settings)
        model = ModelUnit(model_id(corpus.spec, config), unit, config)
        with _within("measure"):
            _known("measure", tables["measure"], [field.name for field in fields(Measure)])
            measure = asdict(Measure(**tables["measure"]))
        straight = {key: value for key, value in tables["corpus"].items() if key != "rotation"}
        first = CorpusUnit(tables["world"], straight, place)
        requests: list[tuple[MethodChoice, tuple[PlanUnit, int]]] = []
        for method in self.methods:
            with _within("plan"):
                request = _request({**tables["plan"], **method.plan}, method)
            twin = first if rotation and request.edits is not None else None
            chosen = None if twin is None else _make(twin, made)
            if chosen is None or chosen.spec_hash == corpus.spec_hash:
                twin = chosen = None  # a whole turn is none
            name = plan_id(
                corpus.spec_hash, request.to_dict(), None if chosen is None else chosen.spec
            )
            requests.append((method, (PlanUnit(name, request, twin), rotation)))
        return model, requests, measure


def read_study(source: str | PathLike[str], size: str | None = None) -> Study:
    """Read a study file, the study of a directory, or a preset; see `presets.study_text`.

    Raises
    ------
    ArgumentError
        When there is none, or `Study.parse` refuses it.

    Examples
    --------
    >>> read_study("frequency", "quick")
    Study(frequency, methods=4, points=6)
    """
    return Study.parse(*study_text(source, size))


@contextmanager
def _within(*place: str | int) -> Generator[None]:
    """Put the place in the file before the names in errors of what is made from it."""
    try:
        yield
    except ArgumentError as error:
        if error.path[0] == place[0]:  # the engine says where in its own spec
            raise
        # A method by name and its settings as a whole have no name of their own here.
        first = {"method": "name", "set": "settings"}.get(str(error.path[0]), error.path[0])
        raise error.named(*place, first, *error.path[1:]) from None
    except TypeError as error:
        raise ArgumentError(place, "a value of another type", str(error)) from None


def _make(unit: CorpusUnit, made: dict[str, Corpus]) -> Corpus:
    from behemoth.corpus.world import World

    key = canonical([unit.world, unit.corpus])
    if key not in made:
        if "table" not in unit.world:
            with _within("world"):
                World.from_spec(unit.world)
        with _within("corpus"):
            made[key] = unit.make()
    return made[key]


def _known(place: str, table: Mapping[str, Any], known: list[str] | tuple[str, ...]) -> None:
    with within(*([place] if place else [])):
        check_keys(table, known)


def _table(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refuse(name, value, "a table")
    return value


def _request(values: dict[str, Any], method: MethodChoice) -> EditRequest:
    request = EditRequest.from_dict(values)
    if request.edits is None and request.fraction is None and request.kind == "remap":
        raise refuse("edits", None, "how many facts to edit")
    if request.kind not in method.kinds:
        kinds = ", ".join(sorted(method.kinds))
        raise refuse("kind", request.kind, f"for {method.label!r}: {kinds}")
    return request


def _primary(value: object, methods: tuple[MethodChoice, ...]) -> Primary:
    table = _table("primary", value)
    _known("primary", table, ("measure", "method"))
    labels = [method.label for method in methods]
    primary = Primary(table.get("measure", MEASURES[0]), table.get("method", labels[0]))
    if primary.measure not in MEASURES:
        raise refuse("primary.measure", primary.measure, ", ".join(MEASURES))
    if primary.method not in labels:
        raise refuse("primary.method", primary.method, "; ".join(labels))
    return primary


def _methods(value: object) -> tuple[MethodChoice, ...]:
    if not isinstance(value, list) or not value:
        raise refuse("method", value, "at least one [[method]]")
    found: list[MethodChoice] = []
    for number, item in enumerate(value):
        place = f"method[{number}]"
        for choice in _method(place, _table(place, item)):
            if any(choice.label == other.label for other in found):
                raise refuse(f"{place}.label", choice.label, "each label once")
            found.append(choice)
    return tuple(found)


def _method(place: str, table: dict[str, Any]) -> list[MethodChoice]:
    from behemoth.edit.protocol import settings_of
    from behemoth.edit.registry import get_method

    _known(place, table, _METHOD_KEYS)
    name, label = table.get("name"), table.get("label")
    if not isinstance(name, str):
        raise refuse(f"{place}.name", name, "the name of a method (`behemoth methods`)")
    if label is not None and (not isinstance(label, str) or not label):
        raise refuse(f"{place}.label", label, "a text")
    settings = _table(f"{place}.settings", table.get("settings", {}))
    plan = _table(f"{place}.plan", table.get("plan", {}))
    _known(f"{place}.plan", plan, [field.name for field in fields(EditRequest)])
    grid = _table(f"{place}.grid", table.get("grid", {}))
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise refuse(f"{place}.grid.{key}", values, "a list of values, such as [1, 16]")
    found: list[MethodChoice] = []
    for values in product(*grid.values()):
        own = dict(zip(grid, values, strict=True))
        given = {**settings, **own}
        words = [f"{key} {value}" for key, value in (own if label else given).items()]
        with _within(place):
            method = get_method(name, given)
        found.append(
            MethodChoice(
                name=name,
                label=", ".join([label or name, *words]),
                settings=settings_of(method),
                plan=plan,
                kinds=frozenset(method.info.kinds),
                family=method.info.family,
            )
        )
    return found
