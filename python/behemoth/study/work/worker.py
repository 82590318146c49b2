"""A worker of the local engine: ``python -m behemoth.study.work.worker STUDY [BYTES]``.

BYTES is the memory that a unit may use in addition to that of the worker itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from behemoth.support.progress import Advance
from behemoth.support.worker_loop import serve

from .engine import perform


def main(path: str, memory: int | None = None) -> None:
    """Carry out units until standard input ends."""
    laboratories: dict[str, Any] = {}

    def carry_out(unit: Any, step: Advance) -> tuple[str, Mapping[str, Any]]:
        result = perform(path, unit, step, laboratories, memory)
        if result.status is None:
            return "failed", {"reason": result.reason}
        return "done", {"status": result.status}

    serve(Path(path), carry_out)


if __name__ == "__main__":
    from behemoth.train.errors import Interrupted

    try:
        main(sys.argv[1], *map(int, sys.argv[2:]))
    except Interrupted:
        sys.exit(0)
