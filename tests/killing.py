"""The command line, killed or stopped before any change that it makes to the disk.

``python killing.py`` loads torch once and waits for lines of JSON: words of a command, and at which
of its changes to die. Each command is carried out by a copy of this process, so that one takes a
second and not ten. The answer says how many changes were begun, and the exit code: minus the signal
where it was killed.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR


def carry_out(
    words: list[str], kill: int | None, number: int = signal.SIGKILL
) -> tuple[int, int, str, float | None]:
    """Run a command in a copy of this process.

    Parameters
    ----------
    words : list of str
    kill : int, optional
        Which change it gets the signal before, from 0.
    number : int
        The signal.

    Returns
    -------
    tuple
        Changes that it began, the exit code, what it said last on stderr, and for how many seconds
        it computed after the signal; None if it was not sent.
    """
    reader, writer = os.pipe()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, by whichever process reads it
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(said.fileno(), 2)
        begun = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal begun
            if event in CHANGES or (event == "open" and (arguments[2] or 0) & _WRITING):
                begun += 1
                if begun - 1 == kill:
                    said.write(f"{time.process_time()}\n".encode())
                    said.flush()
                    os.kill(os.getpid(), number)
                os.write(writer, b".")

        from behemoth.cli.main import main

        if words[:2] == ["study", "run"]:
            _work_here()
        if words[:2] == ["zoo", "make"]:
            _make_few()
        sys.addaudithook(count)
        sys.argv = ["behemoth", *words]
        code = main()
        sys.stderr.flush()
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        begun = len(told.read())
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    with said:
        said.seek(0)
        lines = said.read().decode().splitlines()
    at = [float(line) for line in lines if line.replace(".", "", 1).isdigit()]
    after = used.ru_utime + used.ru_stime - at[0] if at else None
    return begun, code, lines[-1] if lines else "", after


def _work_here() -> None:
    """Let studies be worked on by this process, so that a kill meets their units as well."""
    from behemoth.study.work import run

    engine = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))["InProcess"]
    run._engine = lambda name, path, *others: engine(path)


def _make_few() -> None:
    """Make the smallest zoo smaller still, as the tests of full disks do."""
    from behemoth.zoo import SIZES

    few = {"worlds": 1, "inits": 1, "subjects": 20, "edits": 1, "steps": 2, "batch_size": 4}
    SIZES["smoke"] = replace(SIZES["smoke"], **few)


def serve() -> None:
    """Carry out what comes on stdin; the answers go where stdout was."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what commands say is none of them
    sys.dont_write_bytecode = True
    import polars as pl
    import torch
    import transformers

    import behemoth.edit.apply
    import behemoth.train.start

    assert pl and torch and transformers and behemoth
    for line in sys.stdin:
        asked = json.loads(line)
        found = carry_out(asked["words"], asked["kill"], asked.get("signal", signal.SIGKILL))
        answers.write(json.dumps(found if "signal" in asked else found[:2]) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
