"""Names of the subjects, relations and objects of a table, and the words that represent them.

A table whose columns contain names instead of numbers makes a world with names. They are stored as
``names/*.parquet`` beside the spec of the world, which has their digests, and are copied together
with the facts. A name is one token. Its word is the name with ``_`` for each space; if several
tokens would have the same word (a city that is a subject and an object of two relations, a name
that is also a word of a template), each name has its role after a colon: ``Paris:subject``,
``Paris:born_in``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from behemoth._gen import SPECIAL_WORDS, digest
from behemoth.support.errors import ArgumentError, nearest
from behemoth.support.files import replacing
from behemoth.support.parquet import read_parquet
from behemoth.support.text import toml_text

__all__ = ["KINDS", "NAMES_DIRECTORY", "Names", "read_names", "word_of", "write_names"]

KINDS = ("subjects", "relations", "objects", "nested")
"""Kinds of names."""
NAMES_DIRECTORY = "names"
"""Folder of a spec, corpus or run directory with a Parquet file for each kind."""

_OF_RELATION = ("objects", "nested")
_SPECIAL = SPECIAL_WORDS[:2]
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_COLUMNS = {
    "subject": "subject", "relation": "relation", "object": "object",
    "minority_object": "object", "old_object": "object", "new_object": "object",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Names:
    """Names of the subjects, relations, objects and nested objects of a table.

    Parameters
    ----------
    frames : dict of str to polars.DataFrame
        A frame for each kind of `KINDS` that has names, with columns id (Int64) and name (String)
        and, for objects and nested objects, relation (Int64), which is the relation of the objects
        for both. Ids without a name may be omitted.
    relations : int
        Number of relations of the table.
    composed : tuple of int
        Relations whose objects have nested objects.

    Raises
    ------
    ArgumentError
        When a name cannot be a token, or two names of a kind have the same word.
    """

    frames: Mapping[str, pl.DataFrame]
    relations: int
    composed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        frames = {kind: _ordered(self.frames[kind], kind) for kind in KINDS if kind in self.frames}
        object.__setattr__(self, "frames", frames)
        for kind, frame in frames.items():
            _check(kind, frame)

    @classmethod
    def of(cls, frames: Mapping[str, pl.DataFrame], table: Mapping[str, Any]) -> Names:
        """Make the names of the world of a table.

        Parameters
        ----------
        frames : dict of str to polars.DataFrame
        table : mapping
            The table ``[world.table]`` of the world's spec.
        """
        rows = table["relations"]
        composed = [number for number, row in enumerate(rows) if row.get("nested") is not None]
        return cls(frames, len(rows), tuple(composed))

    @cached_property
    def digests(self) -> dict[str, str]:
        """BLAKE3 of ids and names of each kind."""
        return {kind: digest(_text(frame).encode()) for kind, frame in self.frames.items()}

    def check(self, told: Mapping[str, str]) -> None:
        """Refuse names that do not match the digests in a spec.

        Parameters
        ----------
        told : mapping of str to str
            Digests by kind; an empty digest allows any names.

        Raises
        ------
        ArgumentError
        """
        for kind in KINDS:
            wanted, own = told.get(kind), self.digests.get(kind)
            if not isinstance(wanted, str | None):
                raise ArgumentError(("table", "names", kind), toml_text(wanted), "a string")
            if (wanted is None) != (own is None) or (wanted and wanted != own):
                got = "no names" if own is None else f"names with digest {own}"
                allowed = "none" if wanted is None else f"those with digest {wanted}"
                raise ArgumentError(("table", "names", kind), got, f"{allowed}, as in the spec")

    def put(self, tokens: list[str], ranges: Sequence[Mapping[str, Any]]) -> None:
        """Replace the words of ids by the words of names, in place.

        Parameters
        ----------
        tokens : list of str, by token id
            Words, which are changed in place.
        ranges : sequence of mapping
            Ranges of `Corpus.vocabulary`.

        Raises
        ------
        ArgumentError
            When two tokens would have the same word.
        """
        named: dict[int, str] = {}
        roles: dict[int, str | int] = {}
        for part in ranges:
            kind, relation = part["kind"], part["relation"]
            if kind in ("subject", "relation", "object", "nested"):
                own = self._words_of(kind, relation, part["first"])
                named |= own
                roles |= dict.fromkeys(own, kind if relation is None else relation)
        counts = Counter(named.values())
        counts.update([token for at, token in enumerate(tokens) if at not in named])
        relations = {part["kind"]: part["first"] for part in ranges}["relation"]
        # Words of relations come first, because they may distinguish words of objects.
        for at, word in named.items():
            role = roles[at]
            if isinstance(role, int):
                role = tokens[relations + role] if "relations" in self.frames else f"R{role}"
            tokens[at] = word if counts[word] == 1 else f"{word}:{role}"
        if len(set(tokens)) < len(tokens):
            twice, _ = Counter(tokens).most_common(1)[0]
            raise ArgumentError(
                "table", f"{twice!r} as a name and as the word of another", "names that differ"
            )

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame of facts with the names of its ids as further columns.

        Parameters
        ----------
        frame : polars.DataFrame
            Frame with relation, and any of subject, object, minority_object, old_object,
            new_object; without relation it is returned unchanged.

        Returns
        -------
        polars.DataFrame
            The same rows with an additional column for each of these, ``subject_name`` and so on
            (String); null for ids without a name.
        """
        if "relation" not in frame.columns:
            return frame
        there = [(column, kind) for column, kind in _COLUMNS.items() if column in frame.columns]
        return frame.with_columns(
            self._looked_up(frame, column, kind).alias(f"{column}_name") for column, kind in there
        )

    def _looked_up(self, frame: pl.DataFrame, column: str, kind: str) -> pl.Series:
        keys = frame.select(
            pl.col("relation").cast(pl.Int64).alias("of"), pl.col(column).cast(pl.Int64).alias("id")
        )
        if kind == "object":
            return _joined(keys, self._object_names, "of", "id")
        if kind == "relation":
            return _joined(keys, self._relation_names, "id")
        subjects = _joined(keys, self.frames.get("subjects", _NONE), "id")
        # The subject of a link fact is an object.
        links = _joined(keys, self._linked_names, "of", "id")
        return subjects.zip_with(keys["of"] < self._first_link, links)

    def numbers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with the names in its columns subject, relation, object as ids.

        Raises
        ------
        ArgumentError
            When a name is not in the table.
        """
        if frame.schema.get("relation") == pl.String:
            frame = _numbered(frame, "relation", self._relation_names)
        for column in ("subject", "object"):
            if frame.schema.get(column) != pl.String:
                continue
            if "relation" not in frame.columns:
                raise ArgumentError("table", f"{column} without relation", "both columns")
            if column == "object":
                frame = _numbered(frame, column, self._object_names)
            else:
                own = frame.select("relation").unique().cast(pl.Int64)
                people = own.filter(pl.col("relation") < self._first_link).rename(
                    {"relation": "of"}
                )
                subjects = people.join(self.frames.get("subjects", _NONE), how="cross")
                frame = _numbered(frame, column, pl.concat([subjects, self._linked_names]))
        return frame

    def like_numbers(self, column: str) -> dict[float, str]:
        """Return the names that are also numbers, such as ``3``, by number.

        Parameters
        ----------
        column : {'subject', 'relation', 'object'}
        """
        frames = {
            "subject": (self.frames.get("subjects", _NONE), self._linked_names),
            "relation": (self._relation_names,),
            "object": (self._object_names,),
        }
        names = pl.concat(frame["name"] for frame in frames[column])
        numbers = names.cast(pl.Float64, strict=False)
        both = zip(numbers, names, strict=True)
        return {number: name for number, name in both if number is not None}

    @property
    def of_relations(self) -> dict[int, str]:
        """Names of relations by id, including composed and link relations."""
        return dict(self._relation_names.select("id", "name").iter_rows())

    @property
    def _first_link(self) -> int:
        return self.relations + len(self.composed)

    @cached_property
    def _relation_names(self) -> pl.DataFrame:
        """Names by id, with derived names of composed and link relations, which no table names."""
        own = self.frames.get("relations", _NONE)
        at = pl.DataFrame(
            {"id": self.composed, "number": range(len(self.composed))},
            schema={"id": pl.Int64, "number": pl.Int64},
        )
        composed = own.join(at, on="id")
        return pl.concat(
            [
                own,
                *(
                    composed.select(pl.col("number") + first, pl.col("name") + f":{word}").rename(
                        {"number": "id"}
                    )
                    for first, word in ((self.relations, "nested"), (self._first_link, "link"))
                ),
            ]
        )

    @cached_property
    def _object_names(self) -> pl.DataFrame:
        """Names by relation (column of, including composed and link relations) and id."""
        nested = self.frames.get("nested", _NONE_OF_RELATION)
        own = self.frames.get("objects", _NONE_OF_RELATION).rename({"relation": "of"})
        return pl.concat(
            [own, self._moved(nested, self.relations), self._moved(nested, self._first_link)]
        )

    @cached_property
    def _linked_names(self) -> pl.DataFrame:
        """Names of the subjects of link facts, by link relation (column of) and id."""
        return self._moved(self.frames.get("objects", _NONE_OF_RELATION), self._first_link)

    def _moved(self, frame: pl.DataFrame, first: int) -> pl.DataFrame:
        """Return names by relation as names by composed or link relation, numbered from `first`."""
        places = pl.DataFrame(
            {"relation": self.composed, "of": range(first, first + len(self.composed))},
            schema={"relation": pl.Int64, "of": pl.Int64},
        )
        return frame.join(places, on="relation").select("of", "id", "name")

    def _words_of(self, kind: str, relation: int | None, first: int) -> dict[int, str]:
        """Return the words of names for the tokens from `first` on, by token."""
        if kind == "subject":
            frame = self.frames.get("subjects", _NONE)
        elif kind == "relation":
            frame = self._relation_names
        else:
            has_names = ("objects" if kind == "object" else "nested") in self.frames
            frame = self._objects_of.get(relation, _NONE) if has_names else _NONE
        return {first + id_: word_of(name) for id_, name in frame.select("id", "name").iter_rows()}

    @cached_property
    def _objects_of(self) -> dict[int | None, pl.DataFrame]:
        parts = self._object_names.partition_by("of", as_dict=True)
        return {key[0]: part for key, part in parts.items()}


def word_of(name: str) -> str:
    """Return the word of a name: without spaces, because texts are split at spaces."""
    return re.sub(r"\s", "_", name)


def write_names(frames: Mapping[str, pl.DataFrame], directory: Path) -> None:
    """Write names to the folder ``names`` of a directory; files with the same names stay."""
    for kind, frame in frames.items():
        path = directory / NAMES_DIRECTORY / f"{kind}.parquet"
        if not _holds(path, frame):
            with replacing(path) as temporary:
                frame.write_parquet(temporary)


def read_names(read: Callable[[str], pl.DataFrame], table: Mapping[str, Any]) -> Names | None:
    """Read the names that the spec of a table lists.

    Parameters
    ----------
    read : callable
        Reads a Parquet file beside the spec by its name.
    table : mapping
        The table ``[world.table]`` of the spec.

    Raises
    ------
    ArgumentError
        When they cannot be read, or do not match the spec's digests.
    """
    told = table.get("names")
    # The engine refuses anything but a table of kinds.
    rows = table.get("relations")
    sound = isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows)
    if not isinstance(told, Mapping) or not told or not set(told) <= set(KINDS) or not sound:
        return None
    names = Names.of({kind: read(f"{NAMES_DIRECTORY}/{kind}.parquet") for kind in told}, table)
    names.check(told)
    return names


_NONE = pl.DataFrame(schema={"id": pl.Int64, "name": pl.String})
_NONE_OF_RELATION = pl.DataFrame(schema={"relation": pl.Int64, "id": pl.Int64, "name": pl.String})


def _ordered(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return the columns of a kind, sorted by id.

    Raises
    ------
    ArgumentError
        When a column is missing or has another type.
    """
    schema = (_NONE_OF_RELATION if kind in _OF_RELATION else _NONE).schema
    try:
        ordered = frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    except pl.exceptions.PolarsError:
        columns = ", ".join(frame.columns)
        raise ArgumentError(
            "names", f"columns {columns} for {kind}", f"{', '.join(schema)} (numbers and text)"
        ) from None
    return ordered.sort(list(schema))


