"""Reading of facts from a table: Parquet, CSV, or the reference's graph, with ids or names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.checks import as_found, path_of, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.parquet import read_parquet
from behemoth.support.text import plural_text
from behemoth.support.toml import check_utf8

from .reference import GraphNotes, read_notes

if TYPE_CHECKING:
    from .world import World

_REQUIRED = ("subject", "relation", "object")
_OPTIONAL = ("minority", "nested")
_COLUMNS = _REQUIRED + _OPTIONAL
_FILES = "a relationship_graph.txt, Parquet or CSV file"
_RELATIONS = 10_000  # that the engine takes
_CELLS = "subjects x relations"  # as the engine calls their number
_NULLS = ("", "None", "null")
_TRUTHS = {"true": True, "false": False}
_NUMBER = r"^-?\d+(\.\d*)?$"
_NAME_COLUMNS = {
    "subjects": {"subject_name": "subject"},
    "relations": {"relation_name": "relation"},
    "objects": {"object_name": "object", "minority_object_name": "minority"},
}
_NAMED = [name for columns in _NAME_COLUMNS.values() for name in columns]
# What other tools call the three columns. Single letters, such as s, p and o, may as well be names.
_SYNONYMS = {
    **dict.fromkeys(("subj", "head", "entity"), "subject"),
    **dict.fromkeys(("rel", "predicate", "pred", "property", "attribute"), "relation"),
    **dict.fromkeys(("obj", "tail", "value"), "object"),
}


@dataclass(frozen=True)
class Table:
    """Facts with integer ids.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns subject, relation, object, minority and nested, all Int64; minority and nested are
        null if absent.
    names : dict of str to polars.DataFrame
        Names of ids, if the file has names: for each kind (subjects, relations, objects, nested)
        a frame of id, name and, for objects and nested objects, relation.
    reference : bool
        Whether it is a graph of the reference, whose words have at most two digits.
    notes : GraphNotes, optional
        The reference's notes beside its graph.
    correlated : (int, int), optional
        A relation, and a later one that is correlated with it.
    binarised : bool
        With `correlated`: whether the first has only objects 0 and 1.
    """

    frame: pl.DataFrame
    names: dict[str, pl.DataFrame] = field(default_factory=dict)
    reference: bool = False
    notes: GraphNotes | None = None
    correlated: tuple[int, int] | None = None
    binarised: bool = False

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the columns for the engine: u64, u32, u32, i64, i64, with -1 for null."""
        dtypes = {"subject": np.uint64, "relation": np.uint32, "object": np.uint32}
        return {
            name: np.ascontiguousarray(
                self.frame[name].fill_null(-1).to_numpy(), dtype=dtypes.get(name, np.int64)
            )
            for name in _COLUMNS
        }

    def world(
        self,
        seed: int = 0,
        *,
        names: bool = True,
        said: Mapping[str, Any] | None = None,
        format_version: int | None = None,
    ) -> World:
        """Make the world of these facts.

        Parameters
        ----------
        seed : int
        names : bool
            Whether the world has the names of the table.
        said : mapping, optional
            Further settings of the world's spec; the engine refuses those that a table determines.
        format_version : int, optional

        Raises
        ------
        ArgumentError
            When the engine refuses the facts, or a name cannot be a token.
        """
        from .names import Names
        from .world import World

        spec = self.spec(seed) | dict(said or {})
        named = Names.of(self.names, spec["table"]) if names and self.names else None
        try:
            return World.from_arrays(spec, self.arrays(), format_version, named)
        except ArgumentError as error:
            if error.name != _CELLS:
                raise
            raise ArgumentError("table", f"{error.got} {_CELLS}", error.allowed) from None

    def spec(self, seed: int = 0) -> dict[str, Any]:
        """Return the spec of the world of these facts.

        The reference has one number of objects for all relations, which it notes beside the
        graph; without the note the largest id determines it. In other tables each relation has its
        own number.

        Raises
        ------
        ArgumentError
            When the graph has more than the note states, or the correlated relations are not two
            ascending relations of the table.
        """
        sizes: dict[int, tuple[int, int | None]] = {
            relation: (max(objects, minority or 0) + 1, None if nested is None else nested + 1)
            for relation, objects, minority, nested in self.frame.group_by("relation")
            .agg(pl.col("object").max(), pl.col("minority").max(), pl.col("nested").max())
            .iter_rows()
        }
        if self.reference and sizes:
            objects = max(count for count, _ in sizes.values())
            nested = max(count or 0 for _, count in sizes.values()) or None
            objects = self._count("objects", objects)
            nested = None if nested is None else self._count("nested", nested)
            sizes = dict.fromkeys(sizes, (objects, nested))
        count = self._count("relations", max(sizes, default=-1) + 1)
        if count > _RELATIONS:  # before a list of as many is made
            allowed = f"1 to {_RELATIONS}: ids without gaps, or names, which are numbered"
            raise ArgumentError("table.relations", count, allowed)
        # In the reference, a relation without facts has as many objects as the others.
        other = next(iter(sizes.values()), (1, None)) if self.reference else (1, None)
        rows = [sizes.get(relation, (other[0], None)) for relation in range(count)]
        relations: list[dict[str, Any]] = [
            {"objects": count, "nested": links} for count, links in rows
        ]
        if self.correlated is not None:
            self._correlate(relations, *self.correlated)
        return {
            "seed": seed,
            "subjects": self._count("subjects", 1 + int(self.frame["subject"].to_numpy().max())),
            "table": {"relations": relations, "reference_words": self.reference},
        }

    def _count(self, name: str, seen: int) -> int:
        return seen if self.notes is None else self.notes.count(name, seen)

    def _correlate(self, relations: list[dict[str, Any]], first: int, second: int) -> None:
        """Record that a relation is correlated with an earlier one, with as many objects."""
        if not 0 <= first < second < len(relations):
            raise ArgumentError(
                "correlated",
                f"{first}:{second}",
                f"two relations below {len(relations)}, the lower one first",
            )
        counts = [relations[relation]["objects"] for relation in (first, second)]
        objects = max(counts)  # the facts of one of them may lack the last objects
        for relation in (first, second):
            relations[relation]["objects"] = objects
        relations[second]["with"] = first
        if self.binarised:
            relations[first]["binarised"] = True


