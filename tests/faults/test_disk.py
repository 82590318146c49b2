"""Disks that fail at any write: one line that names the file, nothing torn, and it goes on."""

import errno
import os
import random
import runpy
import subprocess
import sys
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest

import behemoth as bh
from behemoth.study.work import run as work
from behemoth.support import files
from behemoth.support.errors import CorpusError
from behemoth.zoo import SIZES

QUICK = ("--model", "pico", "--steps", "4", "--block-length", "32", "--batch-size", "4",
         "--threads", "1", "--no-tensorboard", "--checkpoint-interval", "2")  # fmt: skip
COMMANDS = {
    "gen": ("gen", "--subjects", "30", "--relations", "2", "--objects", "5", "--probes", "20"),
    "train": ("train", "corpus", *QUICK),
    "plan": ("plan", "run", "--edits", "2", "--independent", "--repeats", "1", "--probes", "1"),
    "edit": ("edit", "run", "--plan", "plan", "--method", "lora", "--set", "steps=2", "--single"),
    "export": ("export", "corpus", "--to", "jsonl"),
    "import": ("import", "facts.csv"),
    "facts": ("facts", "corpus"),
    "evaluate": ("evaluate", "edit", "--plan", "plan"),
    "suite": ("evaluate", "edit", "--plan", "plan", "--suite", "editing"),
    "sequence": ("edit", "run", "--plan", "plan", "--method", "ultraedit", "--sequential",
                 "--checkpoint-at", "1"),
    "trace": ("trace", "run", "--plan", "known", "--samples", "2"),
    "tune": ("tune", "rome", "--on", "run", "--trials", "3", "--edits", "2"),
    "study": ("study", "run", "study.toml"),
    "zoo": ("zoo", "make", "--size", "smoke", "--workers", "1"),
    "push": ("push", "corpus", "{url}/{out}"),
    "pull": ("pull", "{url}/sent", "{out}"),
}  # fmt: skip
ONE_FILE = ("facts", "evaluate")
KEPT = ("import", *ONE_FILE)  # what `verify` does not take
FAULTS = ("ENOSPC", "EDQUOT", "EIO", "short", "fsync")


