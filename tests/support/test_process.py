"""A process says how its libraries are to be set, and leaves what the user has set."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from behemoth.support import process
from behemoth.support.process import ENVIRONMENT


def after_prepare(**given):
    script = (
        "import json, os; from behemoth.support.process import prepare; "
        "prepare(); print(json.dumps(dict(os.environ)))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.check_output(
        [sys.executable, "-c", script], env=environment | given, text=True
    )
    return json.loads(done)


def test_what_is_not_set_is_set():
    assert ENVIRONMENT.items() <= after_prepare().items()


def test_what_the_user_has_set_stays():
    assert after_prepare(GOMP_SPINCOUNT="7")["GOMP_SPINCOUNT"] == "7"


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
@pytest.mark.parametrize(
    ("most", "taken"),
    [(1 << 30, {-3: 1 << 30, -1: 1 << 30}), (32 << 20, {-3: 32 << 20, -1: 1 << 30}), (0, {})],
    ids=["new", "old", "none"],
)
def test_memory_is_kept_only_with_a_threshold_that_is_taken(most, taken, monkeypatch):
    """Where glibc refuses the one, the other alone fixed it at 128 KiB: worse than neither."""
    made = {}

    def mallopt(name, value):
        if name == -3 and value > most:
            return 0
        made[name] = value
        return 1

    monkeypatch.setattr(process, "lean", lambda: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(process.platform, "libc_ver", lambda: ("glibc", "2.17"))
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    process.prepare()
    assert made == taken


def test_nothing_of_it_is_done_at_import():
    script = (
        "import os; before = dict(os.environ); "
        "import behemoth.support.process, behemoth.train; assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_a_library_writes_to_stdout_is_not_heard_for_a_while(capfd):
    os.write(1, b"before, ")

    def fail():
        os.write(1, b"noise")
        os.write(2, b"warning")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), process.unheard_stdout():
        fail()
    os.write(1, b"after")
    assert tuple(capfd.readouterr()) == ("before, after", "warning")
