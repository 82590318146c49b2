"""The studies included in the package: files of the folder `presets`, named NAME-SIZE.toml."""

from __future__ import annotations

from importlib import resources
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError, nearest, renamed
from behemoth.support.files import text_of
from behemoth.support.kinds import as_grammar, is_grammar
from behemoth.support.toml import no_toml, not_utf8, read_toml

__all__ = ["SIZES", "preset_names", "preset_sizes", "preset_text", "study_table", "study_text"]

SIZES = ("smoke", "quick", "desk", "paper")
"""Sizes: minutes, up to half an hour and hours on 2 cores, and days on GPUs."""
_ALLOWED = "a study file (TOML), or a preset's name"
_FOLDER = resources.files("behemoth.study.file") / "presets"


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, without their sizes, in alphabetical order."""
    files = {file.name for file in _FOLDER.iterdir() if file.name.endswith(".toml")}
    return tuple(sorted({name.rpartition("-")[0] for name in files}))


def preset_sizes(name: str) -> tuple[str, ...]:
    """Return the sizes of a preset, the smallest first."""
    return tuple(size for size in SIZES if (_FOLDER / f"{name}-{size}.toml").is_file())


def preset_text(name: str, size: str = "smoke") -> str:
    """Return the TOML of a preset.

    Parameters
    ----------
    name : str
        One of `preset_names`, or a name with its size, such as ``frequency-quick``.
    size : {'smoke', 'quick', 'desk', 'paper'}

    Raises
    ------
    ArgumentError
        If there is no preset of that name or size.
    """
    given, names = str(name), preset_names()
    head, dash, tail = given.rpartition("-")
    if dash and tail in SIZES:
        given, size = head, tail
    if given not in names:
        allowed = f"a study file, or one of {', '.join(names)}"
        raise ArgumentError("name", given, allowed, nearest(given, names))
    sizes = preset_sizes(given)
    if size not in sizes:
        raise ArgumentError.unknown("size", size, sizes)
    return (_FOLDER / f"{given}-{size}.toml").read_text(encoding="utf-8")


def study_table(text: str, file: str) -> dict[str, Any]:
    """Return the tables of a study file, whose keys are not checked.

    Parameters
    ----------
    text, file : str
        Contents and name of the file.

    Raises
    ------
    ArgumentError
        If it is not TOML, or a grammar.
    """
    try:
        table = read_toml(text)
    except ValueError as error:
        raise no_toml("source", file, error) from None
    if is_grammar(table):
        raise ArgumentError("source", as_grammar(file), "a study (TOML)")
    return table


def study_text(source: str | PathLike[str], size: str | None = None) -> tuple[str, Path | None]:
    """Return the TOML of a study file, study directory or preset, and the folder of the file.

    Parameters
    ----------
    source : path or str
        A file, a directory, or the name of a preset, for which the folder is None.
    size : {'smoke', 'quick', 'desk', 'paper'}, optional
        Size of a preset, not allowed for files; smoke by default.

    Raises
    ------
    ArgumentError
        If there is no such study, or a size is given for a file.
    """
    place = path_of("source", source, _ALLOWED)
    place = place / "study.toml" if place.is_dir() else place
    if place.suffix != ".toml" and not place.is_file():
        with renamed(name="source"):
            return preset_text(fspath(source), "smoke" if size is None else size), None
    if size is not None:
        raise ArgumentError("size", size, "not with a study file")
    try:
        return text_of(place), place.parent.resolve()
    except UnicodeDecodeError as error:
        raise not_utf8("source", fspath(place), error) from None
    except (OSError, ValueError):
        raise ArgumentError("source", as_found(source), _ALLOWED) from None
