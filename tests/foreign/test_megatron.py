"""The export for Megatron-LM, read by its own reader: all tokens, in blocks of one length.

Needs megatron-core, which `make test-foreign` installs; nothing of the network is asked.
"""

import numpy as np
import pytest

import behemoth as bh

pytest.importorskip("megatron.core", exc_type=ImportError)

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]


def test_the_blocks_are_the_tokens_of_the_corpus(tmp_path):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    corpus = bh.Corpus(bh.World(subjects=200, relations=3, objects=5), exposures=4)
    corpus.write(tmp_path / "corpus", probes=0)
    bh.export(tmp_path / "corpus", tmp_path / "out", to="megatron", block_length=64)
    tokens = np.fromfile(tmp_path / "corpus" / "tokens" / "00000.bin", np.uint16)
    read = IndexedDataset(str(tmp_path / "out" / "00000"))
    assert np.array_equal(np.concatenate([read[row] for row in range(len(read))]), tokens)
    assert set(read.sequence_lengths[:-1]) == {64}
