"""Who holds a lock, as far as the kernel tells."""

import os
from pathlib import Path

import pytest

from behemoth.support.locks import holder


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
