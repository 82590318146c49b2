"""What an export refuses, and what it does where there are no hard links."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from transformers import AutoTokenizer

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.export import FORMATS, export, get_format, inspect_export
from behemoth.export.inspection import verify_export
from behemoth.export.source import Source
from behemoth.support.digests import unchecked


@pytest.fixture
def directory(tmp_path):
    corpus = Corpus(World(subjects=20, relations=2, objects=5), exposures=3)
    corpus.write(tmp_path / "corpus", probes=0)
    return tmp_path / "corpus"


def test_what_it_says_of_itself(directory, tmp_path):
    done = export(directory, tmp_path / "out", to="megatron")
    assert (done.to, done.block_length, done.files) == ("megatron", 2048, 2)
    assert done.tokens == 20 * 2 * 3 * 11
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("0*")]
    assert done.bytes == sum(sizes)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    assert tokenizer.eos_token_id == 0


def test_parquet_without_compression_has_the_same_documents(directory, tmp_path):
    for name in (None, "snappy", "none"):
        export(directory, tmp_path / str(name), to="parquet", compression=name)
    files = [(tmp_path / name / "00000-000.parquet") for name in ("None", "snappy", "none")]
    usual, snappy, plain = (file.read_bytes() for file in files)
    assert usual == snappy and len(plain) > len(snappy)
    rows = pl.read_parquet(files[2])
    assert rows.equals(pl.read_parquet(files[0])) and len(rows) == 20 * 2 * 3
    assert verify_export(tmp_path / "none").ok
    # Without a name it is the usual one, and another export than that without compression.
    assert export(directory, tmp_path / "snappy", to="parquet").present == 1
    with pytest.raises(ArgumentError, match=r"another export \(to parquet, compression none\)"):
        export(directory, tmp_path / "none", to="parquet", compression="snappy")
    assert export(directory, tmp_path / "none", to="parquet", compression="none").present == 1


@pytest.mark.parametrize("name", ["EXDEV", "ENOSYS", "EOPNOTSUPP", "EACCES"])
def test_without_hard_links_the_bytes_are_copied(name, directory, tmp_path, monkeypatch):
    def link(*_):
        raise OSError(getattr(errno, name), name)

    monkeypatch.setattr(os, "link", link)
    export(directory, tmp_path / "out", to="olmo")
    made, source = tmp_path / "out" / "00000.npy", directory / "tokens" / "00000.bin"
    assert made.read_bytes() == source.read_bytes() and not made.samefile(source)


def test_a_shard_that_is_a_link_is_exported_as_its_bytes(directory, tmp_path):
    """As in the caches of the Hugging Face hub, whose links are relative."""
    shard, blob = directory / "tokens" / "00000.bin", directory / "blob"
    shard.rename(blob)
    shard.symlink_to("../blob")
    export(directory, tmp_path / "out", to="olmo")
    made = tmp_path / "out" / "00000.npy"
    assert not made.is_symlink() and made.read_bytes() == blob.read_bytes()


def test_an_inode_number_is_that_of_one_disk_alone(directory, tmp_path, monkeypatch):
    """A file on another disk with the number of a shard was listed with the shard's digest."""
    stat, shard = Path.stat, (directory / "tokens" / "00000.bin").stat()

    def elsewhere(path, **more):
        found = stat(path, **more)
        if path != tmp_path / "out" / "00000.bin":
            return found
        values = list(found)
        values[1], values[2] = shard.st_ino, shard.st_dev + 1
        return os.stat_result(values)

    monkeypatch.setattr(Path, "stat", elsewhere)
    export(directory, tmp_path / "out", to="llmc")  # which has no links
    assert verify_export(tmp_path / "out").ok


def test_progress_ends_at_all_tokens(directory, tmp_path):
    said = []
    done = export(
        directory, tmp_path / "out", to="text", progress=lambda at: said.append((at.done, at.total))
    )
    assert said[-1] == (done.tokens, done.tokens)


def test_a_format_that_is_none_names_its_neighbour(directory, tmp_path):
    with pytest.raises(ArgumentError, match=r"'to': got litdat \(did you mean litdata\?"):
        export(directory, tmp_path / "out", to="litdat")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("order", [("megatron", "out"), ("out", "megatron")])
