"""A word-level Hugging Face tokenizer of a corpus, written as plain JSON.

A token's name says its role: ``S12`` is the leading digit of a subject, ``S.345``
and ``S..678`` its next ones (digits in base 1,000 unless the spec says otherwise),
``R3`` a relation, ``O3:17`` an object of relation 3 and ``N7:5`` a nested object of
relation 7. Names have no whitespace and are unique, so a text splits back into the
same tokens: encode(decode(tokens)) == tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from behemoth.support.files import write_bytes

from .tokens import END_OF_DOCUMENT, PADDING

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
"""Names of a tokenizer's files."""

_PREFIXES = {"subject": "S", "relation": "R", "object": "O", "nested": "N"}


def token_names(vocabulary: Mapping[str, Any]) -> list[str]:
    """Name every token id.

    Parameters
    ----------
    vocabulary : mapping
        The partition of the token ids (`Corpus.vocabulary`).

    Returns
    -------
    list of str, by token id
    """
    names: list[str | None] = [None] * vocabulary["size"]
    for part in vocabulary["ranges"]:
        first, count = part["first"], part["count"]
        names[first : first + count] = part.get("names") or _digit_names(part)
    assert None not in names and len(set(names)) == len(names)
    return names  # type: ignore[return-value]


def _digit_names(part: Mapping[str, Any]) -> list[str]:
    prefix = _PREFIXES[part["kind"]]
    if part["kind"] in ("object", "nested"):
        prefix += f"{part['relation']}:"
    position, count = part["position"], part["count"]
    if position == 0:
        return [f"{prefix}{digit}" for digit in range(count)]
    dots, width = "." * position, len(str(count - 1))
    return [f"{prefix}{dots}{digit:0{width}}" for digit in range(count)]


def decode(tokens: Iterable[int], names: Sequence[str]) -> str:
    """Write tokens as text, names with spaces between them."""
    return " ".join([names[token] for token in tokens])


def tokenizer_files(vocabulary: Mapping[str, Any]) -> dict[str, bytes]:
    """Give the contents of the tokenizer's files by name.

    Ids 0 and 1 are the end of a document and padding. There is no token for unknown
    words: a text that does not belong to the world is an error, not a guess.
    """
    names = token_names(vocabulary)
    end, padding = names[END_OF_DOCUMENT], names[PADDING]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": names[index], **special, "special": True}
            for index in (END_OF_DOCUMENT, PADDING)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {name: index for index, name in enumerate(names)},
            "unk_token": "<unknown>",
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": end,
        "pad_token": padding,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000_000,
    }
    values = (tokenizer, config, {"eos_token": end, "pad_token": padding})
    return {name: _dump(value) for name, value in zip(FILES, values, strict=True)}


def write_tokenizer(directory: Path, vocabulary: Mapping[str, Any]) -> None:
    """Write the tokenizer's files into `directory`, each atomically."""
    for name, data in tokenizer_files(vocabulary).items():
        write_bytes(directory / name, data)


def _dump(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
