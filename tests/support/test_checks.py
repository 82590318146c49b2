"""What single arguments may be, and what lies where a directory is to be."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from behemoth.support.checks import as_found, in_the_way, path_of
from behemoth.support.errors import ArgumentError


def test_what_is_in_the_way_of_a_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert in_the_way(file)
    assert not in_the_way(tmp_path)
    assert not in_the_way(tmp_path / "nothing")
    assert not in_the_way(file / "below")
    assert not in_the_way(loop)


def test_a_path_has_no_nul_character():
    with pytest.raises(
        ArgumentError, match=r"argument 'out': got .*, allowed: a path without a NUL"
    ):
        path_of("out", "a\0b")


def test_a_path_of_which_the_system_refuses_to_say_anything_does_not_exist(tmp_path):
    assert as_found(tmp_path) == str(tmp_path)
    long = str(tmp_path / ("a" * 1000))
    assert as_found(long) == f"{long}, which does not exist"


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
