"""Tables of row formats: documents, questions and chats, split into files.

A table is in a folder of its name, in files named as ``datasets`` expects, ``SPLIT-00000``. The
rows of each file depend on the corpus only. Wordings of questions that are in no corpus form the
split ``test``, so that nobody trains on them by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from behemoth.corpus import documents, questions
from behemoth.corpus.corpus import Corpus
from behemoth.support.files import replacing
from behemoth.support.progress import Advance, ProgressLike, task

from .protocol import SHARD, Write
from .source import Source

__all__ = ["CHAT", "DOCUMENTS", "QUESTIONS", "Save", "Table", "write_tables"]

_TOKENS = 1 << 22  # approximate number of tokens of documents in a file
_ROWS = 1 << 18  # maximum number of questions in a file
_PARTS = 16  # parts in which a file is made; progress is reported after each

Save: TypeAlias = Callable[[Iterator[pl.DataFrame], Path], None]
"""``save(frames, path)`` writes a file from frames that are made one after the other."""


@dataclass(frozen=True)
class Table:
    """Rows of one kind.

    Parameters
    ----------
    name, split : str
        Name of its folder, and name of its files.
    about : str
        Description of a row, for the card.
    unit : str
        Unit that rows are made from, in which progress is counted.
    schema : polars.Schema
    count : callable
        ``count(source)`` returns the number of units.
    each : callable
        ``each(source)`` returns the number of units in a file; 0 if the corpus lacks the table.
    frame : callable
        ``frame(corpus, start, stop)`` returns the rows of a range of units.
    """

    name: str
    split: str
    about: str
    unit: str
    schema: pl.Schema
    count: Callable[[Source], int]
    each: Callable[[Source], int]
    frame: Callable[[Corpus, int, int], pl.DataFrame]

    def pattern(self, suffix: str) -> str:
        """Return the pattern of the names of its files."""
        return f"{self.name}/{self.split}-{SHARD}*.{suffix}"

    def write(
        self, source: Source, out: Path, suffix: str, save: Save, progress: ProgressLike
    ) -> None:
        """Write its missing files; at least one file exists if the corpus has the table."""
        each, count = self.each(source), self.count(source)
        if not each:
            return
        with task(progress, f"exporting {self.name}", self.unit) as step:
            for number, start in enumerate(range(0, max(count, 1), each)):
                stop = min(start + each, count)
                path = out / self.name / f"{self.split}-{number:05}.{suffix}"
                if not path.exists():
                    with replacing(path) as temporary:
                        save(self._frames(source, start, stop, step), temporary)
                step(stop, count)

    def _frames(
        self, source: Source, start: int, stop: int, step: Advance
    ) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=self.schema)
        part = -(-(stop - start) // _PARTS) or 1
        for first in range(start, stop, part):
            last = min(first + part, stop)
            yield self.frame(source.corpus, first, last)
            step(last, self.count(source))


def write_tables(tables: tuple[Table, ...], suffix: str, save: Save) -> Write:
    """Return a writer for a format of tables."""

    def write(source: Source, out: Path, block_length: int, progress: ProgressLike) -> None:
        for table in tables:
            table.write(source, out, suffix, save, progress)

    return write


def _num_documents(source: Source) -> int:
    return source.corpus.num_documents


def _num_facts(source: Source) -> int:
    return source.corpus.world.num_facts


def _documents_of_file(source: Source) -> int:
    return max(1, _TOKENS * source.corpus.num_documents // max(source.tokens, 1))


def _facts_of_file(held_out: bool) -> Callable[[Source], int]:
    def each(source: Source) -> int:
        wordings = len(questions.question_wordings(source.corpus, held_out))
        return wordings and max(1, _ROWS // wordings)

    return each


def _questions(held_out: bool) -> Callable[[Corpus, int, int], pl.DataFrame]:
    def frame(corpus: Corpus, start: int, stop: int) -> pl.DataFrame:
        return questions.question_frame(corpus, np.arange(start, stop, dtype=np.uint64), held_out)

    return frame


def _chats(held_out: bool) -> Callable[[Corpus, int, int], pl.DataFrame]:
    asked = _questions(held_out)

    def frame(corpus: Corpus, start: int, stop: int) -> pl.DataFrame:
        said = [
            pl.struct(pl.lit(role).alias("role"), pl.col(column).alias("content"))
            for role, column in zip(("user", "assistant"), _TEXTS, strict=True)
        ]
        made = asked(corpus, start, stop).with_columns(messages=pl.concat_list(said))
        return made.select(_CHAT.names())

    return frame


_MESSAGE = pl.Struct({"role": pl.String(), "content": pl.String()})
_TEXTS = ("question", "answer")
_REST = {name: kind for name, kind in questions.SCHEMA.items() if name not in _TEXTS}
_CHAT = pl.Schema({"messages": pl.List(_MESSAGE), **_REST})

DOCUMENTS = (
    Table(
        "documents",
        "train",
        "A document of the corpus, in its order.",
        "documents",
        documents.SCHEMA,
        _num_documents,
        _documents_of_file,
        documents.document_frame,
    ),
)
"""All documents."""

QUESTIONS = tuple(
    Table(
        "questions",
        split,
        "A question about a fact, and its answer.",
        "facts",
        questions.SCHEMA,
        _num_facts,
        _facts_of_file(held_out),
        _questions(held_out),
    )
    for split, held_out in (("train", False), ("test", True))
)
"""Questions about all facts, in all wordings."""

CHAT = tuple(
    Table(
        "chat",
        split,
        "A question about a fact and its answer, as messages.",
        "facts",
        _CHAT,
        _num_facts,
        _facts_of_file(held_out),
        _chats(held_out),
    )
    for split, held_out in (("train", False), ("test", True))
)
"""The same questions and answers as messages of a user and an assistant."""
