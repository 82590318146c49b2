"""The command line, killed before any change that it makes to the disk: to find what that loses.

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
from pathlib import Path
from typing import Any

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR


def carry_out(words: list[str], kill: int | None) -> tuple[int, int]:
    """Run a command in a copy of this process.

    Parameters
    ----------
    words : list of str
    kill : int, optional
        Which change it is killed before, from 0.

    Returns
    -------
    tuple of int
        Changes that it began, the exit code.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        begun = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal begun
            if event in CHANGES or (event == "open" and (arguments[2] or 0) & _WRITING):
                if begun == kill:
                    os.kill(os.getpid(), signal.SIGKILL)
                begun += 1
                os.write(writer, b".")

        from behemoth.cli.main import main

        if words[:2] == ["study", "run"]:
            _work_here()
        sys.addaudithook(count)
        os._exit(main(words))
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        begun = len(told.read())
    return begun, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work_here() -> None:
    """Let studies be worked on by this process, so that a kill meets their units as well."""
    from behemoth.study.work import run

    engine = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))["InProcess"]
    run._engine = lambda name, path, *others: engine(path)


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
        answers.write(json.dumps(carry_out(asked["words"], asked["kill"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
