"""Export of a corpus directory, a plan of edits, or an edited model, as in `behemoth export`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from glob import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from behemoth._gen import digest_file, version
from behemoth.corpus.source import read_source
from behemoth.corpus.tokenizer import FILES, write_tokenizer
from behemoth.store.source import at_hand
from behemoth.support.checks import flag, is_url, path_of, whole_number
from behemoth.support.digests import read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.files import as_json, write_bytes
from behemoth.support.locks import sole
from behemoth.support.progress import ProgressLike, check_progress
from behemoth.support.replacement import Kind, check_kind, recover, succeeds, succession
from behemoth.support.text import bytes_text

from .card import CARD
from .formats import BRIDGES, FORMATS, MODELS, get_format
from .inspection import RECORD, SUMS, read_export_sums, write_export_sums
from .protocol import Bridge, Format, ModelFormat
from .source import Source

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class Exported:
    """Result of `export`.

    Parameters
    ----------
    out, to : str
    block_length : int or None
        Tokens in a block, if the format has blocks.
    files : int
        Number of files; of a corpus or a plan without those of the tokenizer, which is beside them.
    tokens : int or None
        Number of tokens of the corpus, if one was exported.
    edits : int or None
        Number of edits in the plan or in the models, if a plan or an edit was exported.
    bytes : int
        Bytes of the files, including hard links to the corpus, which need no space.
    seconds : float
        Duration of the call.
    splits : tuple of str
        Names of the splits that an export as `tofu` has, such as ``forget10``; none for others.
    present : int
        Number of the files that existed before this call; 0 for a URL.
    renewed : int
        Number of model cards that existed and were made again, for suites that are new or changed.
    """

    out: str
    to: str
    block_length: int | None
    files: int
    tokens: int | None
    edits: int | None
    bytes: int
    seconds: float
    splits: tuple[str, ...] = ()
    present: int = 0
    renewed: int = 0

    def __fspath__(self) -> str:
        return self.out


@dataclass(frozen=True)
class _Content:
    """Content to export: a corpus, a plan or edited models.

    `tokenizer` lists the folders that the tokenizer is written to, and `suites_hash` is that of the
    suites in the cards of models, None without any.
    """

    corpus: Corpus
    write: Callable[[Path], None]
    block_length: int | None = None
    compression: str | None = None
    tokens: int | None = None
    edits: int | None = None
    plan_hash: str | None = None
    edit_hash: str | None = None
    digests: Mapping[tuple[int, int], str] = field(default_factory=dict)
    tokenizer: tuple[str, ...] = ("tokenizer",)
    suites_hash: str | None = None


def export(
    directory: str | PathLike[str],
    out: str | PathLike[str],
    *,
    to: str,
    plan: EditPlan | str | PathLike[str] | None = None,
    edit: int | None = None,
    block_length: int | None = None,
    compression: str | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Exported:
    """Write a corpus, a plan of edits, or an edited model in the format of another tool.

    For formats that use the bytes of shards unchanged (megatron, olmo, datatrove), hard links are
    made if the file system supports them, and copies otherwise. The tokenizer is written beside
    them. An export that was killed is resumed, and existing files of the same export are kept.

    Parameters
    ----------
    directory : path
        A finished corpus directory. With a plan, the run, corpus directory or spec that it was
        made for; text is made from the spec. For `hf`, a finished edit directory.
    out : path
        A new directory, or one of the same export; or a URL in a store, to which the export is
        sent once it is complete. The cache needs room for all of it.
    to : str
        A name in `FORMATS`, for a plan one in `BRIDGES`, or for an edit one in `MODELS`.
    plan : EditPlan or path, optional
        Plan to export instead of the corpus.
    edit : int, optional
        Number of the single edit whose model is exported; by default all, each in a folder named
        by its number.
    block_length : int, optional
        Tokens in a block, for formats with blocks (megatron, litdata); 2,048 by default.
    compression : {"snappy", "none"}, optional
        How parquet compresses texts, and tokens that are not packed; ``"snappy"`` by default.
    force : bool
        Replace an existing export, whether the same or another.
    memory : int, optional
        Bytes that the edited model may use in addition to what the process already uses; an edit
        that needs more is refused beforehand. By default the free memory of the machine or the
        container. Other formats hold no model.
    progress : callable or Progress, optional
        Called with the progress; raising in it stops the work.

    Raises
    ------
    ArgumentError
        If the format is unknown, the block length is not allowed, the format cannot represent the
        corpus or plan, corpus and plan do not match, or `out` holds something else.
    CorpusError
        If the corpus is incomplete, or it, the plan or the edit is damaged.
    """
    began = time.perf_counter()
    made = get_format(to)
    if compression is not None:
        _check_compression(made, compression)
    if edit is not None and not isinstance(made, ModelFormat):
        raise ArgumentError("edit", f"{edit} for {to}", f"nothing, or {_or(MODELS)}")
    force = flag("force", force)
    check_progress(progress)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
        if not isinstance(made, ModelFormat):
            raise ArgumentError(
                "memory", f"{bytes_text(memory)} for {to}", f"nothing, or {_or(MODELS)}"
            )
    if isinstance(made, ModelFormat):
        content = _of_edit(made, directory, plan, edit, block_length, memory, progress)
    elif isinstance(made, Bridge):
        content = _of_plan(made, directory, plan, block_length, progress)
    else:
        content = _of_corpus(made, directory, plan, block_length, compression, progress)
    about = {
        "to": to,
        "block_length": content.block_length,
        "compression": content.compression,
        "spec_hash": content.corpus.spec_hash,
        "plan_hash": content.plan_hash,
        "edit_hash": content.edit_hash,
        "behemoth": version(),
    }
    if content.suites_hash is not None:
        about["suites_hash"] = content.suites_hash
    if is_url(out):
        from behemoth.store.staged import staged

        same, data = partial(_is_same, about), as_json(sealed(about))
        with staged(str(out), RECORD, data, same, force=force, progress=progress) as stage:
            (files, *_), present, renewed = _put(made, content, about, stage, force), 0, 0
    else:
        files, present, renewed = _put(made, content, about, path_of("out", out), force)
    named = isinstance(made, Bridge) and made.splits is not None
    return Exported(
        out=fspath(out),
        to=to,
        block_length=content.block_length,
        files=len(files),
        present=present,
        renewed=renewed,
        tokens=content.tokens,
        edits=content.edits,
        bytes=sum(files.values()),
        seconds=time.perf_counter() - began,
        splits=tuple(sorted(path.stem for path in files if named and path.suffix == ".json")),
    )


def _put(
    made: Format | Bridge | ModelFormat,
    content: _Content,
    about: Mapping[str, object],
    place: Path,
    force: bool,
) -> tuple[dict[Path, int], int, int]:
    """Write an export to a directory; return its files with their bytes, and two counts.

    They are of the files that were there, and of the cards that were made again. Formats keep the
    files of the same export that exist.
    """
    corpus = content.corpus
    with sole(place, f"writing to {place}"):
        kind, replaces = _check(made, place, about, force)
        with succession(place, kind, force=replaces):
            tokenizer = [
                place / folder / name
                for folder in content.tokenizer
                for name in corpus.tokenizer_files
            ]
            stale = _stale_cards(made, content.suites_hash, place)
            for card in stale:  # and so it is written like one that was lost
                card.unlink()
            there = {path for name in _patterns(made) for path in place.glob(name)}
            there.update(filter(Path.is_file, tokenizer))
            write_bytes(place / RECORD, as_json(sealed(about)))
            for folder in content.tokenizer:
                write_tokenizer(place / folder, corpus.tokenizer_files)
            content.write(place)
            files = [path for name in _patterns(made) for path in place.glob(name)]
            write_export_sums(place, [*files, *tokenizer], content.digests, set(files) - there)
    if isinstance(made, ModelFormat):  # whose folders are models with their tokenizer
        files += tokenizer
    sizes = {path: path.stat().st_size for path in files}
    return sizes, len(there.intersection(files)), len(stale)


def _stale_cards(
    made: Format | Bridge | ModelFormat, suites_hash: str | None, place: Path
) -> list[Path]:
    """Return the cards that this wrote with other suites than there are now.

    One that was changed since a finished export is somebody's own, and stays.
    """
    if not isinstance(made, ModelFormat) or suites_hash is None or not (place / RECORD).is_file():
        return []
    if read_sealed(place / RECORD, "an export").get("suites_hash") == suites_hash:
        return []
    if not (place / SUMS).is_file():  # an export that was stopped
        return [card for name in _patterns(made) for card in place.glob(name) if card.name == CARD]
    cards = {place / name: row for name, row in read_export_sums(place).items()
             if Path(name).name == CARD}  # fmt: skip
    return [card for card, row in cards.items()
            if card.is_file() and digest_file(card) == row["blake3"]]  # fmt: skip


def _of_corpus(
    made: Format,
    directory: str | PathLike[str],
    plan: object,
    block_length: int | None,
    compression: str | None,
    progress: ProgressLike,
) -> _Content:
    if plan is not None:
        raise ArgumentError(
            "plan", f"a plan for {made.name}, a format of corpora", f"none, or {_or(BRIDGES)}"
        )
    source = Source(at_hand("directory", directory, "a finished corpus directory", progress))
    length = _block_length(made, block_length, source.tokens)
    if made.check is not None:
        made.check(source)
    # The usual one has no name in a record, as in records from before there were others.
    named = None if compression == made.compression else compression
    write_all = made.write if named is None else made.otherwise[named]

    def write(place: Path) -> None:
        write_all(source, place, length or 0, progress)
        if made.finish is not None:
            made.finish(source, place, length or 0)

    tokens, digests = source.tokens, source.digests
    return _Content(source.corpus, write, length, named, tokens, digests=digests)


def _check_compression(made: Format | Bridge | ModelFormat, given: str) -> None:
    offered = {
        own: (format_.compression, *format_.otherwise)
        for own in FORMATS
        if isinstance(format_ := get_format(own), Format) and format_.compression is not None
    }
    if made.name in offered:
        allowed = " or ".join(map(str, offered[made.name]))
    else:
        allowed = f"nothing, or a compression of {_or(list(offered))}"
    if given not in offered.get(made.name, ()):
        raise ArgumentError("compression", f"{given} for {made.name}", allowed)


def _of_plan(
    made: Bridge,
    directory: str | PathLike[str],
    plan: EditPlan | str | PathLike[str] | None,
    block_length: int | None,
    progress: ProgressLike,
) -> _Content:
    from behemoth.plan.edit_plan import EditPlan

    from .planned import Planned

    if plan is None:
        allowed = f"a plan of edits, from which {made.name} is made; DIR is what it was made for"
        raise ArgumentError("plan", None, allowed)
    if block_length is not None:
        raise _no_blocks(made.name, block_length)
    edits = EditPlan.of(plan)
    allowed = "what the plan was made for: a run, a corpus directory or a spec"
    with renamed(spec="directory"):
        corpus = read_source(at_hand("directory", directory, allowed, progress)).make_corpus()
    planned = Planned(corpus, edits)
    if made.check is not None:
        made.check(planned)
    return _Content(
        corpus,
        lambda place: made.write(planned, place, progress),
        edits=len(edits),
        plan_hash=edits.plan_hash,
    )


def _of_edit(
    made: ModelFormat,
    directory: str | PathLike[str],
    plan: object,
    edit: int | None,
    block_length: int | None,
    memory: int | None,
    progress: ProgressLike,
) -> _Content:
    from .edited import EditedModels
    from .memory_budget import require_export

    if plan is not None:
        raise ArgumentError("plan", f"a plan for {made.name}, a format of edits", "none")
    if block_length is not None:
        raise _no_blocks(made.name, block_length)
    models = EditedModels.open(directory, edit)
    require_export(models, memory)
    return _Content(
        models.run.corpus,
        lambda place: made.write(models, place, progress),
        edits=models.edits,
        plan_hash=models.record.plan_hash,
        edit_hash=models.edit_hash,
        tokenizer=tuple(models.deltas),
        suites_hash=models.suites_hash,
    )


def _block_length(made: Format, given: int | None, tokens: int) -> int | None:
    if given is None:
        return made.block_length
    if made.block_length is None:
        raise _no_blocks(made.name, given)
    # With a block longer than the corpus, no block would be complete.
    most = min(tokens or 1 << 31, (1 << 31) - 1)
    length = whole_number("block_length", given)
    if not 0 < length <= most:
        raise ArgumentError("block_length", given, f"1 to {most}")
    return length


def _no_blocks(name: str, given: int) -> ArgumentError:
    formats = [(own, get_format(own)) for own in FORMATS]
    blocks = [own for own, made in formats if isinstance(made, Format) and made.block_length]
    got = f"{given} for {name}, which has no blocks"
    return ArgumentError("block_length", got, f"nothing, or {_or(blocks)}")


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)


def _patterns(made: Format | Bridge | ModelFormat) -> tuple[str, ...]:
    """Return the patterns of a format's files; models are in the directory or a folder each."""
    if isinstance(made, ModelFormat):
        return (*made.files, *(f"[0-9]*/{name}" for name in made.files))
    return made.files


