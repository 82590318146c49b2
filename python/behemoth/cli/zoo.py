"""`behemoth zoo`: make a turnkey set of models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from behemoth.support.bars import Bars
from behemoth.support.extras import needed
from behemoth.support.memory import bytes_of
from behemoth.support.process import prepare
from behemoth.support.text import bytes_text

from . import parse
from .console import console, keep_interrupts, resumable, write_json
from .options import Option, command, force, group

app = group("Make sets of models with known exposures, twins and plans.")


MAKE = (
    Option("size", "smoke|desk", "How many models, and how large their worlds.",
           parse.one_of("smoke", "desk"), "smoke"),
    Option("out", "ZOO", "Directory to write; one that is unfinished is resumed.",
           required="a directory to write"),
    Option("workers", "N", "Trainings at a time [one per core, if memory suffices].",
           parse.at_least(1)),
    Option("memory", "SIZE", "Limit on memory of all trainings together, such as 8GB [what is "
           "free].", bytes_of),
    force("the zoo that is there", "ZOO"),
)  # fmt: skip


@app.command("make")
@command(*MAKE)
def make(given: dict[str, Any], json: bool) -> None:
    """Make worlds, models with labelled exposures, and twins.

    Also their plans and cards. ZOO/zoo.json lists every file with its hash, for `behemoth verify
    ZOO`. `smoke` is 4 models and 4 twins, half a minute of one core; `desk` is 12 and 12 of larger
    worlds.
    """
    keep_interrupts()
    prepare()
    with needed(), resumable(given["out"]):
        from behemoth.zoo import make_zoo

        done = make_zoo(progress=Bars(), **given)
    if json:
        write_json(asdict(done))
        return
    console().print(
        f"{done.out}: {done.models:,} models and as many twins, {done.files:,} files, "
        f"{bytes_text(done.bytes)}, {done.seconds:.1f} s"
    )
