"""The words that a world without names is written with, read back as numbers: S31, R2, O2:7.

A large number is several words, one for each of its digits in the base of the vocabulary, as in
``S4 S.736 S..187``. These are the names of `behemoth.corpus.tokenizer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from behemoth.support.errors import ArgumentError

from .tokenizer import PREFIXES, digit_names

if TYPE_CHECKING:
    import polars as pl

    from .corpus import Corpus

__all__ = ["NumberWords"]


class NumberWords:
    """The words of the subjects, relations and objects of a corpus without names.

    Parameters
    ----------
    corpus : Corpus
        Written with templates, and of a world without names.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._relations = corpus.world.relation_table
        self._base: int = corpus.vocabulary["base"]
        self._parts: dict[str, list[dict[str, Any]]] = {}
        for part in corpus.vocabulary["ranges"]:
            if part["kind"] in PREFIXES:
                own = "" if part["relation"] is None else f"{part['relation']}:"
                self._parts.setdefault(PREFIXES[part["kind"]] + own, []).append(part)
        self._digits: dict[str, list[dict[str, int]]] = {}

    def relation(self, word: str) -> int | None:
        """Return the number of a relation; None for another word."""
        return self._number("R", word)

    def numbers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with the words in its columns subject, relation, object as numbers.

        Raises
        ------
        ArgumentError
            For a word that is not one of the corpus, or is an object of another relation.
        """
        import polars as pl

        for column in ("relation", "subject", "object"):
            if frame.schema.get(column) == pl.String:
                numbers = self._column(column, frame[column].to_list(), frame["relation"].to_list())
                frame = frame.with_columns(pl.Series(column, numbers, pl.Int64))
        return frame

    def _column(
        self, column: str, words: Sequence[str | None], relations: Sequence[Any]
    ) -> list[int | None]:
        numbers: list[int | None] = []
        for row, (word, relation) in enumerate(zip(words, relations, strict=True)):
            prefix = "R" if column == "relation" else self._prefix(column, relation)
            number = None if word is None else self._number(prefix, word)
            if word is not None and number is None:
                first = " ".join(digit_names(part)[0] for part in self._parts.get(prefix, ()))
                such = f", or a word of the corpus, such as {first}" if first else ""
                got = f"{word!r} as {column} in row {row} (from 0)"
                raise ArgumentError("table", got, f"a whole number{such}")
            numbers.append(number)
        return numbers

    def _prefix(self, column: str, relation: Any) -> str:
        """Return what the words of a column begin with, for facts of a relation."""
        if not isinstance(relation, int) or not 0 <= relation < len(self._relations):
            return ""  # there is no such relation: no word fits
        row = self._relations[relation]
        if column == "subject":
            # The subject of a link fact is an object.
            return self._prefix("object", row["of"]) if row["link"] else PREFIXES["subject"]
        nested = row["composed"] if row["link"] else relation
        kind = "nested" if self._relations[nested]["kind"] == "composed" else "object"
        return f"{PREFIXES[kind]}{nested}:"

    def _number(self, prefix: str, word: str) -> int | None:
        if prefix not in self._digits:
            self._digits[prefix] = [
                {name: digit for digit, name in enumerate(digit_names(part))}
                for part in self._parts.get(prefix, ())
            ]
        known, words = self._digits[prefix], word.split(" ")
        if len(known) != len(words):
            return None
        number = 0
        for digits, each in zip(known, words, strict=True):
            if each not in digits:
                return None
            number = number * self._base + digits[each]
        return number
