"""How the tokens of a corpus are written as text: in one of three ways.

Templates are written as names separated by spaces, a grammar's own words carry the spaces before
them, and a tokenizer has its own library.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import whitespace
from typing import TYPE_CHECKING, Any

from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed

from .decoding import Decoder, table_decoder, text_decoder
from .text_tokenizer import TOKENIZER_FILE, TextTokenizer, word_tokenizer_files
from .tokenizer import decode, token_names, tokenizer_files

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from .corpus import Corpus
    from .names import Names

__all__ = ["Lettering", "lettering_of"]


@dataclass(frozen=True)
class _Words:
    """Words of a corpus itself, whose names follow from its vocabulary."""

    vocabulary: Mapping[str, Any] = field(repr=False)
    named: Names | None = field(repr=False)

    @property
    def kind(self) -> str:
        return "words"

    @cached_property
    def names(self) -> list[str]:
        return token_names(self.vocabulary, self.named)

    @property
    @abstractmethod
    def files(self) -> dict[str, bytes]: ...

    @cached_property
    def _reader(self) -> Tokenizer:
        with needed():
            from tokenizers import Tokenizer

        return Tokenizer.from_buffer(self.files[TOKENIZER_FILE])

    @cached_property
    def _unknown(self) -> int | None:
        return self._reader.token_to_id(self._reader.model.unk_token)

    def _tokens(self, text: str) -> Encoding:
        return self._reader.encode(text, add_special_tokens=False)

    def _read(self, text: str) -> tuple[str, Encoding]:
        """Return a text with the white space that its tokens are written with, and these."""
        text = " ".join(text.split())
        return text, self._tokens(text)

    def encode(self, text: str) -> list[int]:
        text, read = self._read(text)
        for token, (start, end) in zip(read.ids, read.offsets, strict=True):
            if token == self._unknown:
                word, allowed = text[start:end].strip(), "words of the corpus"
                if self._reader.token_to_id(f" {word}") is not None:
                    allowed += " that can begin a text"
                elif self._reader.token_to_id(word) is not None:
                    allowed += " that can follow a space"
                # A name of several words is one token, in which they are joined.
                rest = "_".join([*text[start:].split(), ""])
                joined = (own for own in self.names if "_" in own and rest.startswith(f"{own}_"))
                raise ArgumentError(
                    "text", word, allowed, max(joined, key=len, default=None)
                )  # fmt: skip
        return read.ids


class _Spaced(_Words):
    """Names of templates, separated by spaces."""

    @property
    def files(self) -> dict[str, bytes]:
        return tokenizer_files(self.names)

    def decode(self, tokens: Sequence[int]) -> str:
        return decode(tokens, self.names)

    def decoder(self, end: int) -> Decoder:
        names = [name.encode() for name in self.names]
        return table_decoder(names, [b" " + name for name in names], end)


@dataclass(frozen=True)
class _Joined(_Words):
    """Words of a grammar, each with the space before it.

    Its sentences are separated by `separator`, and those of further subjects of a document by
    another one, which the vocabulary has even if no document has `further` subjects.
    """

    separator: str
    further: bool

    @property
    def files(self) -> dict[str, bytes]:
        return word_tokenizer_files(self.names)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join([self.names[token] for token in tokens])

    @cached_property
    def _white(self) -> set[str]:
        return {name for name in self.names if name.isspace()}

    def _is_written(self, run: str) -> bool:
        """Return whether documents of the corpus may have this white space."""
        if run == self.separator:
            return True
        # A sentence may have spaces that are not ASCII, and its last space is a part of a word.
        may = self.further or not run.isascii()
        return may and {*run[:-1]} <= self._white and run[-1] in {" ", *self._white}

    def _read(self, text: str) -> tuple[str, Encoding]:
        begins = text[:1] in {*whitespace}
        if "\r" not in self._white:
            text = text.replace("\r\n", "\n")
        text = re.sub(
            r"\s+",
            lambda run: run[0] if self._is_written(run[0]) else " ",
            text.strip(whitespace),
        ).strip(" ")
        read = self._tokens(text)
        if begins and read.ids and read.ids[0] == self._unknown:
            # Parts of a document, and documents of a filler, begin with the space of a word.
            text = f" {text}"
            read = self._tokens(text)
        # Where no sentence can begin, a line break is not a separator but wraps a line.
        found = text
        for token, (start, _) in zip(reversed(read.ids), reversed(read.offsets), strict=True):
            if token == self._unknown and text[start - 1 : start].isspace():
                text = f"{text[:start].rstrip()} {text[start:].lstrip()}"
        return text, read if text == found else self._tokens(text)

    def decoder(self, end: int) -> Decoder:
        names = [name.encode() for name in self.names]
        return table_decoder(names, names, end)


@dataclass(frozen=True)
class _Tokenized:
    """Pieces of a tokenizer of text."""

    tokenizer: TextTokenizer

    @property
    def kind(self) -> str:
        return self.tokenizer.kind

    @property
    def names(self) -> list[str]:
        return self.tokenizer.names

    @property
    def files(self) -> dict[str, bytes]:
        return dict(self.tokenizer.files)

    def decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode([text])[0].ids

    def decoder(self, end: int) -> Decoder:
        return text_decoder(self.tokenizer, end)


Lettering = _Spaced | _Joined | _Tokenized
"""How tokens are written: ``kind`` of the tokens, ``names`` of all ids, ``files`` of the tokenizer
that reads the text back, ``decode`` of tokens, ``encode`` of a text, and a ``decoder`` of many
documents.
"""


def lettering_of(corpus: Corpus) -> Lettering:
    """Return how the tokens of a corpus are written.

    Its names raise an `ArgumentError` when one cannot be distinguished from another word.
    """
    text = corpus.text_settings
    if text is not None and text.tokenizer is not None:
        return _Tokenized(text.tokenizer)
    if text is None:
        return _Spaced(corpus.vocabulary, corpus.world.names)
    further = corpus.spec["corpus"].get("documents", {}).get("subjects", 1) > 1
    return _Joined(corpus.vocabulary, corpus.world.names, text.grammar.separator, further)
