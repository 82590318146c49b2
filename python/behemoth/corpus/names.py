"""What the things of a table are called, and the words that stand for them.

A table whose columns hold names in place of numbers makes a world with names. They lie as
``names/*.parquet`` beside the spec of the world, which has their digests, and go wherever the
facts go. A name is one token. Its word is the name with ``_`` for each space; where several tokens
would have one word (a city that is a subject and an object of two relations, a name that is also a
word of a template), each of them says its role behind a colon: ``Paris:subject``,
``Paris:born_in``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from behemoth._gen import digest
from behemoth.support.errors import ArgumentError, nearest
from behemoth.support.files import replacing
from behemoth.support.parquet import read_parquet
from behemoth.support.text import toml_text

__all__ = ["KINDS", "NAMES_DIRECTORY", "Names", "read_names", "word_of", "write_names"]

KINDS = ("subjects", "relations", "objects", "nested")
"""Kinds of things that may have names."""
NAMES_DIRECTORY = "names"
"""In a spec, corpus or run directory: a Parquet file for each kind."""

_OF_RELATION = ("objects", "nested")
_SPECIAL = ("<|endoftext|>", "<|padding|>")
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_COLUMNS = {
    "subject": "subject", "relation": "relation", "object": "object",
    "minority_object": "object", "old_object": "object", "new_object": "object",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Names:
    """What the things of a table are called.

    Parameters
    ----------
    frames : dict of str to polars.DataFrame
        By kind (of `KINDS`) a frame of id (Int64) and name (String), and of objects and nested
        objects relation (Int64), which is that of the objects for both. Ids without a name may be
        left out; kinds without names are.
    relations : int
        How many relations the table has.
    composed : tuple of int
        Those of them whose objects have nested ones.

    Raises
    ------
    ArgumentError
        When a name cannot be a token, or two things of a kind have the same word.
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
            What the spec of the world says of it: ``[world.table]``.
        """
        rows = table["relations"]
        composed = [number for number, row in enumerate(rows) if row.get("nested") is not None]
        return cls(frames, len(rows), tuple(composed))

    @cached_property
    def digests(self) -> dict[str, str]:
        """What tells the names of each kind apart from others: BLAKE3 of ids and names."""
        return {kind: digest(_text(frame).encode()) for kind, frame in self.frames.items()}

    def check(self, told: Mapping[str, str]) -> None:
        """Refuse other names than those that a spec has the digests of.

        Parameters
        ----------
        told : mapping of str to str
            By kind; what is empty may be any.

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
                raise ArgumentError(("table", "names", kind), got, f"{allowed}, as the spec says")

    def put(self, tokens: list[str], ranges: Sequence[Mapping[str, Any]]) -> None:
        """Write the words of the names over the words of ids.

        Parameters
        ----------
        tokens : list of str, by token id
            Changed in place.
        ranges : sequence of mapping
            Those of `Corpus.vocabulary`.

        Raises
        ------
        ArgumentError
            When a word would stand for two tokens.
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
        # Words of relations come before those of objects, which they may tell apart.
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
        """Give a frame of facts with the names of what its columns number.

        Parameters
        ----------
        frame : polars.DataFrame
            With relation, and any of subject, object, minority_object, old_object, new_object.

        Returns
        -------
        polars.DataFrame
            The same rows with a column behind them for each of these, ``subject_name`` and so on
            (String); null where there is no name.
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
        # A link begins with an object.
        links = _joined(keys, self._linked_names, "of", "id")
        return subjects.zip_with(keys["of"] < self._first_link, links)

    def numbers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give a frame with numbers in place of names in its columns subject, relation, object.

        Raises
        ------
        ArgumentError
            When a name is none of the table's.
        """
        if frame.schema.get("relation") == pl.String:
            frame = _numbered(frame, "relation", self._relation_names)
        for column in ("subject", "object"):
            if frame.schema.get(column) != pl.String:
                continue
            if "relation" not in frame.columns:
                raise ArgumentError("table", f"{column} without relation", "both, to be told apart")
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

    @property
    def of_relations(self) -> dict[int, str]:
        """Names of relations by id, those of composed relations and links included."""
        return dict(self._relation_names.select("id", "name").iter_rows())

    @property
    def _first_link(self) -> int:
        return self.relations + len(self.composed)

    @cached_property
    def _relation_names(self) -> pl.DataFrame:
        """By id, those of composed relations and of links included, which no table names."""
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
        """By relation (of), composed ones and links included, and id."""
        nested = self.frames.get("nested", _NONE_OF_RELATION)
        own = self.frames.get("objects", _NONE_OF_RELATION).rename({"relation": "of"})
        return pl.concat(
            [own, self._moved(nested, self.relations), self._moved(nested, self._first_link)]
        )

    @cached_property
    def _linked_names(self) -> pl.DataFrame:
        """What links begin with, by link relation (of) and id."""
        return self._moved(self.frames.get("objects", _NONE_OF_RELATION), self._first_link)

    def _moved(self, frame: pl.DataFrame, first: int) -> pl.DataFrame:
        """Names by relation as those by composed or link relation, which begin at `first`."""
        places = pl.DataFrame(
            {"relation": self.composed, "of": range(first, first + len(self.composed))},
            schema={"relation": pl.Int64, "of": pl.Int64},
        )
        return frame.join(places, on="relation").select("of", "id", "name")

    def _words_of(self, kind: str, relation: int | None, first: int) -> dict[int, str]:
        """Words of the things that the tokens from `first` on stand for, by token."""
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
    """Give the word of a name: without spaces, at which texts are split."""
    return re.sub(r"\s", "_", name)


def write_names(frames: Mapping[str, pl.DataFrame], directory: Path) -> None:
    """Write names to the folder ``names`` of a directory, as far as they are not there."""
    for kind, frame in frames.items():
        path = directory / NAMES_DIRECTORY / f"{kind}.parquet"
        if not _holds(path, frame):
            with replacing(path) as temporary:
                frame.write_parquet(temporary)


def read_names(directory: Path, table: Mapping[str, Any]) -> Names | None:
    """Read the names that the spec of a table says there are, from the folder ``names``.

    Raises
    ------
    ArgumentError
        When they are not there, or are others.
    """
    told = table.get("names")
    # What is no table of kinds is for the engine to refuse.
    rows = table.get("relations")
    sound = isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows)
    if not isinstance(told, Mapping) or not told or not set(told) <= set(KINDS) or not sound:
        return None
    frames: dict[str, pl.DataFrame] = {}
    for kind in told:
        name = f"{NAMES_DIRECTORY}/{kind}.parquet"
        path = directory / name
        if not path.is_file():
            raise ArgumentError("spec", f"no {name} beside it", "a spec with the file it names")
        try:
            frames[kind] = read_parquet(path)
        except pl.exceptions.PolarsError as error:
            reason = str(error).partition("\n")[0]
            raise ArgumentError(
                "spec", f"a {name} that cannot be read ({reason})", "the file as it was written"
            ) from None
    names = Names.of(frames, table)
    names.check(told)
    return names


_NONE = pl.DataFrame(schema={"id": pl.Int64, "name": pl.String})
_NONE_OF_RELATION = pl.DataFrame(schema={"relation": pl.Int64, "id": pl.Int64, "name": pl.String})


def _ordered(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The columns that a kind has, in the order of ids.

    Raises
    ------
    ArgumentError
        When they are others.
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
    """Refuse names that cannot be words, and words that stand for two things of a kind."""
    names = frame["name"]
    for bad, allowed in (
        (names.is_null() | (names.str.strip_chars() == ""), "names that are not empty"),
        (names.str.contains(_CONTROL), "names without tabs, line breaks and control characters"),
        (
            names.str.contains_any(list(_SPECIAL)),
            f"names without {' and '.join(_SPECIAL)}, which a tokenizer takes for its own",
        ),
    ):
        if bad.any():
            raise ArgumentError("table", f"{names.filter(bad)[0]!r} among the {kind}", allowed)
    keys = [name for name in frame.columns if name == "relation"]
    worded = frame.with_columns(pl.col("name").str.replace_all(r"\s", "_").alias("word"))
    for same, allowed in (
        ("id", "one name for each number"),
        ("word", "names that differ, spaces and _ apart"),
    ):
        twice = worded.filter(pl.struct(*keys, same).is_duplicated()).sort(*keys, same)
        if twice.height:
            got = " and ".join(repr(name) for name in twice["name"].head(2))
            raise ArgumentError("table", f"{got} among the {kind}", allowed)


def _text(frame: pl.DataFrame) -> str:
    """Ids and names as text, in the order of the ids; no name has a tab or a line break in it."""
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
    """Put numbers for the names in a column; a table with relations is looked up by those too."""
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
