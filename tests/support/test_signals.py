"""A signal stops a program, wherever it arrives."""

import signal
import subprocess
import sys
from itertools import product

import pytest

from behemoth.support.signals import Stops

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PROGRAM = """
import os, sys, time
from behemoth.support.signals import Stops, Terminated

def wait():
    print("ready", flush=True)
    sleep()

def sleep():
    for _ in range(600):  # a signal just before a long call would be heard after it
        time.sleep(0.1)

class Deleted:
    def __del__(self):
        wait()

class Clean:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        time.sleep(2.5)  # longer than it takes until a lost signal is raised again
        print("cleaned", flush=True)

stops = Stops()
stops.listen()
try:
{body}
except KeyboardInterrupt as stop:
    print(type(stop).__name__, flush=True)
    code = stops.exit_code(stop)
    stops.close(finished=False)
    sys.exit(code)
print("went on", flush=True)
"""
GO_ON = "sleep()"
BODIES = {
    "usual": ["wait()"],
    "deleted": ["Deleted()", GO_ON],
    "caught": ["try: wait()", "except BaseException: pass", GO_ON],
    "reported": ["try: wait()", "except KeyboardInterrupt as stop: raise OSError from stop"],
    "cleaned": ["with Clean(): wait()"],
    "wrapped": [
        "try:",
        "    with Clean():",
        "        try: wait()",
        "        except KeyboardInterrupt as stop: raise ValueError from stop",
        "except ValueError as error: raise error.__cause__",
    ],
}


@pytest.fixture(scope="module")
def start():
    """Start a program whose body has these lines, once it is ready: start(lines) -> Popen."""
    started = []

    def start(lines):
        body = "\n".join(f"    {line}" for line in lines)
        program = PROGRAM.replace("{body}", body)
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "ready\n", process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rest(process):
    """The exit code, and what a program says after the line that was read."""
    out = process.stdout.read()  # and not `communicate`, which skips what has been buffered
    return process.wait(60), out.split()


STOPPED = [
    *product(("usual", "deleted", "caught"), (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)),
    *product(("cleaned", "wrapped"), (signal.SIGTERM,)),
]


@pytest.fixture(scope="module")
def stopped(start):
    """Programs that had their signals, all at once: each takes seconds to end."""
    processes = {}
    for where, how in STOPPED:
        processes[where, how] = start(BODIES[where])
        processes[where, how].send_signal(how)
    return processes


@pytest.mark.parametrize(("where", "how"), STOPPED)
def test_a_program_stops_wherever_the_signal_arrives(stopped, where, how):
    process = stopped[where, how]
    stop = "KeyboardInterrupt" if how == signal.SIGINT else "Terminated"
    cleaned = ["cleaned"] * (where in ("cleaned", "wrapped"))
    assert rest(process) == (128 + how, [*cleaned, stop])


def test_an_error_that_replaces_it_is_raised(start):
    process = start(BODIES["reported"])
    process.send_signal(signal.SIGTERM)
    assert rest(process) == (1, [])
    assert process.stderr.read().splitlines()[-1] == "OSError"


def test_repeated_signals_do_not_disturb_what_cleans_up_but_a_second_ctrl_c_does(start):
    process = start(["with Clean(): wait()"])
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
    assert rest(process) == (143, ["cleaned", "Terminated"])
    process = start(["try: wait()", "finally: wait()"])
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert rest(process) == (130, ["KeyboardInterrupt"])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("finished", [True, False])
def test_a_signal_after_the_end_changes_nothing_of_what_is_finished(start, finished, how):
    kill = f"os.kill(os.getpid(), {int(how)})"
    process = start(["print('ready', flush=True)", f"stops.close(finished={finished})", kill])
    assert rest(process) == ((0, ["went", "on"]) if finished else (-how, []))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_while_python_ends_changes_nothing_of_what_is_finished(start, how):
    kill = f"lambda self, kill=os.kill, own=os.getpid(): kill(own, {int(how)})"
    last = f"last = type('Last', (), {{'__del__': {kill}}})()"
    assert rest(start([last, "print('ready', flush=True)", "stops.close(finished=True)"])) == (
        0, ["went", "on"],
    )  # fmt: skip


def test_outside_of_a_program_nothing_is_changed():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    stops = Stops()
    stops.close(finished=True)
    assert stops.exit_code() == 130
    assert {number: signal.getsignal(number) for number in before} == before