def read_table(
    table: pl.DataFrame | str | PathLike[str], correlated: tuple[int, int] | None = None
) -> Table:
    """Read a table of facts, and number its names.

    Columns that contain names are numbered in sorted order: subjects and relations over
    the complete table, objects and nested objects within each relation (two relations passed as
    `correlated` share their objects). Names may also be in separate columns subject_name,
    relation_name, object_name and minority_object_name, beside numbers. A column that contains
    only whole numbers has none: they are ids, in a CSV also as ``3.0``. Fractions are refused, but
    text such as ``"3.0"`` in a frame or Parquet is a name.

    Parameters
    ----------
    table : polars.DataFrame or path
        Columns subject, relation, object and optionally minority and nested; or a
        Parquet file of them, a CSV (comma or tab; without a header the columns are
        in this order, and the first row is a fact), or the reference's
        ``relationship_graph.txt``. The output of `behemoth facts` is also accepted, as a CSV too:
        its link facts are skipped. A column link without a column fact beside it is ignored, as
        other columns are.
    correlated : (int, int), optional
        A relation, and a later one that is known to be correlated with it; by default the pair in
        the reference's notes beside its graph, if any.

    Raises
    ------
    ArgumentError
        When the file does not exist, or is not a table of facts.
    """
    if correlated is not None:
        correlated = _pair(correlated)
    whole = isinstance(table, pl.DataFrame)
    found = _number(table, "the frame", correlated) if whole else _read(table, correlated)
    notes = found.notes
    if notes is not None and notes.correlated:
        found = replace(found, correlated=(0, 1), binarised=notes.binarised)
    if correlated is None:
        return found
    # The reference binarises relation 0, whatever pair is passed.
    binarised = found.binarised and correlated[0] == 0
    return replace(found, correlated=correlated, binarised=binarised)


def _pair(value: object) -> tuple[int, int]:
    """Return the argument `correlated` as the numbers of two relations."""
    if isinstance(value, list | tuple) and len(value) == 2:
        with suppress(ArgumentError):
            return whole_number("", value[0]), whole_number("", value[1])
    raise ArgumentError("correlated", value, "two relations, such as (0, 1)")


