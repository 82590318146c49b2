"""Directories come back as they were sent, or not at all."""

import errno
import os
import shutil
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.store import place as places
from behemoth.store.ledger import Ledger


@pytest.fixture
def url(directory, s3):
    bh.push(directory, "s3://corpora/mine")
    return "s3://corpora/mine"


def test_it_is_what_was_sent(directory, url, tmp_path, files):
    done = bh.pull(url, tmp_path / "back")
    assert done.fetched == done.files == len(files(directory))
    assert files(tmp_path / "back") == files(directory)
    assert bh.verify(tmp_path / "back").ok
    again = bh.pull(url, tmp_path / "back")
    assert (again.fetched, again.bytes_fetched) == (0, 0)


@pytest.mark.parametrize("moved", [0, 70_000, 200_000])
def test_killed_it_goes_on(directory, url, killed, tmp_path, files, moved):
    assert killed(f"bh.pull({url!r}, 'back', progress=look)", moved)
    assert not (tmp_path / "back/manifest.json").exists()
    with pytest.raises((bh.ArgumentError, bh.CorpusError)):
        bh.Corpus.open(tmp_path / "back")
    whole = {name for name in files(tmp_path / "back") if name in files(directory)}
    done = bh.pull(url, tmp_path / "back")
    assert done.fetched == done.files - len(whole)
    assert files(tmp_path / "back") == files(directory)


def test_a_disk_without_room_is_told_of_the_file_and_not_of_its_half(
    directory, tmp_path, monkeypatch
):
    url = f"file://{tmp_path}/store"
    bh.push(directory, url)
    from behemoth.store.folder import Folder

    def full(self, name, file, size, moved):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    monkeypatch.setattr(Folder, "fetch", full)
    with pytest.raises(OSError, match="No space left") as caught:
        bh.pull(url, tmp_path / "back")
    assert Path(caught.value.filename).relative_to(tmp_path / "back").parts[0] != ".pulling"


def test_half_a_file_is_gone_on_with(directory, s3, killed, tmp_path, files, monkeypatch):
    small = bh.World(subjects=1_000, relations=2, objects=5)
    bh.Corpus(small, exposures=1_600, shard_bytes=1 << 30).write(tmp_path / "c", probes=0)
    url = f"file://{tmp_path}/store"
    bh.push(tmp_path / "c", url)
    assert killed(f"bh.pull({url!r}, 'back', progress=look)", 20 << 20)
    [half] = [p for p in (tmp_path / "back/.pulling").iterdir() if p.stat().st_size > 1 << 20]
    from behemoth.store.folder import Folder

    asked, fetch = [], Folder.fetch

    def noted(self, name, file, size, moved):
        asked.append((name, file.stat().st_size if file.exists() else 0))
        fetch(self, name, file, size, moved)

    monkeypatch.setattr(Folder, "fetch", noted)
    size = half.stat().st_size
    bh.pull(url, tmp_path / "back")
    assert ("tokens/00000.bin", size) in asked
    assert files(tmp_path / "back") == files(tmp_path / "c")


def test_half_a_file_that_is_damaged_is_fetched_anew(directory, url, tmp_path, files, killed):
    assert killed(f"bh.pull({url!r}, 'back', progress=look)", 0)
    from behemoth._gen import digest, digest_file

    name = "tokens/00001.bin"
    if not (tmp_path / "back" / name).exists():
        half = f"{digest_file(directory / name)}-{digest(name.encode())[:16]}"
        (tmp_path / "back/.pulling").mkdir(exist_ok=True)
        (tmp_path / "back/.pulling" / half).write_bytes(b"wrong")
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == files(directory)


def test_a_wrong_byte_in_the_store_is_refused_with_the_name(url, tmp_path):
    place = places.open_place("url", url)
    data = bytearray(place.read("tokens/00001.bin"))
    data[7] ^= 1
    place.write("tokens/00001.bin", bytes(data))
    with pytest.raises(bh.CorpusError, match=r"s3://corpora/mine/tokens/00001\.bin is damaged"):
        bh.pull(url, tmp_path / "back")
    assert not (tmp_path / "back/manifest.json").exists()
    assert not (tmp_path / "back/tokens/00001.bin").exists()


