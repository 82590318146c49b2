"""Runs that are stopped: by Ctrl-C, by kill -9, by a full disk; and go on to the same bytes."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SPEC = """
[world]
subjects = {subjects}
relations = 4
nested = 20
[corpus]
exposures = "groups:1,2,4"
shard_bytes = 1_000_000
[corpus.templates]
default = 1
repeats = 1
"""


@pytest.fixture
def spec(tmp_path):
    def spec(subjects):
        path = tmp_path / "spec.toml"
        path.write_text(SPEC.format(subjects=subjects))
        return path

    return spec


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def send(process, how):
    """Send a signal and wait for the end, before which no more work may be done: what was said.

    Measured by what the process computes, a second of all cores and two for its exit: how long it
    takes depends on what else the machine does.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    stat = Path(f"/proc/{process.pid}/stat")
    before = stat.read_text().rpartition(")")[2].split() if stat.exists() else None
    process.send_signal(how)
    _, error = process.communicate(timeout=60)
    if before is not None:
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = own.ru_utime + own.ru_stime - ended.ru_utime - ended.ru_stime
        at_signal = (int(before[11]) + int(before[12])) / os.sysconf("SC_CLK_TCK")
        assert spent - at_signal < (os.cpu_count() or 1) + 2
    return error


def kill_until_done(spawn, words, seed, kills, begun="tokens/*.bin*", seconds=0.3):
    """Start the command again and again, with a kill -9 at a random moment of its writing."""
    draw = random.Random(seed)
    out = words[words.index("--out") + 1]
    killed = 0
    while True:
        process = spawn(*words)
        if killed < kills:
            wait_for(lambda made=process: any(out.glob(begun)) or made.poll() is not None)
            time.sleep(draw.uniform(0, seconds))
            if process.poll() is None:
                process.kill()
                killed += 1
        _, error = process.communicate(timeout=120)
        if process.returncode == 0:
            return killed
        assert process.returncode == -signal.SIGKILL, error


def check_killed(spawn, run, spec, tmp_path, contents, subjects, kills, seed):
    words = ("gen", "--spec", spec(subjects), "--probes", 2000)
    assert run(*words, "--out", tmp_path / "straight").code == 0
    # Two threads, so that there is something to kill on a machine of many cores.
    again = (*words, "--threads", 2, "--out", tmp_path / "killed")
    for attempt in range(5):  # all is written where the kill comes late on a busy machine
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        if kill_until_done(spawn, again, f"{seed} {attempt}", kills):
            break
    else:
        pytest.fail("no run was killed")
    assert run("verify", tmp_path / "killed").code == 0
    straight, after = contents(tmp_path / "straight"), contents(tmp_path / "killed")
    # A kill may leave the temporary file of a small file behind; nothing else, and no other bytes.
    assert {name: after.get(name) for name in straight} == straight
    assert all("partial" in name or "tmp" in name for name in set(after) - set(straight))


def test_a_killed_run_goes_on_to_the_same_bytes(spawn, run, spec, tmp_path, contents):
    check_killed(spawn, run, spec, tmp_path, contents, subjects=60_000, kills=2, seed=1)


@pytest.mark.faults
@pytest.mark.parametrize("to", ["jsonl", "chat", "hf-dataset", "text"])
def test_a_killed_export_goes_on_to_the_same_bytes(spawn, run, spec, tmp_path, contents, to):
    corpus = tmp_path / "corpus"
    assert run("gen", "--spec", spec(40_000), "--probes", 0, "--out", corpus).code == 0
    words = ("export", corpus, "--to", to)
    assert run(*words, "--out", tmp_path / "straight").code == 0
    killed = (*words, "--out", tmp_path / "killed")
    assert kill_until_done(spawn, killed, seed=1, kills=3, begun="export.json", seconds=6) > 0
    assert run("verify", tmp_path / "killed").code == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(6))
