"""Files of a method's settings, as `behemoth tune` writes them, and those in the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from typing import Any, get_type_hints

from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.fields import made, read_text
from behemoth.support.files import text_of
from behemoth.support.toml import no_toml, read_toml

from .registry import check_settings, method_type
from .tuned import OWN, WORLDS, tuned_table, world_in

__all__ = ["TunedSettings", "Tuning", "is_table_of_file", "read_settings", "read_tuning",
           "read_words", "settings_in", "tuned_settings"]  # fmt: skip


@dataclass(frozen=True)
class Tuning:
    """How settings were chosen, from the table ``tuning`` of the file of settings.

    Attributes
    ----------
    objective : str
        The suite whose score was maximised.
    trials : int
    seconds : float
        Duration of all edits of all trials, without evaluation.
    rows : int
        Maximum number of rows of a mixture that an edit could pass forward and backward.
    score, default_score : float
        Scores of the chosen settings, and of the method's default settings.
    default_steps : int, optional
        Number of steps that `default_score` was obtained with, if `rows` allowed fewer than the
        default.
    spec_hash, world_id, plan_hash : str, optional
        Hash of the corpus's spec, id of its world (`behemoth.train.run.world_id`) and hash of the
        plan of the trials; missing in files of earlier versions.
    world_seed : int, optional
        Seed of the world, unless its facts are those of a table; missing in files of earlier
        versions.
    """

    objective: str
    trials: int
    seconds: float
    rows: int
    score: float
    default_score: float
    default_steps: int | None = None
    spec_hash: str | None = None
    world_id: str | None = None
    plan_hash: str | None = None
    world_seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that have a value as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TunedSettings:
    """Settings of a method that were tuned, from the package.

    Attributes
    ----------
    method : str
    world : str
        Kind of the world that it was tuned on: ``tokens`` or ``text``.
    settings : dict
        Values of the settings that were searched; the others keep their defaults.
    tuning : Tuning
        How they were chosen.
    """

    method: str
    world: str
    settings: dict[str, Any]
    tuning: Tuning


def tuned_settings(method: str, world: str) -> TunedSettings:
    """Return the settings that tuning chose for a method, which the package contains.

    They were chosen on one world of the kind with one small model, and may suit no other. Editing
    methods were tuned with locality where that was done, so that what an edit's bystanders keep
    counts; unlearning methods by the score of unlearning.

    Parameters
    ----------
    method : str
        Name of a method.
    world : {'tokens', 'text'}
        Kind of world: plain tokens, or biographies (grammar ``bios-en``).

    Raises
    ------
    ArgumentError
        For another kind of world, or a method without such settings.

    Examples
    --------
    >>> from behemoth.edit import tuned_settings
    >>> found = tuned_settings("ft", "text")
    >>> sorted(found.settings), found.tuning.objective
    (['learning_rate', 'steps'], 'editing-locality')
    """
    if not isinstance(world, str) or world not in WORLDS:
        raise ArgumentError.unknown("world", world, WORLDS)
    method_type(method)
    with renamed(settings="method"):
        table = tuned_table(method, world)
    return TunedSettings(method, world, table["settings"], made(Tuning, table["tuning"]))


def read_settings(
    source: str | PathLike[str], name: str, world: str | None = None
) -> dict[str, Any]:
    """Read the settings of a method from a file, as `behemoth tune` writes one.

    Parameters
    ----------
    source : str or path
        ``tuned:tokens`` or ``tuned:text`` for those of `tuned_settings`, ``tuned:world`` for
        those of `world`; otherwise a file, TOML with the method's ``name`` and a table
        ``settings``.
    name : str
        The method that the file must be for.
    world : {'tokens', 'text'}, optional
        Kind of the world whose facts are edited; without it ``tuned:world`` is refused.

    Raises
    ------
    ArgumentError
        If the file is missing or not TOML, or is for another method.
    """
    return settings_in(_read(source, name, world), name, fspath(source))


def is_table_of_file(settings: object) -> bool:
    """Return whether settings are the table of a file of them, as `behemoth.load` returns it."""
    return isinstance(settings, Mapping) and "name" in settings and "settings" in settings


def settings_in(table: Mapping[str, Any], name: str, source: str) -> dict[str, Any]:
    """Return the settings in the table of a file.

    Parameters
    ----------
    table : mapping of str to value
    name : str
        The method that the file must be for.
    source : str
        The file, for errors.

    Raises
    ------
    ArgumentError
        If the table is for another method.
    """
    if table.get("name") != name:
        of = f"of {table['name']!r}" if "name" in table else "of no method"
        raise ArgumentError("settings", f"{source}, {of}", f"of {name!r}")
    settings = table.get("settings", {})
    if not isinstance(settings, dict):
        raise ArgumentError("settings", settings, "a table")
    return settings


def read_words(words: Mapping[str, str], name: str) -> dict[str, Any]:
    """Parse settings from command-line text, by the types of a method's fields.

    Parameters
    ----------
    words : mapping of str to str
        Lists as ``2,3`` or ``[2,3]``, None as ``none``.
    name : str
        Name of the method.

    Raises
    ------
    ArgumentError
        For an unknown method or setting, or a text that is not a value of its type.
    """
    check_settings(words, name)
    hints = get_type_hints(method_type(name))
    return {key: read_text(key, text, hints[key]) for key, text in words.items()}


def read_tuning(source: str | PathLike[str], name: str) -> Tuning | None:
    """Read how the settings of a file were chosen; return None if it has no table ``tuning``.

    Parameters
    ----------
    source, name
        As for `read_settings`.

    Raises
    ------
    ArgumentError
        If the file is missing or not TOML, or its table ``tuning`` is invalid.
    """
    table = _read(source, name).get("tuning")
    try:
        return None if table is None else made(Tuning, table)
    except ArgumentError as error:
        raise error.within("tuning") from None


def _read(source: str | PathLike[str], name: str, world: str | None = None) -> dict[str, Any]:
    if (kind := world_in(source, own=world is not None)) is not None:
        method_type(name)  # an unknown method is refused as such
        kind = world if world is not None and kind == OWN else kind
        return tuned_table(name, kind, given=str(source))
    place = path_of("settings", source)
    try:
        return read_toml(text_of(place))
    except ValueError as error:
        raise no_toml("settings", fspath(source), error) from None
    except OSError:
        allowed = "a table, a file of settings (`behemoth tune`), or tuned:WORLD"
        raise ArgumentError("settings", as_found(source), allowed) from None
