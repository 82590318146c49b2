import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, CorpusError, World, finish_corpus, gen
from behemoth.corpus import sums
from behemoth.corpus.spec import PROBED_FACTS
from behemoth.corpus.write import estimate


@pytest.fixture
def sharded():
    """A corpus of ten shards."""
    return Corpus(World(40_000, 3, 50, seed=5), shard_bytes=1 << 18)


def tokens_on_disk(directory):
    corpus = Corpus.open(directory)
    return np.concatenate([corpus.shard(index) for index in range(corpus.num_shards)])


def test_a_directory_holds_the_corpus(tmp_path, rich_corpus):
    out = tmp_path / "corpus"
    written = rich_corpus.write(out)
    tokens = rich_corpus.tokens(0, rich_corpus.num_documents)
    np.testing.assert_array_equal(tokens_on_disk(out), tokens)
    assert written.tokens == len(tokens)
    assert written.bytes == sum(path.stat().st_size for path in (out / "tokens").glob("*.bin"))
    assert (written.facts, written.sentences) == (510, rich_corpus.num_sentences)
    assert written.complete
    assert written.vocabulary == rich_corpus.vocabulary_size
    assert written.dtype == "uint16"
    names = {path.name for path in out.iterdir()}
    assert names == {"manifest.json", "spec.toml", "sums.json", "tokens", "tokenizer", "probes"}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["spec_hash"] == rich_corpus.spec_hash
    assert manifest["counts"]["tokens"] == len(tokens)
    assert Corpus.from_spec(out / "spec.toml").spec_hash == rich_corpus.spec_hash


