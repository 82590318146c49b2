"""Files are whole or not there, whoever else writes, plants or kills."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from behemoth.support import files
from behemoth.support.errors import CorpusError
from behemoth.support.files import (
    as_json,
    check_regular,
    open_to_append,
    remove_folder,
    replacing,
    sweep,
    sweep_folder,
    text_of,
    write_bytes,
)  # fmt: skip


def started(script, *words):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def names(place):
    return sorted(path.name for path in place.iterdir())


def rooms(place):
    return sorted(path for path in place.iterdir() if path.name.endswith(".tmp"))


def test_a_file_is_there_when_it_is_whole(tmp_path):
    file = tmp_path / "deep" / "a.json"
    with replacing(file) as temporary:
        temporary.write_bytes(b"new")
        assert not file.exists()
        assert temporary.name == "a.json"
        (room,) = rooms(file.parent)
        assert stat.S_IMODE(room.stat().st_mode) == 0o700
    assert file.read_bytes() == b"new"
    assert names(file.parent) == ["a.json"]


def test_a_text_has_no_byte_order_mark(tmp_path):
    (tmp_path / "spec.toml").write_text("seed = 1\n", encoding="utf-8-sig")
    assert text_of(tmp_path / "spec.toml") == "seed = 1\n"


def test_a_file_has_the_rights_that_others_have(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_record_keeps_a_path_that_is_not_utf8():
    values = {"run": os.fsdecode(b"/a\xff/run"), "name": "é"}
    assert json.loads(as_json(values).decode()) == values
    assert "é" in as_json({"name": "é"}).decode()


@pytest.mark.parametrize("name", ["a.json", "./a.json", "gone/../a.json"])
def test_a_failed_write_names_the_file_and_not_the_temporary_one(name, tmp_path, monkeypatch):
    """However it is spelled: a folder without write permission, as the disk reports it."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path)
    made = files.mkdtemp

    def refused(**words):
        place = made(**words)
        Path(place).rmdir()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)

    monkeypatch.setattr(files, "mkdtemp", refused)
    with pytest.raises(PermissionError) as caught:
        write_bytes(Path(name), b"x")
    assert caught.value.filename == str(Path(name))


def test_a_copy_without_room_names_its_target(tmp_path):
    """As `shutil.copyfile` does it, which names the source first."""
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a") as room:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "source", None, str(room))
    assert caught.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="error") as caught, replacing(tmp_path / "a") as room:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "source", None, str(room))
    assert caught.value.filename == "source"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from behemoth.support.files import replacing

frame = pl.DataFrame({f"column {number}": [number] for number in range(100)})
file, size = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    with replacing(file) as temporary:
        frame.write_parquet(temporary)
except OSError as error:
    print(error.filename, error.strerror, sep=": ")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("size", [10_000, 35_000])
