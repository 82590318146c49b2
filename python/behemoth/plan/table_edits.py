"""The edits that a table gives, in place of a number of them."""

from __future__ import annotations

from difflib import get_close_matches
from os import PathLike, fspath

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from behemoth.corpus.arrays import fact_numbers
from behemoth.corpus.corpus import Corpus
from behemoth.corpus.grammar import Grammar
from behemoth.corpus.number_words import NumberWords
from behemoth.corpus.world import World
from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError, nearest, renamed
from behemoth.support.parquet import read_parquet
from behemoth.support.toml import check_utf8

from .choice import Edits, check_censor, known_facts
from .objects import new_objects
from .request import EditRequest
from .sampling import Facts, Ids, among, distinct
from .structure import Structure

__all__ = ["check_csv", "read_edits", "read_facts"]

_NEW = ("object", "new_object")  # names of the column of new objects; plans have the second
_LIKE_NEW = ("target", "target_new", "new", "new_object_name", "object_new")  # beside misspellings
_NUMBER_OF = "objects"  # near to `object`, but in `World.relation_table` how many a relation has
_SEVERAL = -1  # in place of the number of an object whose name others have as well


def read_facts(name: str, path: str | PathLike[str]) -> pl.DataFrame:
    """Read a Parquet or CSV file of facts, for the argument `name`.

    Raises
    ------
    ArgumentError
    """
    allowed = "a Parquet or CSV file with a column fact, or subject and relation"
    file = path_of(name, path, allowed)
    if not file.is_file():
        kind = "a directory" if file.is_dir() else "no regular file"
        if name == "known" and (rows := file / "frame.parquet").is_file():
            allowed = f"{rows}, if that is of the suite recall, or {allowed}"
        raise ArgumentError(name, as_found(path, kind), allowed)
    try:
        if file.suffix == ".csv":
            check_utf8(name, fspath(path), file.read_bytes())  # polars takes any bytes
            # All rows tell its types: names may come after numbers.
            frame = pl.read_csv(file, glob=False, infer_schema_length=None)
            for column in frame.columns:
                original, again, _ = column.rpartition("_duplicated_")  # as polars names it
                if again and original in frame.columns:
                    got = f"{fspath(path)}, with column {original} twice"
                    raise ArgumentError(name, got, "each column once")
            return frame
        return read_parquet(file)
    except pl.exceptions.PolarsError:
        kind = "CSV" if file.suffix == ".csv" else "Parquet"
        raise ArgumentError(name, as_found(path, f"not a valid {kind} file"), allowed) from None


