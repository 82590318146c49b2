"""The export for datatrove, read by its own reader: all tokens of whole sequences, in order.

Needs datatrove, which `make test-foreign` installs; nothing of the network is asked.
"""

import numpy as np
import pytest

import behemoth as bh

pytest.importorskip("datatrove", exc_type=ImportError)

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("base", [100, 70_000])  # tokens of 16 and of 32 bits
def test_the_tokens_and_the_places_in_documents_are_those_of_the_corpus(tmp_path, base):
    from datatrove.utils.dataset import DatatroveFolderDataset

    corpus = bh.Corpus(bh.World(subjects=200, relations=3, objects=5), exposures=4, base=base)
    corpus.write(tmp_path / "corpus", probes=0)
    bh.export(tmp_path / "corpus", tmp_path / "out", to="datatrove")
    tokens = np.fromfile(tmp_path / "corpus" / "tokens" / "00000.bin", corpus.dtype)
    read = DatatroveFolderDataset(
        str(tmp_path / "out"), seq_len=63, token_size=corpus.dtype.itemsize, return_positions=True
    )
    rows = [read[row] for row in range(len(read))]
    found = np.concatenate([row["input_ids"].numpy() for row in rows])
    assert np.array_equal(found, tokens[: len(found)])
    assert len(tokens) - len(found) < 64
    first = rows[0]["positions"].numpy()
    begins = np.flatnonzero(tokens[:63] == 0) + 1  # after the end of each document
    assert np.array_equal(np.flatnonzero(first == 0), [0, *begins])
