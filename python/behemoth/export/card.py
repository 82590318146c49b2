"""The card of a data set: ``README.md``, by which ``datasets.load_dataset`` reads a directory.

Its YAML header lists the files and column types of each table; its body describes them to readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from behemoth._gen import version
from behemoth.support.files import write_bytes

from .source import Source
from .tables import Table

__all__ = ["CARD", "write_card"]

CARD = "README.md"
"""File name of the card."""

_TYPES: dict[type[pl.DataType], str] = {
    pl.UInt64: "uint64", pl.UInt32: "uint32", pl.String: "string", pl.Boolean: "bool",
}  # fmt: skip

_MEANINGS = {
    "document": "number in the corpus",
    "kind": "statements, questions, mixed (both), filler or background",
    "text": "without the mark that ends a document",
    "tokens": "number of tokens, that mark included",
    "subjects": "whom it is about",
    "facts": "what it says, sentence by sentence",
    "messages": "of a user who asks and an assistant who answers",
    "question": "as people ask",
    "answer": "as people answer",
    "fact": "number in the world",
    "subject": "number of the subject",
    "relation": "number of the relation",
    "object": "number of the object, within its relation",
    "template": "what kind of sentence it is",
    "wording": "which one of its kind",
    "held_out": "whether no corpus has the wording: these are the split `test`",
    "exposures": "how often the corpus says the fact",
    "seen": "whether the corpus asks questions about the subject",
}


def write_card(tables: Sequence[Table], suffix: str) -> Callable[[Source, Path, int], None]:
    """Return a function that writes the card of an export of tables, unless it exists."""

    def finish(source: Source, out: Path, block_length: int) -> None:
        if (out / CARD).is_file():  # it names the version that wrote it
            return
        there = [table for table in tables if table.each(source)]
        write_bytes(out / CARD, "\n".join(_lines(source, there, suffix)).encode())

    return finish


def _lines(source: Source, tables: Sequence[Table], suffix: str) -> Iterator[str]:
    grammar = source.corpus.grammar
    language = "und" if grammar is None else grammar.facts["language"]
    named = [(name, list(own)) for name, own in groupby(tables, lambda table: table.name)]
    yield "---"
    if language != "und":
        yield from ("language:", f"- {language}")
    yield from ("tags:", "- synthetic", "- behemoth", "configs:")
    for number, (name, own) in enumerate(named):
        yield f"- config_name: {name}"
        # `datasets` caches a local data set by its card and by the names of its folder and files.
        yield f"  description: corpus {source.corpus.spec_hash}"
        if number == 0:
            yield "  default: true"
        yield "  data_files:"
        for table in own:
            yield f"  - split: {table.split}"
            yield f"    path: {name}/{table.split}-*.{suffix}"
    yield "dataset_info:"
    for name, own in named:
        yield f"- config_name: {name}"
        yield "  features:"
        yield from _features(own[0].schema, "  ")
    yield from ("---", "", "# A corpus of Behemoth", "")
    world = source.corpus.world
    yield (
        f"{world.num_facts:,} facts of a synthetic world in {source.corpus.num_documents:,} "
        f"documents and {source.tokens:,} tokens, made by behemoth {version()}. The hash of its "
        f"spec is `{source.corpus.spec_hash}`."
    )
    for name, own in named:
        splits = " and ".join(f"`{table.split}`" for table in own)
        yield from ("", f"## {name}", "", f"{own[0].about} Splits: {splits}.", "")
        yield from ("| column | is |", "| --- | --- |")
        yield from (f"| `{column}` | {_MEANINGS[column]} |" for column in own[0].schema)
    yield ""


def _features(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Yield names and polars types of fields in the syntax of ``datasets``."""
    for name, kind in fields.items():
        yield f"{indent}- name: {name}"
        yield from _feature(kind, f"{indent}  ", "dtype")


def _feature(kind: Any, indent: str, key: str) -> Iterator[str]:
    if isinstance(kind, pl.List):
        yield from _feature(kind.inner, indent, "list")
    elif isinstance(kind, pl.Struct):
        yield f"{indent}{key}:"
        yield from _features(kind.to_schema(), indent)
    else:
        yield f"{indent}{key}: {_TYPES[type(kind)]}"
