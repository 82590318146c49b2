import numpy as np
import pytest

from behemoth import Corpus


def test_shards_are_raw_tokens_that_numpy_maps(tmp_path, corpus):
    corpus.write(tmp_path / "corpus", probes=0)
    shard = Corpus.open(tmp_path / "corpus").shard(0)
    assert isinstance(shard, np.memmap)
    assert not shard.flags.writeable
    raw = np.fromfile(tmp_path / "corpus" / "tokens" / "00000.bin", "<u2")
    np.testing.assert_array_equal(shard, raw)
    with pytest.raises(IndexError, match="shard 1 of 1"):
        Corpus.open(tmp_path / "corpus").shard(1)


def test_a_corpus_without_a_directory_has_no_shards_to_map(corpus):
    with pytest.raises(Exception, match=r"Corpus\.open"):
        corpus.shard(0)
