"""`python -m behemoth` is `behemoth`: what `torchrun -m behemoth train` and its like start.

Signals are heeded from here on: the import of all commands takes a quarter of a second, and Ctrl-C
in it ended with a traceback.
"""

from __future__ import annotations

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
    # gc.freeze() here would save a torch process 0.8 of the 1.1 seconds that it needs to end, but
    # triton then reports all that it has made as leaked, on stderr.
    return run(stops=stops)


if __name__ == "__main__":
    sys.exit(main())
