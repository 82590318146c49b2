"""A process ends at once after torch, and what others have asked for at its end is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from types import ModuleType
from behemoth.support.ending import end

def late():
    time.sleep(0.3)
    print("thread")

atexit.register(print, "at exit")
threading.Thread(target=late).start()
sys.modules["torch"] = ModuleType("torch")
{before}
sys.stdout.write("result ")
code = end(3)
sys.stderr.write("came back")
sys.exit(code)
"""
SAID = "result thread\nat exit\n"


def carry_out(before="", out=subprocess.PIPE):
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=buffered,
    )  # fmt: skip


def test_threads_exit_functions_and_streams_are_done_before_a_quick_end():
    done = carry_out()
    assert (done.stdout, done.stderr, done.returncode) == (SAID, "", 3)


@pytest.mark.parametrize(
    "before",
    [
        "del sys.modules['torch']",
        "import os; os.environ['WORLD_SIZE'] = '2'",
        "import cProfile; cProfile.Profile().enable()",
        "sys.settrace(lambda *_: None)",
    ],
    ids=["without torch", "several processes", "profiled", "traced"],
)
def test_python_ends_other_processes(before):
    done = carry_out(before)
    assert (done.stdout, done.stderr, done.returncode) == (SAID, "came back", 3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full")
def test_a_stream_that_cannot_be_flushed_is_left_to_python():
    with Path("/dev/full").open("w") as full:
        done = carry_out(out=full)
    assert done.returncode == 120
    assert done.stderr.startswith("came back")
    assert "No space left on device" in done.stderr