def read_edits(
    corpus: Corpus,
    structure: Structure,
    request: EditRequest,
    table: pl.DataFrame,
    known: ArrayLike | None,
) -> Edits:
    """Take the edits of a table: fact, or subject and relation, and optionally the new object.

    Remaps read it from the column object, or new_object as in the edits of a plan; censors and
    refusals have none. Further columns are ignored, except those of new objects by another name.

    If the world has names, a table may contain names in place of numbers, and if it has none, the
    words of the corpus. With a grammar, relations may be named by their keys and objects by its
    words; subjects are numbers.

    Raises
    ------
    ArgumentError
        When a column is missing, there are two columns of new objects or one by another name, new
        objects are neither numbers nor names, or a row has no fact of the world, one that the
        request does not edit, one that is not known, or nothing to change.
    """
    if any(own is not None for own in (request.count, request.fraction, request.exposures)):
        raise ArgumentError("table", "a table", "either a table or edits")
    if request.correlated_only:
        raise ArgumentError("correlated_only", True, "not with a table, which names the facts")
    table = _as_text(table)
    ids = _table_facts(corpus, table)
    facts, world = Facts.of(corpus, ids), corpus.world
    if not len(ids):
        raise ArgumentError("table", "no rows", "at least one fact")
    if (again := ~pl.Series(ids).is_first_distinct()).any():
        row = again.arg_max() or 0
        first = int(np.flatnonzero(ids == ids[row])[0])
        got = f"{_fact(world, facts, row)} in rows {first} and {row} (from 0)"
        raise ArgumentError("table", got, "each fact once")
    if request.relation is not None and (facts.relation != request.relation).any():
        other = facts.relation[facts.relation != request.relation][0]
        raise ArgumentError(
            "table",
            f"a fact of relation {_name(world, 'relation', other, other)}",
            f"those of relation {_name(world, 'relation', request.relation, request.relation)}",
        )
    check_censor(structure, request)
    _check_target(structure, request, facts)
    if request.to == "one":
        _check_one_object(facts)
    if known is not None:
        unknown = np.flatnonzero(~among(ids, known_facts(corpus, known)))
        if len(unknown):
            first = _fact(world, facts, int(unknown[0]))
            raise ArgumentError(
                "table", f"{first} of {len(unknown)} that are not known", "known facts"
            )
    column = _object_column(table) if request.kind == "remap" else None
    if column is None:
        new = new_objects(structure, request, facts)
        if (same := (new == facts.object)).any():
            row = int(np.flatnonzero(same)[0])
            raise ArgumentError(
                "table", f"{_fact(world, facts, row)} in row {row} (from 0)",
                f"one that does not say object "
                f"{_name(world, 'object', facts.relation[row], new[row])} before",
            )  # fmt: skip
        return Edits(facts, new, facts[:0])
    objects = pl.DataFrame({"relation": facts.relation, "object": table[column]})
    given = _whole_objects(_numbered(corpus, objects)["object"], column)
    said = given.fill_null(-1).to_numpy()
    drawn = new_objects(structure, request, facts, said)
    new = np.where(given.is_not_null().to_numpy(), said, drawn)
    bad = (new < 0) | (new >= structure.objects[facts.relation]) | (new == facts.object)
    for relation in distinct(facts.relation):
        mine = facts.relation == relation
        bad |= mine & ~np.isin(new, structure.choices(int(relation)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        relation, said = facts.relation[row], table[column][row]
        got, own, below = new[row], facts.object[row], f", below {structure.objects[relation]}"
        if isinstance(said, str):  # a name, or a word of the corpus
            own = repr(said) if got == own else _name(world, "object", relation, own)
            got, below = repr(said), ""
        drawn_without = ""
        if (new == facts.object).all():  # as in a frame of facts, whose objects are their own
            drawn_without = f", or no column {column}, without which new objects are drawn"
        raise ArgumentError(
            "table",
            f"object {got} in row {row} (from 0)",
            f"another than {own}, the fact's own{below}{drawn_without}",
        )
    return Edits(facts, new, facts[:0])


def check_csv(corpus: Corpus, request: EditRequest, table: pl.DataFrame) -> None:
    """Refuse a table of a CSV with a column of numbers of which one is a name as well.

    Elsewhere the type of a column tells them apart.

    Raises
    ------
    ArgumentError
    """
    names = corpus.world.names
    columns = [] if "fact" in table.columns else ["subject", "relation"]
    columns += _NEW if request.kind == "remap" else ()
    for column in columns:
        if names is None or column not in table.columns or not table.schema[column].is_numeric():
            continue
        known = names.like_numbers("object" if column in _NEW else column)
        for row, value in enumerate(table[column]):
            if value in known:
                got = f"{value} as {column} in row {row} (from 0) of a CSV, also a name"
                allowed = "names in a column of text, numbers in one of numbers: a frame or Parquet"
                raise ArgumentError("table", got, allowed)


def _name(world: World, column: str, relation: int, number: int) -> str:
    """Return the name of a subject, relation or object for an error; without one, its number."""
    own = world.named(pl.DataFrame({"relation": [int(relation)], column: [int(number)]}))
    name = own[f"{column}_name"][0] if f"{column}_name" in own.columns else None
    return f"{number}" if name is None else repr(name)


def _fact(world: World, facts: Facts, row: int) -> str:
    """Return a fact of a table for an error, by its names if the world has names."""
    if world.names is None:
        return f"fact {facts.fact[row]}"
    relation = int(facts.relation[row])
    subject = _name(world, "subject", relation, int(facts.subject[row]))
    return f"fact {subject}, {_name(world, 'relation', relation, relation)}"


def _as_text(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with names as strings; a categorical would become its codes as a number."""
    coded = [
        name for name, kind in table.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)
    ]
    return table.with_columns(pl.col(coded).cast(pl.String))


def _object_column(table: pl.DataFrame) -> str | None:
    """Return the column of the new objects; None if all of them are to be drawn.

    A column of objects by another name is refused: without it, other edits would be made.
    """
    found = [name for name in _NEW if name in table.columns]
    if len(found) > 1:
        raise ArgumentError(
            "table", f"columns {' and '.join(found)}", "one of the two, for the new object"
        )
    if not found:
        for name in table.columns:
            word = name.casefold().replace("-", "_").replace(" ", "_")
            # Not as near as old_object, subject or object_name, which are no new objects.
            if word == _NUMBER_OF:
                continue
            if word in _LIKE_NEW or get_close_matches(word, _NEW, n=1, cutoff=0.82):
                allowed = "object or new_object as the name of the new objects' column"
                raise ArgumentError("table", f"a column {name}", allowed, "object")
    return found[0] if found else None


def _check_one_object(facts: Facts) -> None:
    """Refuse facts that do not have one object of one relation before."""
    pairs = len(set(zip(facts.relation.tolist(), facts.object.tolist(), strict=True)))
    if pairs > 1:
        raise ArgumentError(
            "table",
            f"facts of {pairs} pairs of a relation and an object",
            "those of one relation with one object, for to=one",
        )


def _whole_objects(objects: pl.Series, column: str) -> pl.Series:
    """Return the numbers of the new objects as Int64, with null where one is to be drawn."""
    kind = objects.dtype
    if not kind.is_numeric() and kind != pl.Null:  # a cast would number dates and truth values
        raise ArgumentError("table", f"{kind} in column {column}", "whole numbers or names")
    if kind.is_float():  # so are whole numbers beside a missing one, in some tables
        objects = objects.fill_nan(None)
    numbers = objects.cast(pl.Int64, strict=False)  # without fractions; null beyond 64 bits
    bad = objects.is_not_null() & (numbers.is_null() | (numbers != objects))
    if bad.any():
        row = bad.arg_max() or 0
        got = f"object {objects[row]!r} in row {row} (from 0)"
        raise ArgumentError("table", got, "a whole number below 2^63")
    return numbers


def _check_target(structure: Structure, request: EditRequest, facts: Facts) -> None:
    """Refuse facts of another target than the request's; with 'subject' a table may have any."""
    if request.target == "subject":
        return
    allowed = structure.targets(request)
    other = facts.relation[~np.isin(facts.relation, np.array(allowed, np.uint32))]
    if len(other):
        names = [_name(structure.world, "relation", own, own) for own in (other[0], *allowed)]
        kinds = ", ".join(names[1:])
        raise ArgumentError(
            "table",
            f"a fact of relation {names[0]}",
            f"those of target '{request.target}': of relations {kinds}",
        )


def _numbered(corpus: Corpus, table: pl.DataFrame) -> pl.DataFrame:
    """Replace the names in a table by numbers; refuse names that the world does not have."""
    names = corpus.world.names
    if names is not None:
        return names.numbers(table)
    if corpus.grammar is None:
        return NumberWords(corpus).numbers(table)
    if table.schema.get("relation") == pl.String:
        keys = [row["key"] for row in corpus.grammar.facts["relations"]]
        for name in table["relation"].drop_nulls():
            if name not in keys:
                raise ArgumentError("table", f"{name!r} as relation", ", ".join(keys))
        place = pl.col("relation").replace_strict(keys, range(len(keys)), return_dtype=pl.Int64)
        table = table.with_columns(place)
    if table.schema.get("object") == pl.String:
        objects = _objects_of_grammar(corpus, corpus.grammar, table)
        table = table.with_columns(pl.Series("object", objects, pl.Int64))
    if table.schema.get("subject") == pl.String:
        row = table["subject"].is_not_null().arg_max() or 0
        # A grammar names a subject from its number, and has no way back.
        allowed = "a whole number: Corpus.probes has it beside each prompt, which contains the name"
        raise ArgumentError("table", f"{table['subject'][row]!r} as subject", allowed)
    return table


def _objects_of_grammar(corpus: Corpus, grammar: Grammar, table: pl.DataFrame) -> list[int | None]:
    """Return the numbers of the objects that a table names in the words of a grammar."""
    relations = corpus.world.relation_table
    of_relations: dict[int, dict[str, int]] = {}
    numbers: list[int | None] = []
    for relation, name in zip(table["relation"], table["object"], strict=True):
        row = relations[relation]
        # The object of a link fact is one of the composed relation.
        named = row["composed"] if row["link"] else relation
        if named not in of_relations:
            of_relations[named] = _numbers_of_names(grammar, named, relations[named]["objects"])
        known = of_relations[named]
        number = None if name is None else known.get(name)
        if name is not None and number is None:
            allowed = f"the name of one of the {len(known):,} objects of the relation, or a number"
            raise ArgumentError("table", f"{name!r} as object", allowed, nearest(name, known))
        if number == _SEVERAL:
            got = f"{name!r} as object, which is the name of several"
            raise ArgumentError("table", got, "the number of one")
        numbers.append(number)
    return numbers


def _numbers_of_names(grammar: Grammar, relation: int, objects: int) -> dict[str, int]:
    """Return the number of each name of a relation's objects."""
    numbers: dict[str, int] = {}
    for number, name in enumerate(grammar.objects(relation, range(objects))):
        numbers[name] = number if name not in numbers else _SEVERAL
    return numbers


def _table_facts(corpus: Corpus, table: pl.DataFrame) -> Ids:
    columns = set(table.columns)
    if "fact" in columns:
        ids = fact_numbers(table, corpus.world.num_facts, "table")
        own = corpus.world.facts_of(ids)
        for column in ("subject", "relation"):
            if column in columns and table.schema[column].is_integer():
                other = (table[column] != own[column]).fill_null(False)
                for row in other.arg_true()[:1]:
                    got = f"fact {ids[row]} of {column} {table[column][row]} in row {row} (from 0)"
                    allowed = f"its own {column}, {own[column][row]}, or no such column"
                    raise ArgumentError("table", got, allowed)
        return ids
    if {"subject", "relation"} <= columns:
        table = _numbered(corpus, table.select("subject", "relation"))
        for column in ("subject", "relation"):
            missing = table[column].is_null()
            if table.schema[column].is_float():
                missing |= table[column].is_nan()
            if missing.any():
                got = f"no {column} in row {missing.arg_max()} (from 0)"
                raise ArgumentError("table", got, f"a {column} in every row")
        subjects, relations = table["subject"].to_numpy(), table["relation"].to_numpy()
        try:
            with renamed(subjects="table", relations="table"):
                return corpus.world.fact_ids(subjects, relations)
        except ArgumentError as error:
            for row, pair in enumerate(zip(subjects, relations, strict=True)):
                if error.got == "subject {}, relation {}".format(*pair):  # as the engine says it
                    got = f"{error.got} in row {row} (from 0)"
                    raise ArgumentError("table", got, error.allowed) from None
            raise
    raise ArgumentError(
        "table",
        f"columns {', '.join(table.columns)}" if table.columns else "no columns",
        "fact, or subject and relation, and optionally object or new_object",
    )
