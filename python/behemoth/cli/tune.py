"""`behemoth tune`: choose the settings of a method."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.checks import path_of
from behemoth.support.extras import needed
from behemoth.support.process import prepare
from behemoth.support.text import plural_text

from . import parse
from .console import console, keep_interrupts, resumable, word, write_json
from .edit import DEVICE, MEMORY
from .methods import known_methods
from .options import Option, command, offering
from .places import check_plan, check_run

if TYPE_CHECKING:
    from behemoth.edit.search import Searched
    from behemoth.tune import Tuned

OPTIONS = (
    Option("on", "RUN", "A finished run, preferably of a world you do not report on.",
           required="a finished training run"),
    Option("out", "DIR", "Directory to write; an unfinished tuning is resumed.",
           required="a directory to write"),
    Option("trials", "N", "Total number of trials; the first uses the defaults.",
           parse.at_least(1), 20),
    Option("objective", "editing|editing-locality|unlearning",
           "The score that decides [the one the method's edits are judged by]."),
    Option("edits", "N", "Number of edits in the plan, per level of exposures.",
           parse.at_least(1), 8),
    Option("exposures", "N,N", "Exposure levels of its facts [any above 0].", parse.levels),
    Option("apart", "PLAN", "A plan whose edited facts are excluded."),
    Option("twin", "RUN", "A run without the facts of its plan, for unlearning [one is trained]."),
    Option("rows", "N", "Maximum number of rows over all steps of an edit.",
           parse.at_least(1), 1280),
    Option("seed", "N", "Seed of the search and of the method's draws.", parse.count, 0),
    Option("plan_seed", "N", "Seed of the plan [that of --seed].", parse.count),
    Option("cache", "DIR", "Where covariances and trained networks are kept [DIR/cache]."),
    DEVICE,
    MEMORY,
)  # fmt: skip


@command(*OPTIONS)
def tune(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            help="A method (`behemoth methods`).",
            autocompletion=offering(known_methods),
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Choose settings of a method by trials on a plan of its own.

    The score is that of the leaderboard. That of the chosen settings is the highest of all trials,
    on the plan that chose them, and tends to be lower on other plans; that of the defaults is of
    one trial, which nothing selected. The settings that were varied are shown with the values
    that they were chosen from; the others keep their defaults. DIR contains best.toml for `behemoth
    edit --set` and for studies, curve.parquet with every trial, and the plan that the trials used.
    """
    keep_interrupts()
    prepare()
    with needed(), resumable(given["out"]):
        from behemoth.edit.registry import get_method
        from behemoth.tune.record import TuningDirectory

        # Refused before torch is imported, which is slow.
        tuned = get_method(method)
        TuningDirectory(path_of("out", given["out"])).check()
        check_run("on", given["on"])
        check_plan("apart", given.get("apart"))
        if "twin" in given:
            check_run("twin", given["twin"])
        from behemoth.tune import tune as choose
        from behemoth.tune.asked import searched_by

        done = choose(method, progress=Bars(), **given)
        searched = searched_by(tuned)
    write_json(asdict(done)) if json else _show(done, searched, given["on"])


def _show(done: Tuned, searched: Searched, run: str) -> None:
    from behemoth.edit.catalogue import setting_text

    screen = console()
    default = f"{done.default_score:.3f} by default"
    if done.default_steps is not None:
        default += f" at {plural_text(done.default_steps, 'step')}"
    screen.print(
        f"{done.out}: {done.method}, {done.trials} trials ({done.carried_out} in this run), "
        f"score {done.score:.3f} in trial {done.trial}, {default}, "
        f"{done.seconds:.1f} s of edits",
    )
    legs = [f"{name} {'not taken' if value is None else f'{value:.3f}'}"
            for name, value in done.legs.items()]  # fmt: skip
    if legs:
        screen.print(f"  harmonic mean of {', '.join(legs)}")
    for name, value in done.settings.items():
        shown = f"{value:.3g}" if isinstance(value, float) else setting_text(value)
        between = searched[name].text()
        if name == "steps" and done.most_steps is not None:
            between += f"; --rows allows up to {done.most_steps:,}"
        screen.print(f"  {name} = {shown} (searched: {between})")
    messages = console(stderr=True)
    if done.flat is not None:
        messages.print(f"nothing to choose by: {done.flat}")
    messages.print(
        f"next: behemoth edit {word(run)} --plan PLAN --method {done.method} "
        f"--set {word(done)} --out EDIT",
    )