def _read(table: str | PathLike[str], correlated: tuple[int, int] | None) -> Table:
    path = path_of("table", table, "a table or a path")
    if not path.is_file():
        raise ArgumentError("table", as_found(table), _FILES)
    with path.open("rb") as file:
        head = file.read(1 << 16)
    try:
        if head.startswith(b"PAR1"):
            return _number(read_parquet(path), fspath(table), correlated)
        # Excel puts a mark before the first byte, which polars skips.
        first = head.decode("utf-8-sig", errors="ignore").partition("\n")[0].strip()
        check_utf8("table", fspath(table), head)
        if not first:
            raise ArgumentError(
                "table", f"{fspath(table)!r}, which starts with an empty line", "a header or a fact"
            )
        if _is_reference(first):
            # Only numbers, possibly millions: parsed as integers, not as text.
            schema = pl.Schema(dict.fromkeys(_COLUMNS, pl.Int64()))
            frame = pl.read_csv(
                path,
                separator=" ",
                has_header=False,
                null_values=["None"],
                schema=schema,
                glob=False,
            )
            numbered = _number(frame, fspath(table), correlated).frame
            return Table(numbered, reference=True, notes=read_notes(path))
        return _number(_read_csv(path, first), fspath(table), correlated, csv=True)
    except pl.exceptions.PolarsError as error:
        # Polars' own text is about its internals; `--debug` shows it.
        kind = "Parquet" if head.startswith(b"PAR1") else "CSV"
        if kind == "CSV":
            check_utf8("table", fspath(table), path.read_bytes())
        raise ArgumentError(
            "table", f"{fspath(table)}, which is not a valid {kind} file", _FILES
        ) from error


def _is_reference(line: str) -> bool:
    cells = line.split(" ")
    return (
        len(cells) == len(_COLUMNS)
        and all(cell.isdecimal() for cell in cells[:3])
        and all(cell.isdecimal() or cell == "None" for cell in cells[3:])
    )


def _read_csv(path: Path, first: str) -> pl.DataFrame:
    separator = "\t" if "\t" in first else ","
    cells = [cell.strip().strip('"').strip().lower() for cell in first.split(separator)]
    header = set(_REQUIRED) <= set(cells)
    meant = {_SYNONYMS.get(cell, cell) for cell in cells} & {*_COLUMNS, *_NAMED, "fact"}
    # One such word may be a name in the first fact, unless it stands where the header would have
    # it; two are a header that lacks a column, or calls it by another name.
    placed = any(cell == name for cell, name in zip(cells, _COLUMNS, strict=False))
    named = placed or len(meant) > 1
    fits = len(_REQUIRED) <= len(cells) <= len(_COLUMNS) and not named
    if not header and not fits:
        without = f"{plural_text(len(cells), 'column')} without a header"
        got = f"columns {', '.join(cells)}" if meant else without
        raise ArgumentError(
            "table",
            f"{got} in {fspath(path)!r}",
            f"{', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}",
        )
    if header and (again := [cell for cell in cells if cells.count(cell) > 1]):
        got = f"column {again[0]} {cells.count(again[0])} times in {fspath(path)!r}"
        raise ArgumentError("table", got, "each column once")
    # Everything as text first: only the complete column shows whether it has ids or names.
    frame = pl.read_csv(
        path, separator=separator, has_header=header, infer_schema=False, glob=False
    )
    return frame.rename(dict(zip(frame.columns, cells if header else _COLUMNS, strict=False)))


def _number(
    frame: pl.DataFrame, where: str, correlated: tuple[int, int] | None, *, csv: bool = False
) -> Table:
    """Check the columns of a table, of which a `csv` has all as text, and convert names to ids."""
    if {"fact", "link"} <= set(frame.columns):  # otherwise it is a column of the user's own
        frame = frame.filter(~_links(frame["link"], where))
    if "minority_object" in frame.columns:
        frame = frame.rename({"minority_object": "minority"})
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise ArgumentError(
            "table",
            f"columns {', '.join(frame.columns)} in {where}",
            f"{', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}",
        )
    if frame.is_empty():
        raise ArgumentError("table", f"no facts in {where}", "one or more")
    frame = frame.with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in _OPTIONAL if name not in frame.columns
    )
    said = frame.select(name for name in _NAMED if name in frame.columns)
    frame = pl.DataFrame([_ids_or_names(frame[name], where, csv=csv) for name in _COLUMNS])
    for name in _REQUIRED:
        if frame[name].null_count():
            row = frame[name].is_null().arg_max()
            got = f"no {name} in row {row} (from 0) of {where}"
            raise ArgumentError("table", got, "a value in every row")
    names: dict[str, pl.DataFrame] = {}
    frame = _factorise(frame, ["subject"], "subjects", names)
    frame = _factorise(frame, ["relation"], "relations", names)
    # Two correlated relations share the numbers of their objects.
    first, second = correlated or (None, None)
    within = pl.col("relation").replace(second, first) if correlated else pl.col("relation")
    frame = _factorise(frame, ["object", "minority"], "objects", names, within)
    frame = _factorise(frame, ["nested"], "nested", names, pl.col("relation"))
    return Table(frame, {**_said(frame, said), **names})


