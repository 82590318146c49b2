"""The methods of a study: its ``[[method]]`` tables, each with its settings or a grid of them.

A table specifies one method or, with ``family``, all methods of a family, those of other packages
included: a leaderboard that had to list its methods would miss a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

from behemoth.edit.errors import MethodError, MethodWarning
from behemoth.edit.protocol import EditMethod, Family, settings_of
from behemoth.edit.registry import (
    get_method,
    loadable_methods,
    method_names,
    method_type,
    unknown_method,
)
from behemoth.edit.settings import Tuning, read_settings, read_tuning
from behemoth.edit.tuned import OWN, PREFIX, WORLDS, tuned_worlds, world_in
from behemoth.plan.request import EditRequest
from behemoth.support.errors import ArgumentError, check_keys, within
from behemoth.support.fields import made
from behemoth.support.notices import warn_caller

from .grid import SECTIONS, check_size, table_of, value_at
from .measurement import Measurement

__all__ = ["MethodChoice", "named_tables", "read_methods", "settings_file"]

_KEYS = ("name", "family", "without", "label", "settings", "tuning", "grid", "plan", "measure",
         "where")  # fmt: skip


@dataclass(frozen=True)
class MethodChoice:
    """A method with its settings and its label in a study.

    Parameters
    ----------
    name : str
        Name in the registry.
    label : str
        Name in the study, where it is unique.
    method : EditMethod
    plan, measure : mapping
        Fields of the request and of `Measurement` that override ``[plan]`` and ``[measure]`` for
        this method.
    where : mapping of dotted name to list
        Values of the points of the grid at which the method is carried out; all points by default.
        A name that neither the point nor its section specifies counts as 0, which is the default
        of seeds, rotations and swaps.
    tuning : Tuning, optional
        How the settings were tuned, if their file states it; not part of any id.
    world : str, optional
        Kind of world that the settings are for, where they depend on it, or that settings of the
        package (``tuned:text``) were tuned on; not part of any id.
    worlds : mapping of str to MethodChoice
        The method by kind of world, if its settings are ``tuned:world``; a point of the grid takes
        one of them (`at`), and `method` has the defaults.
    """

    name: str
    label: str
    method: EditMethod
    plan: Mapping[str, Any]
    where: Mapping[str, list[Any]] = field(default_factory=dict)
    measure: Mapping[str, Any] = field(default_factory=dict)
    tuning: Tuning | None = None
    world: str | None = None
    worlds: Mapping[str, MethodChoice] = field(default_factory=dict)

    def at(self, world: str) -> MethodChoice:
        """Return the method with its settings for a kind of world (`WORLDS`)."""
        return self.worlds.get(world, self)

    def among(self, worlds: Collection[str | None]) -> MethodChoice:
        """Return the method restricted to kinds of world, at least one."""
        kept = {world: own for world, own in self.worlds.items() if world in worlds}
        return next(iter(kept.values())) if len(kept) == 1 else replace(self, worlds=kept)

    def is_at(self, tables: Mapping[str, Any]) -> bool:
        """Return whether it is carried out at the point whose sections are `tables`."""
        return all(value_at(tables, name, 0) in values for name, values in self.where.items())

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the method, defaults included, as plain values."""
        return settings_of(self.method)

    @property
    def whence(self) -> str:
        """Origin of the settings: ``default``, ``tuned`` or ``given`` (set by hand).

        Settings by kind of world are tuned if those for any kind are.
        """
        if self.worlds:
            origins = [own.whence for own in self.worlds.values()]
            return next((one for one in ("tuned", "given") if one in origins), "default")
        if self.tuning is not None:
            return "tuned"
        own = self.settings == settings_of(method_type(self.name)())
        return "default" if own else "given"

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain values.

        If the settings depend on the kind of world, ``worlds`` has ``settings``, ``whence`` and
        ``tuning`` of each.
        """
        values = {
            "label": self.label, "name": self.name, "family": self.method.info.family,
            "plan": dict(self.plan),
        }  # fmt: skip
        if self.worlds:
            by_world = {world: own._chosen() for world, own in self.worlds.items()}
            return {**values, "whence": self.whence, "worlds": by_world}
        return {**values, **self._chosen()}

    def _chosen(self) -> dict[str, Any]:
        """Return the settings and their origin as plain values."""
        values: dict[str, Any] = {"settings": self.settings, "whence": self.whence}
        if self.tuning is not None:
            values["tuning"] = self.tuning.to_dict()
        return values if self.world is None else {**values, "world": self.world}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MethodChoice:
        """Create the choice from values of `to_dict`, which lack ``where`` and ``measure``."""
        by_world = {
            world: cls.from_dict({**values, **own, "worlds": {}})
            for world, own in values.get("worlds", {}).items()
        }
        method = get_method(values["name"], values.get("settings", {}))
        tuning = values.get("tuning")
        return cls(
            values["name"], values["label"], method, values["plan"],
            tuning=None if tuning is None else made(Tuning, tuning), world=values.get("world"),
            worlds=by_world,
        )  # fmt: skip


def read_methods(value: object, directory: Path | None = None) -> tuple[MethodChoice, ...]:
    """Read the ``[[method]]`` tables of a study.

    Parameters
    ----------
    value : object
        Value of the key ``method`` in the file.
    directory : Path, optional
        Folder of the files of settings; the working directory by default.

    Raises
    ------
    ArgumentError
        If a table is invalid, or a label is not unique.
    """
    if not isinstance(value, list) or not value:
        raise ArgumentError("method", value, "at least one [[method]]")
    found: list[MethodChoice] = []
    for number, item in enumerate(value):
        with within("method", number):
            for name, table in named_tables(item):
                for choice in _choices(name, table, directory):
                    if any(choice.label == other.label for other in found):
                        raise ArgumentError("label", choice.label, "each label once")
                    found.append(choice)
    return tuple(found)


def named_tables(
    value: object, among: Collection[str] | None = None
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the methods of a ``[[method]]`` table: one by its name, or all of a family.

    Of a family, methods that cannot be loaded are left out with a warning.

    Parameters
    ----------
    value : object
        The table.
    among : collection of str, optional
        Names of the methods to return. Others are not imported, as a method of another package may
        be broken; whether the names in ``without`` are of the family is then not checked.

    Raises
    ------
    ArgumentError
        If the table is invalid.
    MethodError
        If a method in `among` cannot be loaded.
    """
    table = table_of((), value)
    check_keys(table, _KEYS)
    name, family, names = table.get("name"), table.get("family"), method_names()
    if family is None:
        if not isinstance(name, str):
            raise ArgumentError("name", name, "the name of a method (`behemoth methods`)")
        if name not in names:
            raise unknown_method("name", name, names)
        if "without" in table:
            raise ArgumentError("without", table["without"], "only with a family")
        return [(name, table)] if among is None or name in among else []
    if family not in get_args(Family):
        raise ArgumentError.unknown("family", family, get_args(Family))
    for key in ("name", "label", "tuning"):
        if key in table:
            raise ArgumentError(key, table[key], "none with a family, whose methods have their own")
    without = table.get("without", [])
    if not isinstance(without, list):
        raise ArgumentError("without", without, "a list of names of methods")
    sought = names if among is None else [each for each in names if each in among]
    broken: dict[str, str] = {}
    found = loadable_methods(sought, broken.setdefault)
    own = [each for each, _, info in found if info.family == family]
    for each, line in broken.items():
        if among is not None:  # asked for by name
            raise MethodError(line)
        if each not in without:
            warn_caller(line, MethodWarning)
    for each in without if among is None else ():
        if each not in own and each not in broken:
            raise ArgumentError.unknown("without", each, own)
    return [(each, {**table, "label": each}) for each in own if each not in without]


