"""The end of a process that has loaded torch, without taking apart everything that was made.

Python ends by collecting all objects: after torch this takes 0.9 seconds, of which the system frees
in a moment what remains. What others have asked to be done at the end is done first.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress

__all__ = ["end"]


def end(code: int) -> int:
    """End the process with an exit code, at once if torch is loaded.

    Only for a program that is done: threads that are not daemons are waited for, functions of
    `atexit` run, and the standard streams are flushed, in the order in which Python does so. Where
    stdout takes no more, as on a full disk, the code is not 0.

    Returns
    -------
    int
        The code, for `sys.exit`, if Python should end the process: torch is not loaded, this
        process is one of several that train a model, a stream cannot be flushed at its end, which
        Python reports, or the process is debugged or profiled.
    """
    code = _flush_results(code)
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    if "torch" not in sys.modules or several or sys.flags.inspect or _is_observed():
        return code
    try:
        _flush()
        # Both are private, but older than Python 3.8; children of multiprocessing end like this.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        _flush()
    except (OSError, ValueError, AttributeError):
        return code
    os._exit(code)


def _flush_results(code: int) -> int:
    """Flush stdout, and give up what it does not take; return the exit code.

    Python would try again, report a traceback and exit with 120.
    """
    stdout = sys.stdout
    if getattr(stdout, "closed", True):
        return code
    try:
        stdout.flush()
    except OSError as error:
        with suppress(OSError, ValueError, AttributeError):  # a stream that somebody put there
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        if code == 0:  # otherwise, the command has said why
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"behemoth: error: stdout: {error.strerror}\n")
        return code or 1
    except ValueError:  # it is detached
        return code
    return code


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _is_observed() -> bool:
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12, also what cProfile uses
    tools = [] if monitoring is None else [monitoring.get_tool(number) for number in range(6)]
    return sys.gettrace() is not None or sys.getprofile() is not None or any(tools)