@pytest.mark.parametrize("change", ["short", "gone"])
def test_a_file_that_is_short_or_gone_is_named(url, tmp_path, change):
    place = places.open_place("url", url)
    if change == "gone":
        place.remove(["spec.toml"])
        said = "spec.toml is missing"
    else:
        place.write("spec.toml", b"half")
        said = "spec.toml is damaged: it has 4 bytes and not"
    with pytest.raises(bh.CorpusError, match=said):
        bh.pull(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_is_damaged_here_is_brought_anew(directory, url, tmp_path, files):
    shutil.copytree(directory, tmp_path / "back")
    (tmp_path / "back/tokens/00000.bin").write_bytes(b"other")
    (tmp_path / "back/notes.txt").write_text("mine")
    done = bh.pull(url, tmp_path / "back")
    assert done.fetched == 2  # and the record, which comes last
    assert files(tmp_path / "back") == {**files(directory), "notes.txt": b"mine"}


def test_a_folder_of_a_copy_may_be_on_another_disk(directory, url, tmp_path, files, monkeypatch):
    back = tmp_path / "back"
    bh.pull(url, back)
    shutil.move(back / "tokens", tmp_path / "disk")
    (back / "tokens").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "00000.bin").unlink()
    replace = Path.replace

    def replaced(self, target):
        there = Path(target).parent.resolve() == tmp_path / "disk"
        if there != (tmp_path / "disk" in self.parent.resolve().parents):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    assert bh.pull(url, back).fetched == 2  # and its record, the last
    assert (back / "tokens").is_symlink()
    assert files(tmp_path / "disk") == files(directory / "tokens")
    assert not (back / ".pulling").exists()


@pytest.mark.parametrize("to", ["manifest", "export"])
def test_a_copy_that_has_lost_its_record_gets_it_again(directory, tmp_path, files, to):
    source, record = directory, "manifest.json"
    if to == "export":
        source, record = tmp_path / "export", "export.json"
        bh.export(directory, source, to="megatron")
    bh.push(source, url := f"file://{tmp_path}/store")
    back = shutil.copytree(source, tmp_path / "back")
    for damage in (b"{", b'{"other": 1}'):
        (back / record).write_bytes(damage)
        with pytest.raises(bh.ArgumentError, match=f"a damaged {record} is fetched again"):
            bh.pull(url, back)
    (back / record).unlink()
    assert bh.pull(url, back).fetched == 1
    assert files(back) == files(source)


def test_a_directory_without_record_that_differs_is_not_written_over(directory, url, tmp_path):
    back = shutil.copytree(directory, tmp_path / "back")
    (back / "manifest.json").unlink()
    (back / "tokens/00000.bin").write_bytes(b"mine")
    with pytest.raises(bh.ArgumentError, match=r"back, in which tokens/00000\.bin is not as in"):
        bh.pull(url, back)
    assert (back / "tokens/00000.bin").read_bytes() == b"mine"


def test_nothing_else_is_written_over(url, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    bh.Corpus(bh.World(50, 2, 5)).write(tmp_path / "other", probes=0)
    holds = r"holds something else \(notes.txt\)"
    for name, said in (("full", holds), ("other", "other, which is a corpus, allowed: ")):
        with pytest.raises(bh.ArgumentError, match=said):
            bh.pull(url, tmp_path / name)
    with pytest.raises(bh.ArgumentError, match="a file, allowed: a new or empty directory"):
        bh.pull(url, tmp_path / "full/notes.txt")


@pytest.mark.parametrize("name", ["../out", "/etc/out", "tokens/../../out", ".lock"])
def test_a_ledger_leads_nowhere_else(url, name, tmp_path):
    place = places.open_place("url", url)
    from behemoth.store.ledger import LEDGER, Entry

    bad = Ledger("manifest.json", "x", True, {name: Entry(1, "0" * 64)})
    place.write(LEDGER, bad.to_bytes())
    with pytest.raises(bh.CorpusError, match=r"ledger\.json is damaged"):
        bh.pull(url, tmp_path / "back")
    place.write(LEDGER, Ledger("../run.json", "x", True, {}).to_bytes())
    with pytest.raises(bh.CorpusError, match=r"ledger\.json is damaged"):
        bh.pull(url, tmp_path / "back")


def test_a_ledger_that_lists_no_record_is_damaged(url, tmp_path):
    from behemoth.store.ledger import LEDGER, read_ledger

    place = places.open_place("url", url)
    ledger = read_ledger(place)
    del ledger.files["manifest.json"]
    place.write(LEDGER, ledger.to_bytes())
    with pytest.raises(bh.CorpusError, match=r"ledger\.json is damaged: it does not list manifest"):
        bh.pull(url, tmp_path / "back")


def test_progress_stops_it(url, tmp_path):
    class Enough(Exception):  # noqa: N818
        pass

    def look(moment):
        raise Enough

    with pytest.raises(Enough):
        bh.pull(url, tmp_path / "back", progress=look)