def _choices(name: str, table: Mapping[str, Any], directory: Path | None) -> list[MethodChoice]:
    label = table.get("label")
    if label is not None and (not isinstance(label, str) or not label):
        raise ArgumentError("label", label, "a text")
    source, told = table.get("settings", {}), _told(table)
    plan = _fields_of("plan", table, EditRequest)
    measure = _fields_of("measure", table, Measurement)
    where = table_of("where", table.get("where", {}))
    for key, values in where.items():
        section, dot, _ = key.partition(".")
        if not isinstance(values, list) or not values or not dot:
            raise ArgumentError(
                ("where", key), values, 'a list of values by dotted name: {"world.seed" = [0, 1]}'
            )
        if section not in SECTIONS:
            raise ArgumentError.unknown("where", section, SECTIONS)
    grid = table_of("grid", table.get("grid", {}))
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ArgumentError(("grid", key), values, "a list of values, such as [1, 16]")
    check_size("grid", grid)
    # Settings of a file are too many for a label.
    base = {} if label or isinstance(source, str) else table_of("settings", source)
    tuned = tuned_worlds(name) if world_in(source, own=True) == OWN else None
    found: list[MethodChoice] = []
    for values in product(*grid.values()):
        own = dict(zip(grid, values, strict=True))
        words = [f"{key} {value}" for key, value in {**base, **own}.items()]
        called = ", ".join([label or name, *words])
        choice = partial(MethodChoice, name, called, plan=plan, where=where, measure=measure)
        if not tuned:
            method, tuning = _method(name, {} if tuned == [] else source, own, directory)
            tuning = tuning if told is None or own else told
            world = None if tuning is None or tuned == [] else world_in(source)
            found.append(choice(method=method, tuning=tuning, world=world))
            continue
        by_world: dict[str, MethodChoice] = {}
        for world in WORLDS:  # of one that it was not tuned on, a method has its defaults
            of_world = f"{PREFIX}{world}" if world in tuned else {}
            method, tuning = _method(name, of_world, own, directory)
            by_world[world] = choice(method=method, tuning=tuning, world=world)
        found.append(choice(method=get_method(name), worlds=by_world))
    return found