class Disk:
    """Counts what is done to a disk through `support.files`, and fails at one of it."""

    def __init__(self, patch, fault=None, at=None):
        self.fault, self.at, self.done, self.failed = fault, at, 0, None
        self.alone = threading.Lock()  # a store's files are moved by several threads
        sync, room, write = files.sync, files.mkdtemp, Path.write_bytes

        def synced(path):
            self.touch("fsync", path)
            sync(path)

        def made(*args, **options):
            name = f"{options['prefix']}xxxxxxxx{options['suffix']}"
            self.touch("room", Path(options["dir"]) / name)
            return room(*args, **options)

        def written(path, data):
            if self.touch("write", path):
                write(path, data[: len(data) // 2])  # as much as there was room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(path, data)

        for name in ("support.files", "store.pull", "export.source"):  # each has a name of its own
            patch.setattr(import_module(f"behemoth.{name}"), "sync", synced)
        patch.setattr(files, "mkdtemp", made)
        patch.setattr(Path, "write_bytes", written)

    def touch(self, what, path):
        """Fail if it is time, and this kind of fault can come here; or say that half is written."""
        fits = {"short": ("write",), "fsync": ("fsync",)}.get(
            self.fault, ("room", "write", "fsync")
        )
        if what not in fits:
            return False
        with self.alone:
            number, self.done = self.done, self.done + 1
        if number != self.at:
            return False
        self.failed = path
        if self.fault == "short":
            return True
        code = getattr(errno, "EIO" if self.fault == "fsync" else self.fault)
        # What a library says of it has a name or none, and that of a sync none.
        known = number % 2 == 0 and what != "fsync"
        raise OSError(code, os.strerror(code), *([str(path)] if known else []))


def meaning(place):
    """What a file or a directory is about; records, and some frames, have times in them."""
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    return {
        str(path.relative_to(place)): _read(path)
        for path in paths
        if path.suffix in (".safetensors", ".bin", ".parquet", ".jsonl")
        if not path.name.startswith("metrics")
    }


def _read(path):
    times = (
        []
        if path.suffix != ".parquet"
        else [name for name in pl.read_parquet_schema(path) if "seconds" in name]
    )
    return pl.read_parquet(path).drop(times).serialize() if times else path.read_bytes()


def is_whole_or_not_there(place):
    """What reads as a whole is whole, and all else is refused."""
    try:
        found = bh.verify(place)
    except (CorpusError, bh.ArgumentError):
        return True
    return found.ok or (bool(found.missing) and not found.bad)


# Of commands that take longer, the two faults that tear and hide most are in the default run.
_FEW = ("train", "edit", "export", "import", "facts")
CASES = [
    pytest.param(
        verb, fault,
        marks=() if verb in ("gen", "plan") or (verb in _FEW and fault in ("short", "fsync"))
        else pytest.mark.faults,
    )
    for verb in COMMANDS
    for fault in FAULTS
    if fault != "short" or verb not in ONE_FILE  # which polars writes
]  # fmt: skip


@pytest.fixture
def here(directories, tmp_path, monkeypatch, in_process_engine):
    """The directory in which commands find what they need, small, and work in this process."""
    for name in ("corpus", "run", "plan", "edit", "study.toml"):
        (tmp_path / name).symlink_to(directories / name)
    facts = bh.Corpus.open(directories / "corpus").world.facts()
    facts.select("subject", "relation", "object").write_csv(tmp_path / "facts.csv")
    bh.push(directories / "corpus", f"file://{tmp_path}/store/sent")
    known_plan = runpy.run_path(str(Path(__file__).parents[1] / "known_plan.py"))["known_plan"]
    known_plan(tmp_path / "run", directories / "plan", tmp_path / "known")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, "_engine", lambda name, path, *others: in_process_engine(path))
    tiny = replace(SIZES["smoke"], worlds=1, inits=1, subjects=20, edits=1, steps=2, batch_size=4)
    monkeypatch.setitem(SIZES, "smoke", tiny)
    return tmp_path


@pytest.mark.parametrize(("verb", "fault"), CASES)
def test_a_disk_that_fails_anywhere(here, run, monkeypatch, rounds, verb, fault):
    ending = ".parquet" if verb in ONE_FILE else ""
    folder = here / "store" if verb == "push" else here

    def start(out):
        words = COMMANDS[verb] if "{out}" in COMMANDS[verb][-1] else (*COMMANDS[verb], "--out", out)
        return run(*(word.format(url=f"file://{here}/store", out=out) for word in words))

    straight = f"straight{ending}"
    with monkeypatch.context() as patch:
        disk = Disk(patch, fault)
        assert start(straight).code == 0
    assert disk.done
    draw = random.Random(f"{verb} {fault}")
    for number in range(rounds(1)):
        out = f"out{number}{ending}"
        with monkeypatch.context() as patch:
            failing = Disk(patch, fault, draw.randrange(disk.done))
            ran = start(out)
        assert failing.failed is not None
        if verb == "study":  # a trial has failed, as it may for any reason, and is tried again
            message = ran.err
            assert ran.code == 1 and "Traceback" not in message
        else:
            message = ran.refused(1)
            assert "[Errno" not in message
        assert any(text in message for text in ("No space left", "quota", "Input/output error"))
        assert out in message, message
        assert is_whole_or_not_there(folder / out), message
        assert not list(here.rglob("*.tmp"))
        again = start(out)
        assert again.code == 0
        assert meaning(folder / out) == meaning(folder / straight) != {}
        if verb not in KEPT:
            assert bh.verify(folder / out).ok


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from behemoth.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("verb", "size"), [("gen", 60_000), ("train", 20_000), ("edit", 4_000), ("plan", 4_000)]
)
def test_libraries_that_find_no_room(directories, tmp_path, verb, size):
    """A limit to the size of files, by the system: what numpy, polars and safetensors run into."""
    for name in ("corpus", "run", "plan"):
        (tmp_path / name).symlink_to(directories / name)
    words = COMMANDS[verb] if verb != "gen" else ("gen", "--subjects", "20000", "--relations", "4")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *words, "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("behemoth: error: ") and "out" in last and "Traceback" not in done.stderr
    assert "File too large" in last and "[Errno" not in last, last
    assert is_whole_or_not_there(tmp_path / "out")
