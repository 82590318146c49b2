"""The check of a corpus directory before the tokens in its shards are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from behemoth._gen import digest_file
from behemoth.support.ahead import ahead
from behemoth.support.digests import check, checks, damaged, no_record
from behemoth.support.errors import CorpusError
from behemoth.support.files import check_regular
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import cores

from .manifest import MANIFEST
from .shards import shard_file
from .sums import read_corpus_sums

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = ["intact_manifest"]


def intact_manifest(corpus: Corpus, progress: ProgressLike = None) -> dict[str, Any]:
    """Return the manifest of an opened directory whose shards are those that were written.

    The manifest is compared with its digest in ``sums.json``, and each shard with its digest in
    the manifest, except within `behemoth.support.digests.unchecked`. Sizes are always compared.
    `progress` is told the bytes of the shards that were compared.

    Raises
    ------
    CorpusError
        When the directory holds another corpus by now, is not complete, or a file of it is
        damaged, which is named.
    """
    directory, manifest = corpus.require_directory(), corpus.manifest
    if manifest["spec_hash"] != corpus.spec_hash:
        raise CorpusError(f"{directory}: another corpus is there now than when it was opened")
    if not manifest["complete"]:
        raise CorpusError(
            f"{directory}: not all of its {corpus.num_shards} shards are there; "
            "`behemoth gen` with the same options writes the missing ones"
        )
    check(directory, read_corpus_sums(corpus, directory), MANIFEST)
    shards: list[dict[str, Any]] = manifest["shards"]
    if len(shards) != corpus.num_shards:
        raise damaged(
            directory / MANIFEST,
            f"is damaged: it lists {len(shards)} shards, and its spec makes {corpus.num_shards}",
        )
    size = corpus.dtype.itemsize
    for number, shard in enumerate(shards):
        path, expected = directory / shard_file(number), shard["tokens"] * size
        check_regular(path)
        there = path.stat().st_size if path.is_file() else None
        if there != expected:
            what = "is not there" if there is None else f"has {there:,} bytes"
            raise damaged(
                path, f"{what}, and the manifest says {expected:,}; `behemoth verify` says more"
            )
    if checks():
        files = [directory / shard_file(number) for number in range(len(shards))]
        done, total = 0, sum(shard["tokens"] for shard in shards) * size
        with task(progress, "checking", "bytes") as step:
            for path, shard, there in zip(
                files, shards, ahead(digest_file, files, cores()), strict=True
            ):
                if "blake3" not in shard:
                    raise no_record(directory / MANIFEST, "manifest of a corpus")
                if there != shard["blake3"]:
                    raise damaged(path)
                done += shard["tokens"] * size
                step(done, total)
    return manifest
