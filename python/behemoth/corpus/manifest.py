"""The manifest of a corpus directory, and the names of the files beside it."""

from __future__ import annotations

import json
from os import fspath
from pathlib import Path
from typing import Any

from behemoth._gen import FORMAT_VERSIONS
from behemoth.support.checks import as_found
from behemoth.support.digests import no_record
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.text import listed_text

from .shards import shard_file

MANIFEST = "manifest.json"
SUMS = "sums.json"
TABLE_FILE = "table.parquet"
EXPOSURES_FILE = "exposures.parquet"
GRAMMAR_FILE = "grammar.toml"
TOKENIZER_DIRECTORY = "tokenizer"


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a corpus directory.

    Raises
    ------
    ArgumentError
        When the manifest is missing.
    CorpusError
        When it cannot be read, or has an unsupported format version.
    """
    file = directory / MANIFEST
    if not file.is_file():
        raise ArgumentError(
            "directory", as_found(directory), "a corpus directory (with manifest.json)"
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        tables = [manifest["spec"]["world"], manifest["spec"]["corpus"]]
        # Only the usual shard names are accepted: others might lead out of the directory.
        files = [shard["file"] for shard in manifest["shards"]]
        sound = (
            all(isinstance(table, dict) for table in tables)
            and files == [shard_file(number) for number in range(len(files))]
            and isinstance(manifest["spec_hash"], str)
            and isinstance(manifest["behemoth"], str)
            and isinstance(manifest["complete"], bool)
            # Shards have no sizes until the corpus is complete.
            and all(type(shard["bytes"]) is type(shard["tokens"]) is int
                    for shard in manifest["shards"] if manifest["complete"])
        )  # fmt: skip
        if not sound:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise no_record(file, "manifest of a corpus") from None
    if version not in FORMAT_VERSIONS:
        raise CorpusError(
            f"{fspath(file)}: format version {version}, and this version of behemoth reads "
            f"and writes {versions_text()}"
        )
    return manifest


def versions_text() -> str:
    """Return the format versions that this package reads and writes, as text."""
    return listed_text(FORMAT_VERSIONS)


def spec_hash_of(directory: Path) -> str | None:
    """Return the spec hash of the corpus in a directory, of whatever version, or None."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        known = isinstance(manifest["format_version"], int)
        return str(manifest["spec_hash"]) if known else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
