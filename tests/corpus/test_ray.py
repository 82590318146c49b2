"""The Ray engine: its own logic with a stand-in for Ray, and a real cluster when it is there."""

import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, CorpusError, World, gen


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
    assert calls == sorted(calls)
    assert len(calls) == sharded.num_shards + 1
    assert calls[-1] == (written.bytes, written.bytes)
    assert fake_ray.calls == ["init", "shutdown"]


def test_arrays_go_along(fake_ray, graph, tmp_path, contents):
    corpus = Corpus(World.from_table(graph), exposures=np.arange(40) % 3)
    gen(corpus, tmp_path / "ray", engine="ray")
    corpus.write(tmp_path / "straight")
    assert contents(tmp_path / "ray") == contents(tmp_path / "straight")


def test_force_is_refused(fake_ray, corpus, tmp_path):
    with pytest.raises(ArgumentError, match="argument 'force': got true with engine 'ray'"):
        gen(corpus, tmp_path / "c", engine="ray", force=True)


def test_parts_of_ones_own_are_refused(fake_ray, corpus, tmp_path):
    with pytest.raises(ArgumentError, match=r"argument 'part': got \(0, 2\), allowed: not with en"):
        gen(corpus, tmp_path / "c", engine="ray", part=(0, 2))
    assert not (tmp_path / "c").exists()


def test_a_cluster_that_is_stopped_is_shut_down(fake_ray, sharded, tmp_path):
    def stop(at):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gen(sharded, tmp_path / "c", engine="ray", progress=stop)
    assert fake_ray.calls == ["init", "shutdown"]


def test_a_refusal_in_a_task_is_told_as_one(fake_ray, sharded, tmp_path):
    class RayTaskError(Exception):
        cause = CorpusError("out holds something else")

    def get(task):
        raise RayTaskError("a trace of many lines")

    fake_ray.get = get
    with pytest.raises(CorpusError, match=r"^out holds something else$"):
        gen(sharded, tmp_path / "c", engine="ray")


def test_shards_that_a_lost_node_held_are_asked_for_again(fake_ray, sharded, tmp_path, monkeypatch):
    """What still holds a shard when its part is carried out elsewhere goes away in the end."""
    monkeypatch.setattr("behemoth.corpus.ray._PAUSE", 0.0)
    corpus = Corpus(sharded.world, shard_bytes=1 << 18)
    get, held = fake_ray.get, [3]

    def once(task):
        written = get(task)
        if held:
            held.pop()
            return replace(written, shards_locked=1, complete=False)
        return written

    fake_ray.get = once
    written = gen(corpus, tmp_path / "c", engine="ray", probes=0)
    assert (written.complete, written.shards_locked) == (True, 0)
    assert held == []


# All of the time counts, and what was there before does not.
def test_the_rate_is_that_of_the_whole_run(fake_ray, sharded, tmp_path):
    first = gen(sharded, tmp_path / "c", engine="ray", probes=0)
    assert first.tokens_per_second == pytest.approx(first.tokens / first.seconds)
    again = gen(sharded, tmp_path / "c", engine="ray", probes=0)
    assert (again.tokens, again.tokens_per_second) == (first.tokens, 0)
    (tmp_path / "c" / "tokens" / "00001.json").unlink()
    third = gen(sharded, tmp_path / "c", engine="ray", probes=0)
    size = (tmp_path / "c" / "tokens" / "00001.bin").stat().st_size // sharded.dtype.itemsize
    assert third.tokens_per_second == pytest.approx(size / third.seconds)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_command_on_a_cluster_is_stopped_by_sigterm(spawn, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "ray"
    words = ("--subjects", 2_000_000, "--relations", 4, "--objects", 50, "--out", out)
    with spawn("gen", *words, "--engine", "ray") as process:
        while not list(out.glob("tokens/*.bin")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert f"behemoth: stopped: run the same command again to resume {out}" in said
    assert "***" not in said


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", [None, "_write_part"], ids=["whole", "a node lost"])
def test_two_nodes_write_the_bytes_of_one(on_nodes, tmp_path, contents, task):
    corpus = Corpus(World(100_000, 5, 50, seed=5), exposures=4, shard_bytes=1 << 19)
    (tmp_path / "spec.toml").write_text(corpus.spec_toml)
    out = tmp_path / "ray"
    words = ("--spec", tmp_path / "spec.toml", "--out", out, "--engine", "ray", "--json")
    report = on_nodes(task, "gen", *words).json()
    assert report["tokens"] == corpus.count_tokens()
    assert report["tokens_per_second"] == pytest.approx(report["tokens"] / report["seconds"])
    corpus.write(tmp_path / "straight")
    assert contents(out) == contents(tmp_path / "straight")
