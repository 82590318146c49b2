"""Export a corpus directory: what `behemoth export` calls."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from behemoth._gen import version
from behemoth.corpus.tokenizer import FILES, write_tokenizer
from behemoth.support.checks import path_of, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.locks import lock_folder
from behemoth.support.progress import Looking
from behemoth.support.replacement import Kind, foreign, recover, succeeds, succession

from .formats import FORMATS, get_format
from .inspection import RECORD, SUMS, write_sums
from .protocol import Format
from .source import Source


@dataclass(frozen=True)
class Exported:
    """What an export holds.

    Parameters
    ----------
    out, to : str
    block_length : int or None
        Tokens of a block, where the format is made of blocks.
    files : int
        Files of tokens or text and what belongs to them, the tokenizer's apart.
    tokens : int
        Of the corpus.
    bytes : int
        Of the files. Hard links to the corpus, which take no room, are counted too.
    seconds : float
        Time that this call took.
    """

    out: str
    to: str
    block_length: int | None
    files: int
    tokens: int
    bytes: int
    seconds: float


def export(
    directory: str | PathLike[str],
    out: str | PathLike[str],
    to: str,
    *,
    block_length: int | None = None,
    force: bool = False,
    progress: Looking = None,
) -> Exported:
    """Write a corpus directory in the format of another trainer, or as data for others.

    Formats whose tokens are the shards' own bytes (megatron, olmo, datatrove) get hard links to
    them where the file system has such, and copies otherwise. The tokenizer is written beside
    them. An export that was killed is gone on with, and one that is there is left as it is.

    Parameters
    ----------
    directory : path
        A finished corpus directory.
    out : path
        A new directory, or one of the same export.
    to : str
        A name of `FORMATS`.
    block_length : int, optional
        Tokens of a block, for formats that are made of blocks (megatron, litdata); 2,048 by
        default.
    force : bool
        Replace the export that is there, be it the same or another.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Raises
    ------
    ArgumentError
        On an unknown format, a block length that is not allowed, a corpus that the format cannot
        hold, or when `out` holds something else.
    CorpusError
        When the corpus is not complete or is damaged.
    """
    began = time.perf_counter()
    made = get_format(to)
    source = Source(path_of("directory", directory, "a finished corpus directory"))
    length = _block_length(made, block_length, source.tokens)
    if made.check is not None:
        made.check(source)
    place = path_of("out", out)
    about = {
        "to": to,
        "block_length": length,
        "spec_hash": source.corpus.spec_hash,
        "behemoth": version(),
    }
    with lock_folder(place):
        kind, replaces = _check(place, about, force)
        with succession(place, kind or _kind(made), force=replaces):
            write_bytes(place / RECORD, as_json(about))
            write_tokenizer(place / "tokenizer", source.corpus.tokenizer_files)
            made.write(source, place, length or 0, progress)
            if made.finish is not None:
                made.finish(source, place, length or 0)
            files = [path for name in made.files for path in place.glob(name)]
            tokenizer = [place / "tokenizer" / name for name in source.corpus.tokenizer_files]
            write_sums(place, [*files, *tokenizer], source.digests)
    return Exported(
        out=fspath(out),
        to=to,
        block_length=length,
        files=len(files),
        tokens=source.tokens,
        bytes=sum(path.stat().st_size for path in files),
        seconds=time.perf_counter() - began,
    )


def _block_length(made: Format, given: int | None, tokens: int) -> int | None:
    if given is None:
        return made.block_length
    if made.block_length is None:
        blocks = [name for name in FORMATS if get_format(name).block_length is not None]
        raise ArgumentError(
            "block_length",
            f"{given} for {made.name}, which has no blocks",
            f"nothing, or {' or '.join(blocks)}",
        )
    # A longer block than there are tokens would hold none of them.
    most = min(tokens or 1 << 31, (1 << 31) - 1)
    if not 0 < whole_number("block_length", given) <= most:
        raise ArgumentError("block_length", given, f"1 to {most}")
    return given


def _kind(made: Format) -> Kind:
    """What an export to a format owns."""
    return Kind(RECORD, (*made.files, SUMS, *(f"tokenizer/{name}" for name in FILES)))


def _check(place: Path, about: Mapping[str, object], force: bool) -> tuple[Kind | None, bool]:
    """Refuse a directory of something else; say what export is there, and if it is replaced."""
    recover(place, Kind(RECORD, ()))
    something = ArgumentError(
        "out", f"{place}, which holds something else", "a new directory, or one of an export"
    )
    if foreign(place, Kind(RECORD, ())) is not None:
        raise something
    if not (place / RECORD).is_file():
        return None, False
    try:
        there = json.loads((place / RECORD).read_text(encoding="utf-8"))
        same = all(there[name] == about[name] for name in ("to", "block_length", "spec_hash"))
        kind = _kind(get_format(there["to"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise something from None
    if not same and not force:
        raise ArgumentError(
            "out",
            f"{place}, another export (to {there['to']})",
            "a new directory, the same again, or force to replace it",
        )
    return kind, force and not (same and succeeds(place, kind))
