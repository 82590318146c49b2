"""The Ray engine: its own logic with a stand-in for Ray, and a real cluster when it is there."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, World, gen


class Task:
    def __init__(self, function):
        self.function = function

    def remote(self, *arguments):
        return lambda: self.function(*arguments)


@pytest.fixture
def fake_ray(monkeypatch):
    """Ray with three cores that runs a task when its result is asked for."""
    calls = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda log_to_driver: calls.append("init"),
        shutdown=lambda: calls.append("shutdown"),
        cluster_resources=lambda: {"CPU": 3.0},
        put=lambda value: value,
        remote=lambda num_cpus: Task,
        wait=lambda waiting, num_returns: (waiting[-1:], waiting[:-1]),
        get=lambda finished: [result() for result in finished],
        calls=calls,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


@pytest.fixture
def sharded():
    return Corpus(World(40_000, 3, 50, seed=5), shard_bytes=1 << 18)


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
    assert calls == [(1, 3), (2, 3), (3, 3)]
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