def _links(column: pl.Series, where: str) -> pl.Series:
    """Return a column link as Boolean; a CSV has it as text."""
    if not isinstance(column.dtype, pl.Boolean | pl.String | pl.Categorical | pl.Enum):
        got = f"{column.dtype} in column link of {where}"
        raise ArgumentError("table", got, "true or false")
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    links = text.replace_strict(_TRUTHS, default=None, return_dtype=pl.Boolean)
    if links.has_nulls():
        row = links.is_null().arg_max() or 0
        got = f"{column[row]!r} as link in row {row} (from 0) of {where}"
        raise ArgumentError("table", got, "true or false")
    return links


def _said(frame: pl.DataFrame, said: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the names in separate columns beside numbers, by kind."""
    names: dict[str, pl.DataFrame] = {}
    for kind, columns in _NAME_COLUMNS.items():
        keys = ["relation"] if kind == "objects" else []
        parts = [
            frame.select(*keys, pl.col(column).alias("id")).with_columns(
                said[name].cast(pl.String).str.strip_chars().alias("name")
            )
            for name, column in columns.items()
            if name in said.columns
        ]
        found = pl.concat(parts).drop_nulls().unique() if parts else None
        if found is not None and found.height:
            names[kind] = found
    return names


def _ids_or_names(column: pl.Series, where: str, *, csv: bool) -> pl.Series:
    """Return a column as Int64 if it contains whole numbers, else as text.

    In a `csv` they may be written as ``3.0``, as pandas does if a column has gaps. Elsewhere
    numbers have a type of their own, so such text is a name.
    """
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text.is_in(_NULLS), None)
        whole = text.str.replace(r"^(-?\d+)\.0*$", "$1") if csv else text
        numbers = whole.cast(pl.Int64, strict=False)
        if numbers.null_count() > text.null_count():
            fractions = text.filter(text.str.contains(r"\.0*[1-9]"))
            if csv and len(fractions) and text.drop_nulls().str.contains(_NUMBER).all():
                raise ArgumentError(
                    "table", f"{fractions[0]} in column {column.name} of {where}",
                    "whole numbers or names",
                )  # fmt: skip
            return text
        column = numbers
    if not column.dtype.is_integer():
        raise ArgumentError(
            "table", f"{column.dtype} in column {column.name} of {where}", "whole numbers or names"
        )
    highest = column.max()
    if isinstance(highest, int) and highest >= 1 << 63:  # of unsigned numbers
        got = f"{highest} in column {column.name} of {where}"
        raise ArgumentError("table", got, f"whole numbers up to {(1 << 63) - 1}, or names")
    column = column.cast(pl.Int64)
    if column.name in _OPTIONAL:
        column = column.set(column == -1, None)
    lowest = column.min()
    if isinstance(lowest, int) and lowest < 0:
        raise ArgumentError(
            "table",
            f"{lowest} in column {column.name} of {where}",
            "whole numbers from 0, or names",
        )
    return column


def _factorise(
    frame: pl.DataFrame,
    columns: list[str],
    kind: str,
    names: dict[str, pl.DataFrame],
    within: pl.Expr | None = None,
) -> pl.DataFrame:
    """Replace the names in `columns` by numbers in sorted order and add them to `names`.

    With `within`, numbering restarts for each of its values, and names are stored by relation.
    """
    if all(frame[column].dtype == pl.Int64 for column in columns):
        return frame
    frame = frame.with_columns(pl.col(column).cast(pl.String) for column in columns)
    key: list[str] = []
    if within is not None:
        frame, key = frame.with_columns(within.alias("of")), ["of"]
    listed = (
        pl.concat(frame.select(*key, pl.col(column).alias("name")) for column in columns)
        .drop_nulls("name")
        .unique()
        .sort(*key, "name")
    )
    number = pl.int_range(pl.len(), dtype=pl.Int64)
    listed = listed.with_columns((number.over("of") if key else number).alias("id"))
    noted = listed
    if key:
        noted = frame.select("relation", "of").unique().join(listed, on="of").sort("relation", "id")
    names[kind] = noted.select(*(["relation"] if key else []), "id", "name")
    for column in columns:
        frame = frame.join(
            listed.rename({"name": column}), on=[*key, column], how="left", maintain_order="left"
        )
        frame = frame.with_columns(pl.col("id").alias(column)).drop("id")
    return frame.select(_COLUMNS)
