"""Tokenizers of text: one made from a grammar's words, and any Hugging Face tokenizer.

The words of a grammar are split by one rule, which the engine implements as code and
`word_tokenizer_files` writes as a regular expression: a token is a word or a punctuation mark with
the space before it, so that decoding restores the text exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed

from .tokenizer import FILES, hub_files, word_level

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

TOKENIZER_FILE = FILES[0]
_BESIDE = FILES[1:]

_Ids = NDArray[np.uint32]
_Encode = Callable[[list[str]], tuple[_Ids, _Ids, _Ids, _Ids]]


@dataclass(frozen=True)
class TextTokenizer:
    """A Hugging Face tokenizer, stored as the bytes of its files.

    Parameters
    ----------
    files : mapping of str to bytes
        ``tokenizer.json``, and the files beside it that `transformers` reads.
    end : str
        The token that ends a document.
    """

    files: Mapping[str, bytes] = field(repr=False)
    end: str

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self._read()

    @cached_property
    def _plain(self) -> Tokenizer:
        # Its own object, because the setting holds for all calls.
        tokenizer = self._read()
        tokenizer.encode_special_tokens = True
        return tokenizer

    def _read(self) -> Tokenizer:
        with needed():
            from tokenizers import Tokenizer
        try:
            tokenizer = Tokenizer.from_str(self.files[TOKENIZER_FILE].decode())
        except Exception as error:  # the library raises no narrower class
            reason = " ".join(str(error).split())
            raise ArgumentError(
                "tokenizer", f"a {TOKENIZER_FILE} that cannot be read ({reason})", "a tokenizer"
            ) from None
        # Truncation and padding are for model inputs, not for a corpus.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def __reduce__(self) -> tuple[Any, ...]:
        return TextTokenizer, (dict(self.files), self.end)  # without what is cached

    @property
    def digest(self) -> str:
        """BLAKE3 of ``tokenizer.json`` and the end-of-document token, which identifies it."""
        return _gen.digest(self.files[TOKENIZER_FILE] + b"\0" + self.end.encode())

    @cached_property
    def kind(self) -> str:
        """Kind of its model: ``"BPE"``, ``"Unigram"``, ``"WordPiece"`` or ``"WordLevel"``."""
        return type(self._tokenizer.model).__name__

    @cached_property
    def size(self) -> int:
        """Number of token ids: one more than the largest."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    @cached_property
    def end_of_document(self) -> int:
        """Id of the token that ends a document."""
        token = self._tokenizer.token_to_id(self.end)
        if token is None:
            raise ArgumentError("tokenizer", f"no token {self.end!r}", "one with that token")
        return token

    def special(self, name: str) -> int | None:
        """Return the id of a token that its configuration names, such as ``"pad_token"``."""
        told = _special(json.loads(self.files.get("tokenizer_config.json", b"{}")), name)
        return None if told is None else self._tokenizer.token_to_id(told)

    @cached_property
    def names(self) -> list[str]:
        """The names of its tokens by id; empty for ids without a token."""
        names = [""] * self.size
        for name, token in self._tokenizer.get_vocab(with_added_tokens=True).items():
            names[token] = name
        return names

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode texts without special tokens for their beginning or end."""
        return self._tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def encode_plain(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode texts in which names of special tokens are text like any other.

        A tokenizer that has such a name among its ordinary pieces still returns that token.
        """
        return self._plain.encode_batch(list(texts), add_special_tokens=False)

    def decode(self, tokens: Sequence[int]) -> str:
        """Write tokens as text."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    def decode_batch(self, documents: Sequence[Sequence[int]]) -> list[str]:
        """Write the tokens of each document as text, on all cores."""
        lists = [list(document) for document in documents]
        return self._tokenizer.decode_batch(lists, skip_special_tokens=False)

    def words(self) -> tuple[list[tuple[str, str]], list[int]]:
        """Return the tokens that may be words of a filler, and the ids that begin with a space.

        Returns
        -------
        list of (str, str), in the order of ids
            Tokens of a space and two lower-case letters or more: the text of each at the beginning
            of a text, and within one, with the space before it.
        list of int
            Ids of all tokens that begin with a space within a text.
        """
        (anchor,) = self.encode(["."])
        before = self.decode(anchor.ids)
        ids = range(self.size)
        within = self._tokenizer.decode_batch([[*anchor.ids, token] for token in ids])
        openings = self._tokenizer.decode_batch([[token] for token in ids])
        found, begins = [], []
        for token, opening, text in zip(ids, openings, within, strict=True):
            own = text.removeprefix(before)
            if own[:1] == " ":
                begins.append(token)
            if own[:1] == " " and len(own) > 2 and own[1:].isalpha() and own == own.lower():
                found.append((opening, own))
        return found, begins

    def for_engine(self) -> tuple[_Encode, str, int, int]:
        """Return the inputs of the engine's compiler: encode, digest, size, end of document."""

        def encode(texts: list[str]) -> tuple[_Ids, _Ids, _Ids, _Ids]:
            encoded = self.encode(texts)
            ids = [token for one in encoded for token in one.ids]
            offsets = [pair for one in encoded for pair in one.offsets]
            starts, ends = np.array(offsets, np.uint32).reshape(-1, 2).T
            return (
                np.array(ids, np.uint32),
                np.ascontiguousarray(starts),
                np.ascontiguousarray(ends),
                np.array([len(one.ids) for one in encoded], np.uint32),
            )

        return encode, self.digest, self.size, self.end_of_document