def test_the_format_is_given_by_name(directory, tmp_path, monkeypatch, order):
    """Two paths and a word: in either order, a word could be taken for a path."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="positional"):
        export(directory, *order)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_block_length_of_numpy_is_a_number(directory, tmp_path):
    done = export(directory, tmp_path / "out", to="litdata", block_length=np.int64(64))
    assert type(done.block_length) is int
    assert inspect_export(tmp_path / "out").block_length == 64


def test_a_block_length_is_for_formats_of_blocks(directory, tmp_path):
    with pytest.raises(
        ArgumentError, match="got 64 for olmo, which has no blocks, allowed: nothing,"
    ):
        export(directory, tmp_path / "out", to="olmo", block_length=64)
    with pytest.raises(ArgumentError, match="'block_length': got 0, allowed: 1 to"):
        export(directory, tmp_path / "out", to="megatron", block_length=0)


def test_another_export_is_left_alone_but_for_force(directory, tmp_path):
    out = tmp_path / "out"
    export(directory, out, to="megatron")
    with pytest.raises(ArgumentError, match=r"another export \(to megatron\), allowed: a new"):
        export(directory, out, to="megatron", block_length=64)
    export(directory, out, to="olmo", force=True)
    names = {"export.json", "sums.json", "tokenizer", "00000.npy"}
    assert {path.name for path in out.iterdir()} == names
    assert (directory / "tokens" / "00000.bin").exists()


@pytest.mark.parametrize("listed", [False, True])
def test_a_damaged_export_is_replaced_with_force(directory, tmp_path, listed):
    out = tmp_path / "out"
    export(directory, out, to="megatron" if listed else "olmo")
    (out / "export.json").write_text("{")
    if not listed:
        (out / "sums.json").write_text("{")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="a damaged export, allowed: a new directory, or force"):
        export(directory, out, to="olmo")
    export(directory, out, to="olmo", force=True)
    names = {"export.json", "sums.json", "tokenizer", "00000.npy", "notes.txt"}
    assert {path.name for path in out.iterdir()} == names
    assert verify_export(out).ok


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_of_something_else_is_refused(directory, tmp_path, force):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ArgumentError, match=r"something else \(thesis.tex\), allowed: a new"):
        export(directory, tmp_path / "mine", to="olmo", force=force)
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_corpus_without_any_sentence_is_exported_as_such(tmp_path, to):
    corpus = Corpus(World(subjects=2, relations=1, objects=2), exposures=1).without([0, 1])
    corpus.write(tmp_path / "corpus", probes=0)
    assert export(tmp_path / "corpus", tmp_path / "out", to=to).tokens == 0


@pytest.mark.parametrize(("to", "most"), [("llmc", 2), ("litdata", 4)])
def test_shards_that_a_format_cannot_hold_are_refused(directory, to, most):
    # The corpus cannot be of such a size here, so that its one shard is said to be.
    source = Source(directory)
    large = np.broadcast_to(np.uint16(0), most << 29)
    object.__setattr__(source.shards[0], "mapped", lambda number: large)
    with pytest.raises(
        ArgumentError, match=f"got {to} for shards of .*, allowed: below {most} GiB"
    ):
        get_format(to).check(source)


def test_there_may_be_more_shards_than_files_that_may_be_open(tmp_path, monkeypatch):
    corpus = Corpus(World(5000, 2, 10), exposures=3, shard_bytes=1 << 14)
    corpus.write(tmp_path / "corpus", probes=0)
    monkeypatch.setattr("behemoth.export.source.MAPS", 2)
    before = len(list(Path("/dev/fd").iterdir()))
    source = Source(tmp_path / "corpus")
    assert len(source.shards) > 20
    pieces = [piece.tobytes() for piece in source.pieces(0, source.tokens)]
    assert len(list(Path("/dev/fd").iterdir())) < before + 10
    assert b"".join(pieces) == b"".join(shard.path.read_bytes() for shard in source.shards)


def test_an_unfinished_corpus_is_refused(tmp_path):
    corpus = Corpus(World(subjects=300, relations=2, objects=5), exposures=20, shard_bytes=1 << 16)
    corpus.write(tmp_path / "corpus", part=(0, 2), probes=0)
    with pytest.raises(CorpusError, match="shards are there; `behemoth gen` with the same"):
        export(tmp_path / "corpus", tmp_path / "out", to="olmo")


def test_a_shard_of_another_length_is_refused(directory, tmp_path):
    shard = directory / "tokens" / "00000.bin"
    np.fromfile(shard, np.uint16)[:-11].tofile(shard)
    with pytest.raises(
        CorpusError, match=r"00000.bin has 2,618 bytes, and the manifest says 2,640"
    ):
        export(directory, tmp_path / "out", to="olmo")


@pytest.mark.parametrize("to", ["jsonl", "olmo", "megatron"])
def test_a_damaged_shard_is_not_exported_as_if_it_were_intact(directory, tmp_path, to):
    shard = directory / "tokens" / "00000.bin"
    tokens = np.fromfile(shard, np.uint16)
    tokens[5] = tokens[16]
    assert tokens.tobytes() != shard.read_bytes()
    tokens.tofile(shard)
    with pytest.raises(CorpusError, match=r"00000.bin is damaged: it is not what was written"):
        export(directory, tmp_path / "out", to=to)
    assert not (tmp_path / "out").exists()
    with unchecked():
        export(directory, tmp_path / "out", to=to)
    assert verify_export(tmp_path / "out").ok  # an export of what is there


@pytest.mark.parametrize("sums", [False, True])
def test_a_manifest_without_its_shards_is_not_exported_as_nothing(directory, tmp_path, sums):
    file = directory / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "shards": []}))
    if not sums:  # a corpus of an earlier version
        (directory / "sums.json").unlink()
    with pytest.raises(CorpusError, match=r"manifest.json is damaged: it "):
        export(directory, tmp_path / "out", to="olmo")
    with pytest.raises(CorpusError, match=r"it lists 0 shards"), unchecked():
        export(directory, tmp_path / "out", to="olmo")
