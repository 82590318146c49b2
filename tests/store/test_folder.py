"""A folder as a store: what happens while others write to it."""

import os
import shutil

import pytest

from behemoth.store.place import open_place


@pytest.fixture
def place(tmp_path):
    place = open_place("out", f"file://{tmp_path}/store")
    for name in ("a", "b/c", "b/d/e"):
        place.write(name, name.encode())
    return place


def test_files_are_listed_by_name_without_those_being_written(place, tmp_path):
    (tmp_path / "store/b/.c.x.tmp").mkdir()
    (tmp_path / "store/b/.c.x.tmp/c").write_bytes(b"half")
    assert place.sizes() == {"a": 1, "b/c": 3, "b/d/e": 5}


def test_nothing_is_listed_where_there_is_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert open_place("out", f"file://{tmp_path}/none").sizes() == {}
    assert open_place("out", f"file://{tmp_path}/file").sizes() == {}


def test_what_others_remove_meanwhile_is_not_listed(place, tmp_path, monkeypatch):
    (tmp_path / "store/.c.x.tmp").mkdir()
    scan = os.scandir

    def late(path):
        if not isinstance(path, int) and os.fspath(path).endswith((".tmp", "/d")):
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
