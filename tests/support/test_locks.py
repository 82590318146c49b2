"""Who holds a lock, as far as the kernel tells."""

import os
from pathlib import Path

import pytest

from behemoth.support.locks import holder, lock_folder


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


def test_a_folder_that_is_removed_while_it_is_found_is_made_again(tmp_path, monkeypatch):
    """Several parts of a corpus begin at once, and one that is refused removes what it made."""
    place, mkdir, raised = tmp_path / "parts", Path.mkdir, []

    def found(self, *given, **named):
        if not raised:
            raised.append(self)
            raise FileExistsError(17, "File exists", str(self))
        return mkdir(self, *given, **named)

    monkeypatch.setattr(Path, "mkdir", found)
    with lock_folder(place, wait=False) as held:
        assert held and place.is_dir() and raised == [place]


def test_a_folder_below_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError), lock_folder(tmp_path / "link" / "folder", wait=False):
        pass