def read_tokenizer(place: TextTokenizer | str | PathLike[str]) -> TextTokenizer:
    """Read a tokenizer from a directory, or from its ``tokenizer.json`` alone.

    One that is read already is returned as it is.

    The token that ends a document is the ``eos_token`` of ``tokenizer_config.json``; without that,
    a token with one of the usual names.

    Raises
    ------
    ArgumentError
        When the tokenizer is missing or invalid, or has no end of document.
    """
    if isinstance(place, TextTokenizer):
        return place
    allowed = f"a directory with {TOKENIZER_FILE}, or such a file"
    file = path_of("tokenizer", place, allowed)
    file = file / TOKENIZER_FILE if file.is_dir() else file
    if not file.is_file():
        raise ArgumentError("tokenizer", as_found(place), allowed)
    files = {TOKENIZER_FILE: file.read_bytes()}
    for name in _BESIDE:
        if (file.parent / name).is_file():
            files[name] = (file.parent / name).read_bytes()
    try:
        whole = json.loads(files[TOKENIZER_FILE])
        config = json.loads(files.get("tokenizer_config.json", b"{}"))
        added = [token["content"] for token in whole.get("added_tokens", [])]
        end = _special(config, "eos_token")
    except (ValueError, RecursionError):
        raise ArgumentError("tokenizer", fspath(place), "files that are JSON") from None
    except (TypeError, KeyError, AttributeError):
        allowed = "JSON as the library tokenizers writes it"
        raise ArgumentError("tokenizer", fspath(place), allowed) from None
    if not isinstance(end, str | None):
        got = f"{fspath(place)}, whose tokenizer_config.json has the eos_token {end!r}"
        raise ArgumentError("tokenizer", got, "the text of a token")
    usual = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[SEP]")
    end = end or next((token for token in usual if token in added), None)
    if end is None:
        raise ArgumentError(
            "tokenizer",
            f"{fspath(place)}, which has no end-of-document token",
            "a tokenizer_config.json with eos_token beside it",
        )
    return TextTokenizer(files, end)


def _special(config: Mapping[str, Any], name: str) -> str | None:
    named = config.get(name)
    return named.get("content") if isinstance(named, dict) else named


def word_tokenizer_files(names: Sequence[str]) -> dict[str, bytes]:
    """Return the files of the tokenizer of a grammar's own words, by name.

    Parameters
    ----------
    names : sequence of str, by token id
        Words, after the special tokens: end of document, padding, unknown word.
    """
    marks = re.escape(_gen.PUNCTUATION).replace("\\ ", " ").replace('"', '\\"')
    pattern = rf" ?[^\s{marks}]+| ?[{marks}]|\s"
    end, padding, unknown = _gen.SPECIAL_WORDS
    splits = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    tokenizer = word_level(names, 3, splits, {"type": "Fuse"}, unknown)
    special = {"eos_token": end, "pad_token": padding, "unk_token": unknown}
    return hub_files(tokenizer, special, "left")