def test_a_wide_vocabulary_takes_four_bytes(tmp_path):
    corpus = Corpus(World(50, 2, 40_000), base=40_000)
    assert corpus.dtype == np.uint32
    corpus.write(tmp_path / "corpus")
    np.testing.assert_array_equal(
        tokens_on_disk(tmp_path / "corpus"), corpus.tokens(0, corpus.num_documents)
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_do_not_change_a_byte(tmp_path, sharded, contents, threads):
    sharded.write(tmp_path / "one", threads=1, probes=100)
    sharded.write(tmp_path / "many", threads=threads, probes=100)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


@pytest.mark.parametrize(
    ("parts", "order"), [(2, [0, 1]), (3, [2, 0, 1]), (7, [6, 5, 4, 3, 2, 1, 0])]
)
def test_parts_do_not_change_a_byte(tmp_path, sharded, contents, parts, order):
    sharded.write(tmp_path / "whole", probes=100)
    results = [sharded.write(tmp_path / "parts", part=(part, parts), probes=100) for part in order]
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
    assert [result.complete for result in results] == [False] * (parts - 1) + [True]
    assert sum(result.tokens for result in results) == sharded.count_tokens()


def test_parts_at_once_make_one_corpus(tmp_path, sharded, contents):
    out = tmp_path / "parts"
    with ThreadPoolExecutor(5) as pool:
        results = pool.map(lambda part: sharded.write(out, part=(part, 5), probes=100), range(5))
    assert any(result.complete for result in results)
    sharded.write(tmp_path / "whole", probes=100)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("lost", [0, 2])
def test_what_a_lost_part_has_not_written_is_finished(tmp_path, sharded, contents, lost):
    out = tmp_path / "parts"
    for part in {0, 1, 2} - {lost}:
        assert not sharded.write(out, part=(part, 3)).complete
    missing = len({*range(sharded.num_shards)} - {int(p.stem) for p in out.glob("tokens/*.bin")})
    assert missing > 0
    with pytest.raises(ArgumentError, match="argument 'threads': got x, allowed: a whole number"):
        finish_corpus(out, threads="x")
    done = finish_corpus(out, threads=1)
    assert (done.complete, done.shards_written) == (True, missing)
    sharded.write(tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
    again = finish_corpus(out)
    assert (again.complete, again.shards_written) == (True, 0)
    assert contents(out) == contents(tmp_path / "whole")


def test_finishing_keeps_the_probes_that_are_there(tmp_path, sharded):
    out = tmp_path / "corpus"
    sharded.write(out, part=(0, 2), probes=7)
    finish_corpus(out)
    assert pl.read_parquet(out / "probes" / "default.parquet").height == 7


@pytest.mark.parametrize("wanted", [{"probes": "all"}, {"probes": 9, "combinations": True}])
def test_probes_stay_unless_others_are_asked_for(tmp_path, wanted, contents):
    # More facts than have probes by default.
    corpus = Corpus(World(6000, 2, 5), templates={"default": 1, "rso": 1}, shard_bytes=1 << 18)
    out = tmp_path / "corpus"
    corpus.write(out, part=(0, 2), **wanted)
    (out / "sums.json").unlink()  # a call that was killed after the probes
    before = contents(out / "probes")
    for again in (lambda: finish_corpus(out), lambda: corpus.write(out)):
        again()
        assert contents(out / "probes") == before
    (out / "probes" / "rso.parquet").unlink()
    corpus.write(out)
    assert contents(out / "probes") == before
    corpus.write(out, probes=3)
    assert pl.read_parquet(out / "probes" / "default.parquet").height == 3


def test_a_corpus_that_was_to_have_no_probes_gets_none(tmp_path, sharded):
    sharded.write(tmp_path / "corpus", part=(0, 2), probes=0)
    for again in (
        lambda: finish_corpus(tmp_path / "corpus"),
        lambda: sharded.write(tmp_path / "corpus"),
    ):
        again()
        assert not (tmp_path / "corpus" / "probes").exists()


def test_a_part_that_completes_the_shards_while_another_writes_sums(tmp_path, sharded, monkeypatch):
    out = tmp_path / "corpus"
    digests = sums.digests

    def late(*arguments):
        found = digests(*arguments)
        monkeypatch.setattr(sums, "digests", digests)
        sharded.write(out, part=(1, 2), probes=7)
        return found

    monkeypatch.setattr(sums, "digests", late)
    sharded.write(out, part=(0, 2), probes=7)
    assert "manifest.json" in sums.read_corpus_sums(sharded, out)


def test_finishing_names_what_is_damaged_and_what_is_no_corpus(tmp_path, sharded):
    out = tmp_path / "corpus"
    sharded.write(out, part=(0, 2), probes=7)
    (out / "probes" / "default.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"default\.parquet is damaged"):
        finish_corpus(out)
    with pytest.raises(
        ArgumentError, match=r"'directory': got .*allowed: a corpus written in parts"
    ):
        finish_corpus(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="needs flock")
def test_finishing_waits_for_no_one_who_still_writes(tmp_path, sharded):
    import fcntl

    out = tmp_path / "corpus"
    sharded.write(out, part=(0, 2), probes=0)
    missing = next(i for i in range(10) if not (out / "tokens" / f"{i:05}.bin").is_file())
    with (out / "tokens" / f"{missing:05}.bin.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match=r"1 of 12 shards are being written by other"):
            finish_corpus(out)
    assert finish_corpus(out).complete


def test_writing_again_only_adds_what_is_missing(tmp_path, sharded, contents):
    out = tmp_path / "corpus"
    first = sharded.write(out, probes=100)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.bin")}
    hashes = contents(out)
    again = sharded.write(out, probes=100)
    assert (again.shards_written, again.shards_present) == (0, first.shards)
    assert again.tokens == first.tokens
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.bin")} == before
    for name in ("tokens/00002.json", "tokenizer/tokenizer.json", "probes/default.parquet"):
        (out / name).unlink()
    third = sharded.write(out, probes=100)
    assert (third.shards_written, third.shards_present) == (1, first.shards - 1)
    assert contents(out) == hashes


def test_another_number_of_probes_replaces_them(tmp_path, corpus):
    out = tmp_path / "corpus"
    for probes, rows in ((10, 10), ("all", 180), (0, 180), (25, 25)):
        corpus.write(out, probes=probes)
        assert pl.read_parquet(out / "probes" / "default.parquet").height == rows


def test_a_stopped_write_goes_on(tmp_path, sharded, contents):
    class StopError(Exception):
        pass

    def stop(at):
        if at.done > 0:
            raise StopError

    out = tmp_path / "corpus"
    with pytest.raises(StopError):
        sharded.write(out, threads=1, progress=stop)
    sharded.write(out, probes=100)
    sharded.write(tmp_path / "straight", probes=100)
    assert contents(out) == contents(tmp_path / "straight")


def test_progress_counts_bytes_to_the_end(tmp_path, sharded):
    calls = []
    written = sharded.write(
        tmp_path / "corpus",
        probes=0,
        progress=lambda at: calls.append((at.label, at.done, at.total)),
    )
    assert calls[-1] == ("writing", written.bytes, written.bytes)


def test_another_corpus_is_replaced_by_force_alone(tmp_path, corpus, world, contents):
    out = tmp_path / "corpus"
    Corpus(world, exposures=2).write(out)
    hashes = contents(out)
    with pytest.raises(CorpusError, match="contains another corpus"):
        corpus.write(out)
    assert contents(out) == hashes
    corpus.write(out, force=True)
    np.testing.assert_array_equal(tokens_on_disk(out), corpus.tokens(0, corpus.num_documents))


@pytest.mark.parametrize("damage", ["", "{}", '{"format_version": 3,'])
def test_a_corpus_with_a_damaged_manifest_is_replaced_by_force(tmp_path, corpus, contents, damage):
    out = tmp_path / "corpus"
    corpus.write(out, probes=0)
    hashes = contents(out)
    (out / "manifest.json").write_text(damage)
    with pytest.raises(CorpusError, match=r"manifest\.json"):
        corpus.write(out, probes=0)
    corpus.write(out, probes=0, force=True)
    assert contents(out) == hashes
    # Others have files of this name, too.
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/manifest.json").write_text(damage)
    with pytest.raises(CorpusError, match=r"manifest\.json"):
        corpus.write(tmp_path / "theirs", force=True)
    assert (tmp_path / "theirs/manifest.json").read_text() == damage


def test_a_directory_of_something_else_is_never_touched(tmp_path, corpus):
    (tmp_path / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(CorpusError, match="not empty and not"):
            corpus.write(tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ArgumentError, match=r"thesis\.txt, a file, allowed: a new"):
        corpus.write(tmp_path / "thesis.txt")


def test_a_manifest_of_another_version_is_refused(tmp_path, corpus):
    corpus.write(tmp_path / "corpus", probes=0)
    path = tmp_path / "corpus" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(CorpusError, match="format version 99"):
        corpus.write(tmp_path / "corpus")


def test_force_of_a_part_is_refused(tmp_path, corpus):
    with pytest.raises(ArgumentError, match="argument 'force'"):
        corpus.write(tmp_path / "corpus", part=(0, 2), force=True)


def test_too_little_disk_is_told_before_anything_is_written(tmp_path):
    corpus = Corpus(World(10**12, 6, 400))
    with pytest.raises(OSError, match="not enough disk") as caught:
        corpus.write(tmp_path / "corpus")
    assert caught.value.errno == 28
    assert not list((tmp_path / "corpus").rglob("*.bin*"))


def test_an_estimate_is_what_is_then_written(tmp_path, rich_corpus, corpus):
    for made in (rich_corpus, corpus):
        out = tmp_path / made.spec_hash
        expected = estimate(made, out, probes=50)
        assert not out.exists()
        written = made.write(out, probes=50)
        assert expected.exact == (made is corpus)
        assert expected.tokens == pytest.approx(written.tokens, rel=0 if expected.exact else 0.1)
        assert expected.bytes == 2 * expected.tokens
        assert (expected.facts, expected.sentences) == (written.facts, written.sentences)
        assert expected.entropy_bits == made.world.entropy
        used = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        assert expected.bytes < expected.disk_needed < 3 * used


@pytest.mark.parametrize("probes", ["all", 7, 0])
def test_an_estimate_without_a_number_counts_the_probes_that_are_there(tmp_path, corpus, probes):
    # Others may write to the disk between two of them.
    usual, told = (
        replace(estimate(corpus, **given), disk_free=0) for given in ({}, {"probes": PROBED_FACTS})
    )
    assert usual == told
    asked = replace(estimate(corpus, tmp_path, probes=probes), disk_free=0)
    corpus.write(tmp_path / "corpus", probes=probes)
    for given in ({}, {"probes": None}):
        found = estimate(corpus, tmp_path / "corpus", **given)
        assert replace(found, disk_free=0) == asked


def test_an_estimate_says_what_is_free_where_it_would_be_written(tmp_path, corpus, monkeypatch):
    asked = []

    def disk_usage(place):
        asked.append(Path(place))
        return SimpleNamespace(free=12345)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    assert estimate(corpus, tmp_path / "not" / "there", probes=0).disk_free == 12345
    assert asked == [tmp_path]


def test_an_estimate_of_a_part_needs_its_share_of_the_disk(sharded):
    whole, part = estimate(sharded, probes=0), estimate(sharded, part=(1, 4), probes=0)
    assert part.bytes == whole.bytes
    assert part.disk_needed == -(-whole.bytes // 4)


def test_gen_writes_locally(tmp_path, corpus):
    assert gen(corpus, tmp_path / "corpus", probes=0).complete