def _kind(made: Format | Bridge | ModelFormat, others: Sequence[str] = ()) -> Kind:
    """Return the record and the files that belong to an export in a format, and `others`."""
    folders = ("", "[0-9]*/") if isinstance(made, ModelFormat) else ("tokenizer/",)
    tokenizer = (f"{folder}{name}" for folder in folders for name in FILES)
    return Kind(RECORD, (*_patterns(made), SUMS, *tokenizer, *others))


def _listed(place: Path) -> list[str]:
    """Return the patterns of the files that an export lists; none if its list is damaged, too."""
    try:
        return [escape(name) for name in read_export_sums(place) if Path(name).parts]
    except (OSError, CorpusError):
        return []


def _check(
    made: Format | Bridge | ModelFormat, place: Path, about: Mapping[str, object], force: bool
) -> tuple[Kind, bool]:
    """Refuse a directory of something else; return the kind of an existing export, and if replaced.

    Without one, or if its format is unknown because it is damaged, the kind is that of `made`.
    """
    recover(place, Kind(RECORD, ()))
    allowed = "a new directory, or one of an export"
    check_kind("out", place, Kind(RECORD, ()), allowed)
    if not (place / RECORD).is_file():
        return _kind(made), False
    try:
        there = read_sealed(place / RECORD, "an export")
        same = _is_same(about, there)
        kind = _kind(get_format(there["to"]))
    except (OSError, ValueError, KeyError, TypeError, CorpusError):
        if force:
            return _kind(made, _listed(place)), True
        allowed = "a new directory, or force=True to replace it"
        raise ArgumentError("out", f"{place}, a damaged export", allowed) from None
    if not same and not force:
        packed = f", compression {there['compression']}" if there.get("compression") else ""
        raise ArgumentError(
            "out",
            f"{place}, another export (to {there['to']}{packed})",
            "a new directory, the same again, or force=True to replace it",
        )
    return kind, force and not (same and succeeds(place, kind))


def _is_same(about: Mapping[str, object], there: Mapping[str, object]) -> bool:
    """Return whether a record describes the same export; versions may differ."""
    names = ("to", "block_length", "compression", "spec_hash", "plan_hash", "edit_hash")
    # Records of older exports have no hashes of plans and edits, and no compression.
    known = {"plan_hash": None, "edit_hash": None, "compression": None, **there}
    return all(known[name] == about[name] for name in names)