def _told(table: Mapping[str, Any]) -> Tuning | None:
    """Return how settings in a table were tuned; a file of settings states it itself."""
    if "tuning" not in table:
        return None
    if not isinstance(table.get("settings"), Mapping):
        raise ArgumentError("tuning", table["tuning"], "only with a table of settings")
    with within("tuning"):
        return made(Tuning, table_of((), table["tuning"]))


def _method(
    name: str, source: object, own: Mapping[str, Any], directory: Path | None
) -> tuple[EditMethod, Tuning | None]:
    """Return a method with the settings of its table and, on top of them, those of a grid."""
    settings, tuning = _settings(name, source, directory)
    try:
        method = get_method(name, {**settings, **own}, text=True)  # TOML has no null value
    except ArgumentError as error:
        raise error.within("grid" if error.path[0] in own else "settings") from None
    # Settings that a grid changes are no longer the tuned ones.
    return method, None if own else tuning


def _fields_of(key: str, table: Mapping[str, Any], kind: type) -> dict[str, Any]:
    values = table_of(key, table.get(key, {}))
    with within(key):
        check_keys(values, [own.name for own in fields(kind)])
    return values


def _settings(
    name: str, value: object, directory: Path | None
) -> tuple[Mapping[str, Any], Tuning | None]:
    """Return settings given as a table, read from a file of `behemoth tune`, or in the package."""
    if not isinstance(value, str):
        return table_of("settings", value), None
    if value.startswith(PREFIX):
        return read_settings(value, name), read_tuning(value, name)
    file = settings_file(value, name, directory)
    return read_settings(file, name), read_tuning(file, name)


def settings_file(value: str, name: str, directory: Path | None) -> Path:
    """Return the file that the text of a key ``settings`` names for a method."""
    return (directory or Path()) / value.replace("{method}", name)
