import numpy as np
import pytest

from behemoth import Corpus, CorpusError, World


def test_shards_are_raw_tokens_that_numpy_maps(tmp_path, corpus):
    corpus.write(tmp_path / "corpus", probes=0)
    shard = Corpus.open(tmp_path / "corpus").shard(0)
    assert isinstance(shard, np.memmap)
    assert not shard.flags.writeable
    raw = np.fromfile(tmp_path / "corpus" / "tokens" / "00000.bin", "<u2")
    np.testing.assert_array_equal(shard, raw)
    with pytest.raises(IndexError, match="shard 1 of 1"):
        Corpus.open(tmp_path / "corpus").shard(1)


def test_an_empty_shard_is_an_empty_array_and_a_torn_one_is_named(tmp_path, corpus):
    corpus.write(tmp_path / "corpus", probes=0)
    opened, file = Corpus.open(tmp_path / "corpus"), tmp_path / "corpus" / "tokens" / "00000.bin"
    raw = file.read_bytes()
    file.write_bytes(raw[:-1])
    with pytest.raises(CorpusError, match=r"00000.bin is damaged"):
        opened.shard(0)
    file.write_bytes(b"")
    assert opened.shard(0).shape == (0,) and opened.shard(0).dtype == "<u2"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        opened.shard(0)


def test_a_corpus_without_tokens_is_inspected(tmp_path, run):
    corpus = Corpus(World(subjects=2, relations=1, objects=2), exposures=1).without([0, 1])
    corpus.write(tmp_path / "corpus", probes=0)
    assert run("inspect", tmp_path / "corpus", "--json").json()["tokens"] == 0


def test_a_corpus_without_a_directory_has_no_shards_to_map(corpus):
    with pytest.raises(Exception, match=r"Corpus\.open"):
        corpus.shard(0)
