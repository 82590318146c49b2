"""A process says how its libraries are to be set, and leaves what the user has set."""

import json
import os
import subprocess
import sys

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


def test_nothing_of_it_is_done_at_import():
    script = (
        "import os; before = dict(os.environ); "
        "import behemoth.support.process, behemoth.train; assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
