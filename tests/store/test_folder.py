"""A folder as a store: what happens while others write to it."""

import os
import shutil
from pathlib import Path

import pytest

from behemoth.store.place import open_place
from behemoth.support.errors import CorpusError


@pytest.fixture
def place(tmp_path):
    place = open_place("out", f"file://{tmp_path}/store")
    for name in ("a", "b/c", "b/d/e"):
        place.write(name, name.encode())
    return place


def test_files_are_listed_by_name_without_those_being_written(place, tmp_path):
    (tmp_path / "store/b/.c.abcdefg0.tmp/deep").mkdir(parents=True)
    (tmp_path / "store/b/.c.abcdefg0.tmp/deep/c").write_bytes(b"half")
    assert place.sizes() == {"a": 1, "b/c": 3, "b/d/e": 5}


def test_folders_of_users_are_listed_whatever_their_ending(tmp_path):
    """`pull` did not find what was pushed to a folder that is called `x.tmp`."""
    place = open_place("out", f"file://{tmp_path}/store.tmp")
    for name in ("a", "b.tmp/c"):
        place.write(name, name.encode())
    assert place.sizes() == {"a": 1, "b.tmp/c": 7}


def test_what_is_removed_while_it_is_read_is_not_there(place, tmp_path, monkeypatch):
    is_file = Path.is_file

    def late(path):
        found = is_file(path)
        path.unlink(missing_ok=True)
        return found

    assert place.read("b") is None and place.read("a/b") is None
    monkeypatch.setattr(Path, "is_file", late)
    assert place.read("b/c") in (b"b/c", None)


def test_a_pipe_is_not_opened(place, tmp_path):
    os.mkfifo(tmp_path / "store/pipe")
    with pytest.raises(CorpusError, match="pipe is not a regular file"):
        place.read("pipe")


def test_nothing_is_listed_where_there_is_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert open_place("out", f"file://{tmp_path}/none").sizes() == {}
    assert open_place("out", f"file://{tmp_path}/file").sizes() == {}


def test_what_others_remove_meanwhile_is_not_listed(place, tmp_path, monkeypatch):
    scan = os.scandir

    def late(path):
        if not isinstance(path, int) and os.fspath(path).endswith("/d"):
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", late)
    assert place.sizes() == {"a": 1, "b/c": 3}


def test_a_folder_that_cannot_be_listed_is_an_error(place, monkeypatch):
    scan = os.scandir

    def refused(path):
        if os.fspath(path).endswith("/d"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError):
        place.sizes()