def test_a_run_killed_many_times_goes_on_to_the_same_bytes(
    spawn, run, spec, tmp_path, contents, seed
):
    check_killed(spawn, run, spec, tmp_path, contents, subjects=150_000, kills=12, seed=seed)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_within_a_second_and_says_how_to_go_on(spawn, spec, tmp_path, how, code):
    out = tmp_path / "c"
    # Far more than can be written before the signal comes; only what was begun is on the disk.
    words = ("gen", "--spec", spec(6_000_000), "--out", out, "--probes", 0)
    process = spawn(*words)
    wait_for(lambda: any(out.rglob("*.bin")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()  # a full disk is refused
    error = send(process, how)
    assert process.returncode == code
    assert (
        error.splitlines()[-1] == f"behemoth: stopped: run the same command again to resume {out}"
    )
    assert "Traceback" not in error
    assert not list(out.rglob("*.bin.partial"))
    assert list(out.rglob("*.bin"))
    shutil.rmtree(out)


def interrupt(process, started):
    """Send Ctrl-C once the work has started; it must stop at once. Gives what was said."""
    wait_for(lambda: started() or process.poll() is not None)
    time.sleep(0.5)
    assert process.poll() is None, process.communicate()
    return send(process, signal.SIGINT)


def test_ctrl_c_stops_a_table_of_facts(spawn, spec, tmp_path):
    out = tmp_path / "f.parquet"
    process = spawn("facts", spec(200_000_000), "--out", out)
    error = interrupt(process, lambda: any(tmp_path.glob(".f.parquet*")))
    assert process.returncode == 130
    said = "behemoth: stopped: run the same command again, which starts over"
    assert error.splitlines()[-1] == said
    assert "Traceback" not in error
    assert not list(tmp_path.glob("*.parquet*"))
    assert not list(tmp_path.glob(".*.parquet*"))


@pytest.mark.parametrize(
    "work",
    [
        "corpus.count_tokens()",
        "corpus.tokens(0, 100_000_000)",
        "corpus.fill_tokens(np.empty(2_000_000_000, np.uint16), 10**9)",
    ],
)
def test_ctrl_c_stops_the_engine(spec, tmp_path, work):
    started = tmp_path / "started"
    script = f"""
import pathlib
import sys
import numpy as np
from behemoth import Corpus
corpus = Corpus.from_spec({str(spec(100_000_000))!r})
pathlib.Path({str(started)!r}).touch()
try:
    {work}
except KeyboardInterrupt:
    sys.exit(7)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    error = interrupt(process, started.exists)
    assert process.returncode == 7, error


def test_two_runs_at_once_make_one_corpus(spawn, run, spec, tmp_path, contents):
    words = ("gen", "--spec", spec(60_000), "--probes", 1000)
    assert run(*words, "--out", tmp_path / "straight").code == 0
    processes = [
        spawn(*words, "--out", tmp_path / "both", "--part", f"{part}/2") for part in range(2)
    ]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert contents(tmp_path / "both") == contents(tmp_path / "straight")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", place],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.faults
def test_a_disk_that_fills_up_is_told_and_the_run_goes_on(
    small_disk, spawn, run, spec, tmp_path, contents
):
    words = ("gen", "--spec", spec(400_000), "--probes", 1000)
    assert run(*words, "--out", tmp_path / "straight").code == 0
    # The check beforehand sees enough room; another file takes it while the run writes.
    ballast = small_disk / "ballast"
    process = spawn(*words, "--out", small_disk / "c", "--threads", 1)
    wait_for(lambda: any((small_disk / "c").rglob("*.bin")) or process.poll() is not None)
    try:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError:
        pass
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left" in error
    assert "Traceback" not in error
    assert not list((small_disk / "c").rglob("*.bin.partial"))
    ballast.unlink()
    ran = run(*words, "--out", small_disk / "c")
    assert ran.code == 0, ran.err
    assert contents(small_disk / "c") == contents(tmp_path / "straight")
