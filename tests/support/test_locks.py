"""Who holds a lock, as far as the kernel tells."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from behemoth.support import locks
from behemoth.support.locks import holder, lock, lock_folder


@pytest.mark.parametrize(
    ("move", "wanted"),
    [(0, "process 4711 on "), (1, "another process"), (None, "another process, not on this mach")],
    ids=["this file", "another disk", "another file"],
)
def test_the_holder_is_of_this_file_and_not_of_its_number_on_another_disk(
    move, wanted, tmp_path, monkeypatch
):
    own = tmp_path.stat()
    inode = own.st_ino + 1 if move is None else own.st_ino
    place = f"{os.major(own.st_dev) + (move or 0):02x}:{os.minor(own.st_dev):02x}:{inode}"
    rows = f"1: FLOCK  ADVISORY  WRITE 4711 {place} 0 EOF\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: rows)
    told = holder(tmp_path)
    assert told.startswith(wanted) and (move != 1 or told == wanted)


@pytest.mark.parametrize("error", [FileExistsError, FileNotFoundError])
@pytest.mark.parametrize("file", [False, True])
def test_a_folder_that_is_removed_while_it_is_made_is_made_again(
    tmp_path, monkeypatch, error, file
):
    """Several parts of a corpus begin at once, and one that is refused removes what it made.

    It may remove the folder itself or the one above it, between two steps of `Path.mkdir`.
    """
    place, mkdir, raised = tmp_path / "new" / "parts", Path.mkdir, []

    def found(self, *given, **named):
        if not raised:
            raised.append(self)
            raise error(0, "", str(self))
        return mkdir(self, *given, **named)

    monkeypatch.setattr(Path, "mkdir", found)
    with lock(place / "file") if file else lock_folder(place, wait=False) as held:
        assert held and place.is_dir() and raised == [place]


def test_the_folder_of_a_file_that_is_removed_before_the_file_is_made_is_made_again(
    tmp_path, monkeypatch
):
    place, make, removed = tmp_path / "new" / "parts", locks._make, []

    def gone(path):
        make(path)
        if not removed:
            removed.append(path)
            path.rmdir()

    monkeypatch.setattr(locks, "_make", gone)
    with lock(place / "file") as held:
        assert held and (place / "file").is_file() and removed == [place]


def test_a_folder_that_is_removed_while_it_is_locked_is_made_again(tmp_path, monkeypatch):
    place, taken, removed = tmp_path / "parts", locks._taken, []

    def late(descriptor, path, **named):
        if not removed:
            removed.append(path)
            path.rmdir()
        return taken(descriptor, path, **named)

    monkeypatch.setattr(locks, "_taken", late)
    monkeypatch.setattr(Path, "exists", lambda self: True)  # until just after it was asked
    with lock_folder(place, wait=False) as held:
        assert held and place.is_dir() and removed == [place]


def test_in_a_working_directory_that_was_removed_no_folder_is_made(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError), lock_folder(Path("folder"), wait=False):
        pass


def test_a_file_in_a_folder_that_is_always_removed_ends_in_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_make", lambda path: None)
    with pytest.raises(FileNotFoundError), lock(tmp_path / "new" / "file"):
        pass


def test_a_folder_below_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError), lock_folder(tmp_path / "link" / "folder", wait=False):
        pass


@pytest.mark.parametrize("shared", [True, False])
def test_a_folder_is_not_removed_under_another_lock(tmp_path, shared):
    place = tmp_path / "made"
    with ExitStack() as first, ExitStack() as second:
        assert first.enter_context(lock_folder(place, shared=True))
        ours = second.enter_context(lock_folder(place, shared=shared, wait=False))
        assert bool(ours) == shared
        first.close()
        assert place.is_dir() == shared, "the other still relies on it"


def test_an_empty_folder_is_gone_with_its_only_lock(tmp_path):
    for shared in (True, False):
        with lock_folder(tmp_path / "a" / "b", shared=shared):
            assert (tmp_path / "a" / "b").is_dir()
        assert not (tmp_path / "a").exists()
