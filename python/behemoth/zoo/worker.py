"""A worker of a zoo, which trains its models: ``python -m behemoth.zoo.worker TRAINER``.

TRAINER is a `behemoth.zoo.training.Trainer` as JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from behemoth.support.progress import Advance
from behemoth.support.text import error_text
from behemoth.support.worker_loop import serve

from .record import ZooModel
from .training import Trainer, Training


def main(trainer: Trainer) -> None:
    """Carry out trainings until standard input ends."""

    def carry_out(task: Any, step: Advance) -> tuple[str, Mapping[str, Any]]:
        del step
        try:
            trainer.carry_out(Training(ZooModel(**task["model"]), task["twin"]))
        except Exception as error:
            return "failed", {"reason": error_text(error)}
        return "done", {}

    serve(trainer.place, carry_out)


if __name__ == "__main__":
    from behemoth.train.errors import Interrupted

    try:
        main(Trainer.from_json(sys.argv[1]))
    except Interrupted:
        sys.exit(0)
