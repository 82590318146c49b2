"""The word-level Hugging Face tokenizer of a corpus, written as plain JSON.

The name of a token shows its role: ``S12`` is the leading digit of a subject, ``S.345``
and ``S..678`` are its next digits (in base 1,000 unless the spec sets another), ``R3`` is a
relation, ``O3:17`` an object of relation 3 and ``N7:5`` a nested object of relation 7.
Subjects, relations and objects of a table that have names are written with these
(`behemoth.corpus.names`). Words have no whitespace and are unique, so a text splits
back into the same tokens: encode(decode(tokens)) == tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from behemoth.support.files import write_bytes

from .tokens import END_OF_DOCUMENT, PADDING

if TYPE_CHECKING:
    from .names import Names

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
"""Names of a tokenizer's files."""

PREFIXES = {"subject": "S", "relation": "R", "object": "O", "nested": "N"}
"""First letters of the names of things by their kind."""

_SPACES = {"type": "WhitespaceSplit"}


def token_names(vocabulary: Mapping[str, Any], named: Names | None = None) -> list[str]:
    """Return the name of every token id.

    Parameters
    ----------
    vocabulary : mapping
        The partition of the token ids (`Corpus.vocabulary`).
    named : Names, optional
        Names of the world's subjects, relations and objects, if it has names.

    Raises
    ------
    ArgumentError
        When a name cannot be distinguished from another word.

    Returns
    -------
    list of str, by token id
    """
    names: list[str | None] = [None] * vocabulary["size"]
    for part in vocabulary["ranges"]:
        first, count = part["first"], part["count"]
        names[first : first + count] = part.get("names") or digit_names(part)
    assert None not in names and len(set(names)) == len(names)
    found: list[str] = names  # type: ignore[assignment]
    if named is not None:
        named.put(found, vocabulary["ranges"])
    return found


def digit_names(part: Mapping[str, Any]) -> list[str]:
    """Return the names of the digits at one position of the numbers of a kind of thing."""
    prefix = PREFIXES[part["kind"]]
    if part["kind"] in ("object", "nested"):
        prefix += f"{part['relation']}:"
    position, count = part["position"], part["count"]
    if position == 0:
        return [f"{prefix}{digit}" for digit in range(count)]
    dots, width = "." * position, len(str(count - 1))
    return [f"{prefix}{dots}{digit:0{width}}" for digit in range(count)]


def decode(tokens: Iterable[int], names: Sequence[str]) -> str:
    """Write tokens as text: their names, separated by spaces."""
    return " ".join([names[token] for token in tokens])


def tokenizer_files(names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of the tokenizer's files by name.

    Ids 0 and 1 are the end of a document and padding. An unknown word is read as padding, which
    no corpus contains, because the vocabulary has no spare id for it. Each token is written with
    the space before it, so that a continuation can be appended to its prompt;
    encode(decode(tokens)) == tokens.

    Parameters
    ----------
    names : sequence of str, by token id
    """
    end, padding = names[END_OF_DOCUMENT], names[PADDING]
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"Regex": "^"}, "content": " "},
            {"type": "Fuse"},
        ],
    }
    special = {"eos_token": end, "pad_token": padding, "unk_token": padding}
    return hub_files(word_level(names, 2, _SPACES, decoder, padding), special, "left")


def earlier_tokenizer_files(names: Sequence[str]) -> dict[str, bytes]:
    """Return the files as earlier versions wrote them, before there was an unknown token.

    They have the same words with the same ids, so a directory with them is valid.
    """
    special = {"eos_token": names[END_OF_DOCUMENT], "pad_token": names[PADDING]}
    return hub_files(word_level(names, 2, _SPACES, None, "<unknown>"), special)


def word_level(
    names: Sequence[str],
    special: int,
    splits: Mapping[str, Any],
    decoder: Mapping[str, Any] | None,
    unknown: str,
) -> bytes:
    """Return the ``tokenizer.json`` of words, of which the first ones are special.

    Parameters
    ----------
    names : sequence of str, by token id
    special : int
        Number of special tokens.
    splits, decoder : mapping
        Its pre-tokenizer, and its decoder if it has one.
    unknown : str
        The token that an unknown word is read as.
    """
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return dump({
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": name, **plain, "special": True}
            for index, name in enumerate(names[:special])
        ],
        "normalizer": None,
        "pre_tokenizer": splits,
        "post_processor": None,
        "decoder": decoder,
        "model": {
            "type": "WordLevel",
            "vocab": {name: index for index, name in enumerate(names)},
            "unk_token": unknown,
        },
    })  # fmt: skip


def hub_files(
    tokenizer: bytes,
    special: Mapping[str, str],
    padding_side: Literal["left", "right"] | None = None,
) -> dict[str, bytes]:
    """Return a tokenizer's files in the form that `transformers` expects, by name.

    Parameters
    ----------
    tokenizer : bytes
        Contents of ``tokenizer.json``.
    special : mapping
        Special tokens by their names in the configuration, such as ``eos_token``.
    padding_side : {'left', 'right'}, optional
    """
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "clean_up_tokenization_spaces": False,
        **({} if padding_side is None else {"padding_side": padding_side}),
        "model_max_length": 1_000_000_000,
    }
    contents = (tokenizer, dump(config), dump(dict(special)))
    return dict(zip(FILES, contents, strict=True))


def write_tokenizer(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a tokenizer's files into `directory`, each atomically."""
    for name, data in files.items():
        write_bytes(directory / name, data)


def dump(value: object) -> bytes:
    """Return a value as JSON, in the layout of a tokenizer's files."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
