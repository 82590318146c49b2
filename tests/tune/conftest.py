"""A small run to tune on."""

import pytest

import behemoth as bh


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    corpus = bh.Corpus(bh.World(30, 2, 6, seed=5), exposures=bh.Groups([0, 12]))
    config = bh.default_config(
        "pico", steps=6, block_length=32, batch_size=4, threads=1, tensorboard=False, probe_facts=0
    )
    return bh.train(corpus, out=tmp_path_factory.mktemp("tune") / "run", config=config)
