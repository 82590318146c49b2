"""Settings that were tuned, in the package: a file for each kind of world.

``python -m behemoth.edit.tuned docs/results/tuned`` writes the files from those that
`behemoth tune` left there (``best.toml``); a test compares them. For editing those tuned with
locality come first: the score of editing does not show what else a model loses.
"""

from __future__ import annotations

import sys
import tomllib
from copy import deepcopy
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from behemoth.support.errors import ArgumentError
from behemoth.support.files import write_bytes

from .registry import OWN_METHODS

__all__ = ["OWN", "PREFIX", "WORLDS", "check_tuned", "kind_of_world", "text_of", "tuned_table",
           "tuned_worlds", "world_in"]  # fmt: skip

PREFIX = "tuned:"
"""Before the kind of world, in the place of a file of settings: ``tuned:text``."""
WORLDS = {
    "tokens": "a world of plain tokens",
    "text": "a world written as biographies (grammar bios-en)",
}
"""The kinds of world that methods were tuned on."""
OWN = "world"
"""In the place of a kind: that of the world whose facts are edited, ``tuned:world``."""

_OBJECTIVES = ("locality", "tuned")  # folders are WORLD-OBJECTIVE; the first that has a method
_FOLDER = resources.files("behemoth.edit") / "chosen"
_HEAD = """\
# Settings that were chosen by trials on {kind}, for `--set {prefix}{world}`:
#     behemoth tune METHOD --on {world}-run --trials 16 --exposures 16,64 --rows 1280 \\
#         --objective OBJECTIVE
# docs/results/tuned/index.md has the run, the trials, and the results on other worlds.
# Written by `python -m behemoth.edit.tuned docs/results/tuned`.
"""


def kind_of_world(grammar: object) -> str:
    """Return the kind of a world: ``text`` if its corpus has a grammar, otherwise ``tokens``."""
    return "tokens" if grammar is None else "text"


def world_in(value: object, *, own: bool = False) -> str | None:
    """Return the kind of world in a text such as ``tuned:text``; None for anything else.

    Parameters
    ----------
    value : object
    own : bool
        Whether ``tuned:world`` is allowed, for which `OWN` is returned.

    Raises
    ------
    ArgumentError
        For another kind than those of `WORLDS`.
    """
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return None
    world = value.removeprefix(PREFIX)
    allowed = [*WORLDS, OWN] if own else list(WORLDS)
    if world not in allowed:
        raise ArgumentError.unknown("settings", value, [f"{PREFIX}{one}" for one in allowed])
    return world


def tuned_worlds(method: str) -> list[str]:
    """Return the kinds of world for which the package has tuned settings of a method."""
    return [world for world in WORLDS if method in _tables(world)]


def check_tuned(method: str) -> None:
    """Refuse ``tuned:world`` for a method without tuned settings for any kind of world.

    Raises
    ------
    ArgumentError
        Before the kind is known, which takes the corpus of a run.
    """
    if not tuned_worlds(method):
        tuned = {name for world in WORLDS for name in _tables(world)}
        names = ", ".join(name for name in OWN_METHODS if name in tuned)
        given = f"{PREFIX}{OWN} for {method}"
        raise ArgumentError("settings", given, f"a method with tuned settings: {names}")


def tuned_table(method: str, world: str, *, given: str | None = None) -> dict[str, Any]:
    """Return the tuned settings of a method, as `behemoth tune` writes them.

    Parameters
    ----------
    method : str
    world : str
        One of `WORLDS`.
    given : str, optional
        What stands for them in a refusal, if it is not ``tuned:`` and the kind.

    Returns
    -------
    dict
        Its ``name``, ``settings`` and ``tuning``.

    Raises
    ------
    ArgumentError
        If the package has none for this method.
    """
    tables = _tables(world)
    if method not in tables:
        raise ArgumentError(
            "settings",
            f"{given or PREFIX + world} for {method}",
            f"a method that was tuned on {WORLDS[world]}: {', '.join(tables)}",
        )
    return {"name": method, **deepcopy(tables[method])}


def text_of(directory: Path, world: str) -> str:
    """Return the contents of the file for a kind of world.

    Parameters
    ----------
    directory : Path
        Has ``WORLD-locality/METHOD/best.toml`` and ``WORLD-tuned/METHOD/best.toml``.
    world : str
    """
    parts = [_HEAD.format(kind=WORLDS[world], world=world, prefix=PREFIX)]
    for method in OWN_METHODS:
        files = [directory / f"{world}-{one}" / method / "best.toml" for one in _OBJECTIVES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            continue
        # The tables of the file as they are, under the name of the method.
        lines = [
            line.replace("[", f"[{method}.", 1) if line.startswith("[") else line
            for line in file.read_text(encoding="utf-8").splitlines()
            if not line.startswith(("#", "name = "))
        ]
        parts.append("\n".join([f"\n# {file.parent.parent.name}/{method}", *lines, ""]))
    return "".join(parts)


@cache
def _tables(world: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{world}.toml").read_text(encoding="utf-8"))


def _write(directory: Path) -> None:
    """Write the files of all kinds of world into the sources beside this module."""
    for world in WORLDS:
        place = Path(__file__).with_name("chosen") / f"{world}.toml"
        write_bytes(place, text_of(directory, world).encode())


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
