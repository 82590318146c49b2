"""`python -m behemoth` is `behemoth`: what `torchrun -m behemoth train` and its like start.

Signals are heeded from here on: the import of all commands takes a quarter of a second, and Ctrl-C
in it ended with a traceback.
"""

from __future__ import annotations

import gc
import sys

from behemoth.support.signals import Stops, stop_behind

__all__ = ["main"]


def main() -> int:
    """Run the command line of the process, and return its exit code."""
    stops = Stops()
    stops.listen()
    try:
        from behemoth.cli.main import main as run
    except BaseException as error:
        if stop_behind(error) is None:
            raise
        sys.stderr.write("behemoth: stopped: run the same command again\n")
        code = stops.exit_code(error)
        stops.close(finished=False)
        return code
    code = run(stops=stops)
    # Python would otherwise look for garbage among all that torch and others have made, which takes
    # 0.8 seconds of the 1.1 that it needs to end, also after a signal.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
