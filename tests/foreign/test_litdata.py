"""The export for LitData, read by its own reader: complete with the block length of the export.

Needs litdata, which `make test-foreign` installs; nothing of the network is asked.
"""

import json

import numpy as np
import pytest

import behemoth as bh

litdata = pytest.importorskip("litdata", exc_type=ImportError)

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]


def tokens_read(place, block_size):
    loader = litdata.TokensLoader(block_size=block_size)
    blocks = litdata.StreamingDataset(str(place), item_loader=loader, shuffle=False)
    return np.concatenate([block.numpy() for block in blocks])


def test_another_block_length_loses_tokens_and_the_record_has_the_right_one(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=200, relations=3, objects=5), exposures=4)
    corpus.write(tmp_path / "corpus", probes=0)
    out = tmp_path / "litdata"
    bh.export(tmp_path / "corpus", out, to="litdata", block_length=64)
    length = json.loads((out / "export.json").read_text())["block_length"]
    tokens = np.fromfile(tmp_path / "corpus" / "tokens" / "00000.bin", np.uint16)
    found = tokens_read(out, length)
    assert np.array_equal(found, tokens[: len(found)])
    assert len(tokens) - len(found) < length
    assert len(tokens_read(out, 100)) < len(found)
