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
code = end({code})
sys.stderr.write("came back")
sys.exit(code)
"""
SAID = "result thread\nat exit\n"


# Without a buffer, what stdout does not take is not tried again at the end.
BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


def carry_out(before="", out=subprocess.PIPE, code=3):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, code=code)],
        stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=BUFFERED,
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


FULL = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full")
LEFT = "behemoth: error: stdout: No space left on device\n"


@FULL
@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
@pytest.mark.parametrize(("code", "said", "ended"), [(3, "", 3), (0, LEFT, 1)])
def test_a_stdout_that_takes_no_more_is_given_up(torch, code, said, ended):
    with Path("/dev/full").open("w") as full:
        done = carry_out("" if torch else "del sys.modules['torch']", full, code)
    assert (done.stderr, done.returncode) == (said if torch else f"{said}came back", ended)


@FULL
@pytest.mark.parametrize(
    "words", ["methods --json", "methods", "--help", "gen --facts 60 --dry-run"]
)
def test_a_result_for_which_the_disk_has_no_room_is_one_line(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "behemoth", *words.split()],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED,
        )  # fmt: skip
    assert (done.stderr, done.returncode) == (LEFT, 1)