def _check(kind: str, frame: pl.DataFrame) -> None:
    """Refuse names that cannot be words, and two names of a kind for one id or with one word."""
    names = frame["name"]
    for bad, allowed in (
        (names.is_null() | (names.str.strip_chars() == ""), "names that are not empty"),
        (names.str.contains(_CONTROL), "names without tabs, line breaks and control characters"),
        (
            names.str.contains_any(list(_SPECIAL)),
            f"names without {' and '.join(_SPECIAL)}, which tokenizers reserve",
        ),
    ):
        if bad.any():
            raise ArgumentError("table", f"{names.filter(bad)[0]!r} among the {kind}", allowed)
    keys = [name for name in frame.columns if name == "relation"]
    worded = frame.with_columns(pl.col("name").str.replace_all(r"\s", "_").alias("word"))
    for same, allowed in (
        ("id", "one name for each number"),
        ("word", "names that differ in more than spaces and _"),
    ):
        twice = worded.filter(pl.struct(*keys, same).is_duplicated()).sort(*keys, same)
        if twice.height:
            got = " and ".join(repr(name) for name in twice["name"].head(2))
            raise ArgumentError("table", f"{got} among the {kind}", allowed)


def _text(frame: pl.DataFrame) -> str:
    """Return ids and names as text, in the order of ids; names have no tabs or line breaks."""
    lines = frame.select(pl.concat_str(pl.all().cast(pl.String), separator="\t"))
    return "\n".join(lines.to_series())


