"""What a stopped call left of a zoo is not vouched for before it is checked."""

import shutil
from dataclasses import replace

import pytest

import behemoth as bh
from behemoth import Corpus, CorpusError, World
from behemoth.support.digests import digests
from behemoth.support.locks import lock, lock_folder
from behemoth.support.workers import workers_lock
from behemoth.train.run import read_record
from behemoth.zoo.left import check_left
from behemoth.zoo.record import Listed, ZooRecord


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """Parts of an unfinished zoo."""
    place = tmp_path_factory.mktemp("left")
    Corpus(World(12, 2, 4), exposures=2).write(place / "corpora" / "w0", probes=0)
    for folder in ("models", "twins"):
        run = shutil.copytree(trained, place / folder / "m")
        files = digests(run, ["config.json", "model.safetensors", "spec.toml"])
        replace(read_record(run), files=files).write(run)
    for name in ("facts/w0.parquet", "recall/m.parquet"):
        (place / name).parent.mkdir()
        (place / name).write_bytes(b"half")
    ZooRecord("smoke", "0").write(place)
    (place / ".unfinished").write_text("zoo.json\n")
    return place


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "zoo")


def test_runs_and_corpora_stay_and_frames_are_made_again(place):
    there = {path for path in place.rglob("*") if path.is_file()}
    check_left(place)
    left = {path for path in place.rglob("*") if path.is_file()}
    assert there - left == {place / "facts" / "w0.parquet", place / "recall" / "m.parquet"}


@pytest.mark.parametrize(
    "name",
    ["corpora/w0/tokens/00000.bin", "models/m/model.safetensors", "twins/m/model.safetensors",
     "models/m/run.json", "twins/m/config.json"],
)  # fmt: skip
@pytest.mark.parametrize("gone", [False, True], ids=["flipped", "gone"])
def test_a_damaged_part_is_named_and_not_listed(place, name, gone):
    file, part = place / name, "/".join(name.split("/")[:2])
    flipped = file.read_bytes()
    file.write_bytes(flipped[:-3] + bytes([flipped[-3] ^ 1]) + flipped[-2:])
    if gone and name != "models/m/run.json":  # without its record, it is not finished
        file.unlink()
    with pytest.raises(CorpusError, match=rf"{name} is .*") as caught:
        bh.make_zoo(place)
    if "run.json" not in name:
        assert str(caught.value).endswith(f"remove {place / part}, and run this again")
    assert not ZooRecord.read(place).complete


def test_a_call_that_was_killed_as_its_last_act_is_ended(tmp_path):
    """The record was there, and what it replaces was not yet removed."""
    ZooRecord("smoke", "0", (), {"README.md": Listed(1, "0")}).write(tmp_path)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".unfinished").write_text("zoo.json\n")
    (tmp_path / ".replaced-1").mkdir()
    (tmp_path / ".replaced-1" / "README.md").write_text("old")
    bh.make_zoo(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "zoo.json"}


def test_two_at_once_do_not_wait_for_each_other(tmp_path):
    with (
        lock_folder(tmp_path / "zoo"),
        pytest.raises(CorpusError, match=r"another process is writing to .*zoo: process \d+"),
    ):
        bh.make_zoo(tmp_path / "zoo")


def test_workers_of_a_killed_call_are_waited_for_before_anything_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("behemoth.support.workers._PATIENCE", 0.2)
    ZooRecord("smoke", "0").write(tmp_path)
    (tmp_path / "recall").mkdir()  # which a call that goes on would remove
    with lock(workers_lock(tmp_path), shared=True):  # as a worker holds it while it saves
        with pytest.raises(CorpusError, match="workers of another call are still at work"):
            bh.make_zoo(tmp_path, workers=1)
        with pytest.raises(CorpusError, match="workers of another call are still at work"):
            bh.make_zoo(tmp_path, workers=1, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".workers.lock",
        "recall",
        "zoo.json",
    ]
