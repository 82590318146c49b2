"""The methods of a study: its ``[[method]]`` tables, each with its settings or a grid of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from typing import Any

from behemoth.edit.protocol import EditMethod, settings_of
from behemoth.edit.registry import get_method, method_names
from behemoth.plan.request import EditRequest
from behemoth.support.errors import ArgumentError, check_keys, within

from .grid import SECTIONS, check_size, table_of

__all__ = ["MethodChoice", "read_methods"]

_KEYS = ("name", "label", "settings", "grid", "plan", "where")


@dataclass(frozen=True)
class MethodChoice:
    """A method with its settings, as a study calls it.

    Parameters
    ----------
    name : str
        Of the registry.
    label : str
        Unique in the study.
    method : EditMethod
    plan : mapping
        Fields of the request that are other than in ``[plan]`` for this method.
    where : mapping of dotted name to list
        Only at points of the grid with these values is it carried out; at all by default. What
        neither point nor section says is 0, as seeds, rotations and swaps are by default.
    """

    name: str
    label: str
    method: EditMethod
    plan: Mapping[str, Any]
    where: Mapping[str, list[Any]] = field(default_factory=dict)

    def is_at(self, tables: Mapping[str, Any]) -> bool:
        """Whether it is carried out at a point, which the sections are given with."""
        return all(_said(tables, name) in values for name, values in self.where.items())

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the method, defaults included, as plain values."""
        return settings_of(self.method)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "label": self.label, "name": self.name, "family": self.method.info.family,
            "settings": self.settings, "plan": dict(self.plan),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MethodChoice:
        """Make the choice that `to_dict` gave."""
        method = get_method(values["name"], values["settings"])
        return cls(values["name"], values["label"], method, values["plan"])


def _said(tables: Mapping[str, Any], name: str) -> Any:
    value: Any = tables
    for key in name.split("."):
        value = value.get(key, 0) if isinstance(value, Mapping) else 0
    return value


def read_methods(value: object) -> tuple[MethodChoice, ...]:
    """Read the ``[[method]]`` tables of a study.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, list) or not value:
        raise ArgumentError("method", value, "at least one [[method]]")
    found: list[MethodChoice] = []
    for number, item in enumerate(value):
        with within("method", number):
            for choice in _choices(table_of((), item)):
                if any(choice.label == other.label for other in found):
                    raise ArgumentError("label", choice.label, "each label once")
                found.append(choice)
    return tuple(found)


def _choices(table: Mapping[str, Any]) -> list[MethodChoice]:
    check_keys(table, _KEYS)
    name, label = table.get("name"), table.get("label")
    if not isinstance(name, str):
        raise ArgumentError("name", name, "the name of a method (`behemoth methods`)")
    if name not in (names := method_names()):
        raise ArgumentError.unknown("name", name, names)
    if label is not None and (not isinstance(label, str) or not label):
        raise ArgumentError("label", label, "a text")
    settings = table_of("settings", table.get("settings", {}))
    plan = table_of("plan", table.get("plan", {}))
    with within("plan"):
        check_keys(plan, [own.name for own in fields(EditRequest)])
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
    found: list[MethodChoice] = []
    for values in product(*grid.values()):
        own = dict(zip(grid, values, strict=True))
        given = {**settings, **own}
        words = [f"{key} {value}" for key, value in (own if label else given).items()]
        try:
            method = get_method(name, given, text=True)  # TOML has no word of its own for none
        except ArgumentError as error:
            raise error.within("grid" if error.path[0] in own else "settings") from None
        found.append(MethodChoice(name, ", ".join([label or name, *words]), method, plan, where))
    return found
