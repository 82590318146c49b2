"""What single arguments may be, and what lies where a directory is to be."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from behemoth.support.checks import (
    as_found,
    check_directory,
    check_permission,
    flag,
    in_the_way,
    part_of,
    path_of,
    whole_number,
)
from behemoth.support.errors import ArgumentError


def test_what_is_in_the_way_of_a_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    loop, dangling = tmp_path / "loop", tmp_path / "dangling"
    loop.symlink_to(loop)
    dangling.symlink_to("nothing")
    assert in_the_way(file) == "a file"
    assert in_the_way(tmp_path) is None
    assert in_the_way(tmp_path / "nothing") is None
    assert in_the_way(file / "below") is None
    assert in_the_way(loop) == in_the_way(dangling) == "a link to nothing"
    with pytest.raises(ArgumentError, match=r"'out': got .*dangling, a link to nothing, allowed"):
        check_directory("out", dangling)
    (tmp_path / "nothing").mkdir()
    check_directory("out", dangling)


def test_a_path_has_no_nul_character():
    with pytest.raises(
        ArgumentError, match=r"argument 'out': got .*, allowed: a path without a NUL"
    ):
        path_of("out", "a\0b")


def test_a_path_does_not_go_back_from_a_directory_that_is_not_there(tmp_path, monkeypatch):
    """Looked at, DIR/new/.. is free; made, it is DIR, with what is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir" / "own").mkdir(parents=True)
    (tmp_path / "file").touch()
    for path in ("..", "../other", "dir/..", "dir/own/../../new", "dir/../dir/own/../new"):
        assert path_of("out", path) == Path(path)
    assert path_of("start", "own/../x", beside=tmp_path / "dir") == Path("own/../x")
    for path in ("new/..", "dir/new/..", "dir/new/../file", "file/..", "dir/own/../../../x/../y"):
        with pytest.raises(ArgumentError) as caught:
            path_of("out", path)
        said = f"argument 'out': got {path}, allowed: a path with '..' only after directories"
        assert str(caught.value) == said


def test_a_path_of_which_the_system_refuses_to_say_anything_does_not_exist(tmp_path):
    (tmp_path / "full").write_text("1")
    assert as_found(tmp_path) == str(tmp_path)
    long = str(tmp_path / ("a" * 1000))
    assert as_found(long) == f"{long}, which does not exist"


def test_a_path_that_holds_nothing_is_empty(tmp_path):
    (tmp_path / "file").touch()
    assert as_found("a\nb") == r"'a\nb', which does not exist"
    assert as_found(tmp_path / "file") == f"{tmp_path / 'file'}, which is empty"
    assert as_found(tmp_path, "none of these") == f"{tmp_path}, which is none of these"
    (tmp_path / "file").unlink()
    assert as_found(tmp_path, "none of these") == f"{tmp_path}, which is empty"


def test_a_directory_that_others_make_and_remove_is_not_in_the_way(tmp_path):
    place, over = tmp_path / "shared", threading.Event()

    def others():
        while not over.is_set():
            place.mkdir()
            place.rmdir()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(others)
        try:
            assert not any(in_the_way(place) for _ in range(3000))
        finally:
            over.set()
        working.result()


@pytest.mark.parametrize(
    "path", ["a" * 300, "missing/" + "ü" * 150, "x/" * 5000, "\ud800", "a/\udcff"]
)
def test_a_path_that_no_system_takes_is_refused_by_its_argument(path):
    with pytest.raises(ArgumentError, match=r"^argument 'out': got .*, allowed: a "):
        path_of("out", path)


def test_a_whole_number_is_an_int_that_records_can_hold():
    assert type(whole_number("seed", np.int64(3))) is int
    assert whole_number("seed", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ArgumentError, match=r"got 9223372036854775808, allowed: a whole number up"):
        whole_number("seed", 2**63)


def test_a_flag_is_a_bool_alone():
    assert flag("force", np.bool_(True)) is True
    for other in (None, 0, 1, "no", [], np.int64(1)):
        with pytest.raises(
            ArgumentError, match=r"argument 'force': got .*, allowed: True or False"
        ):
            flag("force", other)


def test_a_part_is_a_pair_of_numbers():
    assert part_of((np.int64(1), 2)) == (1, 2)
    for other in (3, "01", (0,), [0, 1], (True, 2), (1, 1), (0, 0), (-1, 2), (0, 10**30)):
        with pytest.raises(ArgumentError, match=r"argument 'part': got .*, allowed: \(i, n\)"):
            part_of(other)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    # Root may write anywhere, so the system is asked on behalf of another user.
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    for place in (closed, closed / "new", closed / "new" / "deeper"):
        with pytest.raises(PermissionError) as caught:
            check_permission(place)
        assert caught.value.filename == str(place)
    check_permission(tmp_path / "open" / "new")
