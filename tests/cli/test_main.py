"""The command line as a whole: help, version, tracebacks, and commands that do not exist."""

import errno
import os
import re
import signal
import subprocess
import sys

import pytest

from behemoth import Corpus, World


def test_debug_shows_the_traceback(run, tmp_path):
    for words in (("--debug", "gen", "--facts", "x"), ("gen", "--facts", "x", "--debug")):
        ran = run(*words, "--out", tmp_path / "c")
        assert ran.code == 2
        assert "Traceback" in ran.err
        assert "ArgumentError" in ran.err


def test_an_unknown_command_names_its_neighbour(run):
    message = run("gne").refused()
    assert message.startswith(
        "argument 'COMMAND': got gne (did you mean gen?), allowed: gen, inspect, verify, facts,"
    )


def test_help_names_every_option_and_no_command_is_help(run):
    ran = run("gen", "--help")
    assert ran.code == 0
    options = """facts subjects relations objects spec exposures order templates inversion minority
        nested correlated questions paraphrases seed order-seed threads part engine dry-run force
        schedule filler background insert combinations json out probes"""
    for option in options.split():
        assert f"--{option} " in ran.out
    assert run().code == 0
    assert "Commands:" in run().out


def test_the_version_is_that_of_the_engine(run):
    from behemoth._gen import version

    assert run("--version").out == version() + "\n"


@pytest.mark.parametrize(
    "words",
    [("gen", "--facts", 12), ("facts", "c"), ("plan", "c", "--edits", 2), ("export", "c")],
    ids=lambda words: words[0],
)
def test_a_name_whose_bytes_are_not_utf8_is_refused_by_its_argument(
    run, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Corpus(World(12, 2, 4), exposures=2).write("c", probes=0)
    more = ("--to", "jsonl") if words[0] == "export" else ()
    message = run(*words, *more, "--out", os.fsdecode(b"z\xff.parquet")).refused()
    expected = r"argument '--out': got .*z\\udcff.parquet.*, allowed: a path whose names are UTF-8"
    assert re.fullmatch(expected, message)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("name", ["o", "e", "denied", "a/b"])
def test_an_error_of_the_system_has_the_name_of_its_file(run, name, tmp_path, monkeypatch):
    """Also a name that is part of the system's words."""

    def failing(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr("behemoth.corpus.gen", failing)
    message = run("gen", "--facts", 12, "--out", tmp_path / "c").refused(1)
    assert message == f"{name}: Permission denied"


def test_an_error_of_the_disk_has_its_name_once(run, tmp_path, monkeypatch):
    said = "not enough disk for c: 3 MiB needed and 16 MiB to be left free, 17 MiB free"

    def failing(*_, **__):
        raise OSError(errno.ENOSPC, said, "c")

    monkeypatch.setattr("behemoth.corpus.gen", failing)
    assert run("gen", "--facts", 12, "--out", tmp_path / "c").refused(1) == said


def test_a_stop_while_a_package_is_imported_is_a_stop(run, tmp_path, monkeypatch):
    """Python 3.11 raises a RuntimeError from it where a class is made."""

    def failing(*_, **__):
        try:
            raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()
        except RuntimeError as error:
            raise ModuleNotFoundError("No module named 'torch'", name="torch") from error

    monkeypatch.setattr("behemoth.corpus.gen", failing)
    monkeypatch.setattr("behemoth.cli.trace.check_run", failing)
    out = tmp_path / "c"
    for words in (("gen", "--facts", 12), ("trace", "run", "--plan", "p")):
        ran = run(*words, "--out", out)
        assert ran.err == "behemoth: stopped: run the same command again, which starts over\n"
        assert ran.code == 130
    out.mkdir()
    (out / "begun").touch()
    ran = run("gen", "--facts", 12, "--out", out)
    assert ran.err == f"behemoth: stopped: run the same command again to resume {out}\n"
    assert ran.code == 130


STOPPED = """
import os, runpy, sys

class Stop:
    def find_spec(self, name, *others):
        if name == "behemoth.cli.gen":
            os.kill(os.getpid(), int(sys.argv[1]))

sys.meta_path.insert(0, Stop())
runpy.run_module("behemoth", run_name="__main__")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_commands_are_imported_is_a_stop(how):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(how))], capture_output=True, text=True, check=False
    )
    assert done.stderr == "behemoth: stopped: run the same command again\n"
    assert done.returncode == 128 + how
