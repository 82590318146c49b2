"""The text of a study file with the settings that it takes from files written into it.

The directory of a study keeps this text: it has to repeat the study where those files are missing,
or have changed. Settings of the package (``tuned:text``) stay named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from behemoth.edit.settings import read_settings, read_tuning
from behemoth.edit.tuned import PREFIX
from behemoth.support.toml import read_toml, written_toml

from .method import named_tables, settings_file
from .narrowed import alone, cut, is_method, parts_of, reads_as

__all__ = ["with_settings"]

_SETTINGS = re.compile(r"^[ \t]*settings[ \t]*=.*(\n|\Z)", re.MULTILINE)


def with_settings(text: str, directory: Path | None) -> str:
    """Return the text of a study with ``settings`` and ``tuning`` as tables in place of a file.

    A comment names the file. A table of a family becomes one for each of its methods. Labels, and
    with them the settings of every method, stay the same, and so do all ids.

    Parameters
    ----------
    text : str
        TOML whose ``[[method]]`` tables are valid (`read_methods`).
    directory : Path, optional
        Folder of the files; the working directory by default.

    Returns
    -------
    str
        `text` itself if it names no file. Where its tables are not each in lines of their own, all
        of it is written anew, without its comments.

    Raises
    ------
    ArgumentError
        If a file is missing, or is for another method.
    """
    table = read_toml(text)
    found = [list(_written_in(own, directory)) for own in table["method"]]
    if not any(source for tables in found for source, _ in tables):
        return text
    wanted = {**table, "method": [own for tables in found for _, own in tables]}
    parts = parts_of(text)
    places = [place for place, part in enumerate(parts) if is_method(part)]
    given = table["method"]
    for place, own, tables in zip(places, given, found, strict=False):  # compared below
        parts[place] = _rewritten(parts[place], own, tables)
    new = "".join(parts)
    if reads_as(new, wanted):
        return new
    told = [_comment(source) for tables in found for source, _ in tables if source]
    return "\n".join([*told, written_toml(wanted)])


def _written_in(
    own: Mapping[str, Any], directory: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables that replace one, each with the name of its file; empty without one."""
    source = own.get("settings")
    if not isinstance(source, str) or source.startswith(PREFIX):
        yield "", dict(own)
        return
    for name, said in named_tables(own):
        file = settings_file(source, name, directory)
        tuning = read_tuning(file, name)
        new = {
            "label": name,  # without a label the settings would become part of it
            **(alone(name, said) if "family" in own else own),
            "settings": read_settings(file, name),
            **({} if tuning is None else {"tuning": tuning.to_dict()}),
        }
        yield source.replace("{method}", name), new


def _comment(source: str) -> str:
    return f"# settings of the file {source}"


def _rewritten(
    part: str, given: Mapping[str, Any], tables: Sequence[tuple[str, Mapping[str, Any]]]
) -> str:
    """Return the lines of a table, rewritten for the tables that replace it."""
    if not any(source for source, _ in tables):
        return part
    body, between = cut(part)
    if "family" in given:
        whole = (f"[[method]]\n{_comment(source)}\n{_lines(new)}" for source, new in tables)
        return "".join([*whole, between])
    [(source, new)] = tables
    own = {key: value for key, value in new.items() if value != given.get(key)}
    lines = f"{_comment(source)}\n{_lines(own)}"
    return _SETTINGS.sub(lambda _: lines, f"{body}\n", count=1) + between


def _lines(table: Mapping[str, Any]) -> str:
    return written_toml({"method": [table]}).removeprefix("[[method]]\n")
