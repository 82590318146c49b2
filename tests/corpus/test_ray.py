"""The Ray engine: its own logic with a stand-in for Ray, and a real cluster when it is there."""

import json

import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, World, gen


@pytest.fixture
def sharded():
    return Corpus(World(40_000, 3, 50, seed=5), shard_bytes=1 << 18)


def test_parts_of_a_cluster_insert_the_same_sentences(fake_ray, tmp_path, contents):
    corpus = Corpus(
        World(2_000, 2, 50, seed=5),
        exposures=2,
        filler="zipf:tokens=600_000,words=100,length=100",
        insert="anywhere,per_document=2",
        shard_bytes=1 << 18,
    )
    assert corpus.num_shards == 6
    gen(corpus, tmp_path / "ray", engine="ray", probes=10)
    corpus.write(tmp_path / "straight", probes=10)
    assert contents(tmp_path / "ray") == contents(tmp_path / "straight")


def test_parts_of_a_cluster_make_the_same_bytes(fake_ray, sharded, tmp_path, contents):
    calls = []
    written = gen(
        sharded,
        tmp_path / "ray",
        engine="ray",
        probes=100,
        progress=lambda at: calls.append((at.done, at.total)),
    )
    straight = sharded.write(tmp_path / "straight", probes=100)
    assert contents(tmp_path / "ray") == contents(tmp_path / "straight")
    assert (written.tokens, written.bytes) == (straight.tokens, straight.bytes)
    assert (written.shards_written, written.complete) == (sharded.num_shards, True)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert fake_ray.calls == ["init", "shutdown"]


def test_arrays_go_along(fake_ray, graph, tmp_path, contents):
    corpus = Corpus(World.from_table(graph), exposures=np.arange(40) % 3)
    gen(corpus, tmp_path / "ray", engine="ray")
    corpus.write(tmp_path / "straight")
    assert contents(tmp_path / "ray") == contents(tmp_path / "straight")


def test_force_is_refused(fake_ray, corpus, tmp_path):
    with pytest.raises(ArgumentError, match="argument 'force': got true with engine 'ray'"):
        gen(corpus, tmp_path / "c", engine="ray", force=True)


def test_a_cluster_that_is_stopped_is_shut_down(fake_ray, sharded, tmp_path):
    def stop(at):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gen(sharded, tmp_path / "c", engine="ray", progress=stop)
    assert fake_ray.calls == ["init", "shutdown"]


@pytest.mark.slow
def test_a_real_cluster_where_ray_is_installed(spawn, sharded, tmp_path, contents):
    pytest.importorskip("ray")
    (tmp_path / "spec.toml").write_text(sharded.spec_toml)
    out = tmp_path / "ray"
    process = spawn(
        "gen", "--spec", tmp_path / "spec.toml", "--out", out, "--engine", "ray", "--json"
    )
    report, error = process.communicate(timeout=250)
    assert process.returncode == 0, error
    assert json.loads(report)["tokens"] == sharded.count_tokens()
    sharded.write(tmp_path / "straight")
    assert contents(out) == contents(tmp_path / "straight")