def _holds(path: Path, frame: pl.DataFrame) -> bool:
    try:
        return path.is_file() and read_parquet(path).equals(frame)
    except pl.exceptions.PolarsError:
        return False


def _joined(keys: pl.DataFrame, table: pl.DataFrame, *on: str) -> pl.Series:
    return keys.join(table, on=list(on), how="left", maintain_order="left")["name"]


def _numbered(frame: pl.DataFrame, column: str, table: pl.DataFrame) -> pl.DataFrame:
    """Replace the names in a column by ids; a table with column of is also joined by relation."""
    keys = frame.select(pl.col(column).str.strip_chars().alias("name"))
    on = ["name"]
    if "of" in table.columns:
        keys = keys.with_columns(frame["relation"].cast(pl.Int64).alias("of"))
        on.append("of")
    found = keys.join(table, on=on, how="left", maintain_order="left")["id"]
    unknown = found.is_null() & keys["name"].is_not_null()
    if unknown.any():
        row = keys.row(unknown.arg_max(), named=True)
        names = table if "of" not in row else table.filter(pl.col("of") == row["of"])
        raise ArgumentError(
            "table",
            f"{row['name']!r} as {column}",
            f"a name of one of the {names.height} that the table has",
            nearest(row["name"], names["name"].to_list()),
        )
    return frame.with_columns(found.alias(column))
