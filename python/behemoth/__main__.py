"""`python -m behemoth` is `behemoth`: what `torchrun -m behemoth train` and its like start.

Signals are heeded from here on: the import of all commands takes a quarter of a second, and Ctrl-C
in it ended with a traceback.
"""

from __future__ import annotations

import sys

from behemoth.support.ending import end
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
    # gc.freeze() would save nearly as much time, but then triton reports leaks on stderr.
    return end(run(stops=stops))


if __name__ == "__main__":
    sys.exit(main())