def test_a_parquet_file_without_room_is_named(tmp_path, size):
    """Of headers and footers, polars said `Invalid thrift: transport error`, and no more."""
    file = tmp_path / "a.parquet"
    with started(LIMITED, file, size) as process:
        said = process.communicate()[0]
    reasons = ("File too large", "could not be written to its end; the disk may be full")
    assert said in [f"{file}: {reason}\n" for reason in reasons]
    assert names(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_a_file_of_a_library_is_as_readable_as_others(tmp_path, mask):
    """safetensors 0.8 writes a private file and renames it."""
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a") as temporary:
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            os.close(os.open(temporary / "b", os.O_CREAT | os.O_WRONLY, 0o600))
            (temporary / "c").write_bytes(b"")
            (temporary / "c").chmod(0o400)  # what was asked for stays
    finally:
        os.umask(before)
    for name, mode in (("a", 0o666 & ~mask), ("folder/b", 0o666 & ~mask), ("folder/c", 0o400)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name


def test_a_folder_that_is_stopped_between_its_renames_is_the_old_one(tmp_path, monkeypatch):
    """Neither was left."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_bytes(b"old")
    replace = Path.replace

    def stopped(path, target):
        if target == tmp_path / "a":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stopped)

    def write():
        with replacing(tmp_path / "a") as temporary:
            temporary.mkdir()
            (temporary / "new").write_bytes(b"new")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["old"]


def test_what_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    (tmp_path / "a").write_bytes(b"old")

    def fail():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_no_planted_link_is_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    place = tmp_path / "place"
    place.mkdir()
    for name in ("a", ".a.tmp", ".a.partial", f".a.{os.getpid()}.tmp", "a.partial"):
        (place / name).symlink_to(precious)
    write_bytes(place / "a", b"new")
    assert precious.read_bytes() == b"precious"
    assert (place / "a").read_bytes() == b"new" and not (place / "a").is_symlink()


def test_lines_are_not_added_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("precious\n")
    (tmp_path / "lines").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="lines"):
        open_to_append(tmp_path / "lines")
    assert (tmp_path / "precious").read_text() == "precious\n"


def test_a_folder_takes_the_place_of_another(tmp_path):
    for text in ("one", "two"):
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert names(tmp_path / "folder") == ["two"]
    assert names(tmp_path) == ["folder"]


HELD = """
    import sys, time
    from pathlib import Path
    from behemoth.support.files import replacing
    with replacing(Path(sys.argv[1])) as temporary:
        temporary.write_bytes(b"half")
        print("begun", flush=True)
        time.sleep(60)
"""


def test_what_a_killed_writer_left_goes_and_what_one_is_at_stays(tmp_path):
    file = tmp_path / "a"
    with started(HELD, file) as one, started(HELD, file) as other:
        assert one.stdout.readline() == other.stdout.readline() == "begun\n"
        assert len(rooms(tmp_path)) == 2
        sweep(file)
        sweep_folder(tmp_path)
        assert len(rooms(tmp_path)) == 2
        one.send_signal(signal.SIGKILL)
        one.wait()
        assert not file.exists()
        write_bytes(file, b"whole")
        assert len(rooms(tmp_path)) == 1
        other.send_signal(signal.SIGKILL)
        other.wait()
        sweep_folder(tmp_path)
    assert names(tmp_path) == ["a"]
    assert file.read_bytes() == b"whole"


def test_what_a_killed_library_left_goes(tmp_path):
    """safetensors writes beside its target, in a file with a name of its own."""
    room = tmp_path / ".a.abcdefg0.tmp"
    room.mkdir()
    (room / ".tmpX1y2Z3").write_bytes(b"half")
    sweep(tmp_path / "a")
    assert names(tmp_path) == []
    room.mkdir()
    (room / "b").write_bytes(b"mine")
    sweep(tmp_path / "a")
    assert (room / "b").is_file()


@pytest.mark.parametrize("name", ["a" * 242, "a" * 255, "ü" * 127])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, name):
    with started(HELD, tmp_path / name) as one:
        assert one.stdout.readline() == "begun\n"
        one.send_signal(signal.SIGKILL)
    write_bytes(tmp_path / name, b"new")
    assert names(tmp_path) == [name]


def test_a_folder_is_removed_whole(tmp_path, monkeypatch):
    folder = tmp_path / "step-2"
    folder.mkdir()
    (folder / "state").write_text("whole")
    with monkeypatch.context() as killed:
        killed.setattr(files.shutil, "rmtree", lambda *_, **__: None)
        remove_folder(folder)
    assert not folder.exists() and len(list(tmp_path.iterdir())) == 1
    sweep_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_folders_of_others_are_not_swept(tmp_path):
    theirs = tmp_path / ".a.abcdefgh.tmp"
    theirs.mkdir()
    (theirs / "notes").write_text("")
    write_bytes(tmp_path / "a", b"")
    assert (theirs / "notes").exists()


def test_a_folder_between_two_names_comes_back(tmp_path):
    room = tmp_path / ".step.abcdefgh.tmp"
    (room / ".old").mkdir(parents=True)
    (room / ".old" / "weights").write_text("")
    sweep(tmp_path / "step")
    assert names(tmp_path) == ["step"]
    assert names(tmp_path / "step") == ["weights"]


MANY = """
    import sys
    from pathlib import Path
    from behemoth.support.files import write_bytes
    for number in range(150):
        write_bytes(Path(sys.argv[1]), f"{sys.argv[2]} {number}\\n".encode() * 1000)
"""


def test_writers_of_one_file_do_not_meet(tmp_path):
    with started(MANY, tmp_path / "a", "one") as one, started(MANY, tmp_path / "a", "two") as two:
        while one.poll() is None or two.poll() is None:
            if (tmp_path / "a").exists():
                lines = (tmp_path / "a").read_text().splitlines()
                assert len(lines) == 1000 and len(set(lines)) == 1
            time.sleep(0.002)
        assert one.wait() == two.wait() == 0
    assert names(tmp_path) == ["a"]


def test_a_link_to_itself_is_no_regular_file(tmp_path):
    loop, away = tmp_path / "loop", tmp_path / "away"
    loop.symlink_to("loop")
    away.symlink_to("nowhere")
    with pytest.raises(CorpusError, match="loop is not a regular file"):
        check_regular(loop)
    check_regular(away)  # is missing, as its reader says
    check_regular(tmp_path / "missing")
