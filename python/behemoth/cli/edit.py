"""`behemoth edit`: apply a method to a run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.memory import bytes_of
from behemoth.support.process import prepare

from . import parse
from .console import console, keep_interrupts, resumable, saying, warn, word, write_json
from .methods import known_methods
from .options import Option, command, flag, force
from .places import check_corpus, check_plan, check_run

if TYPE_CHECKING:
    from behemoth.edit import Edited
    from behemoth.plan import EditPlan


def _settings(given: Mapping[str, Any]) -> list[str]:
    """Return the settings of the method that is given, and the tuned ones, for shell completion."""
    from behemoth.edit.errors import MethodError
    from behemoth.edit.registry import setting_names
    from behemoth.edit.tuned import OWN, PREFIX, WORLDS

    own: list[str] = []
    with suppress(ArgumentError, MethodError):  # no method yet, or none that there is
        own = [f"{name}=" for name in setting_names(given["method"])]
    return [*own, *(f"{PREFIX}{world}" for world in (*WORLDS, OWN))]


DEVICES = ("cpu", "cuda")
"""Devices that shell completion offers: which of them there are, only torch can tell."""
CORPUS = Option(
    "corpus",
    "CORPUS",
    "For a model that is not a training run: the corpus or spec the plan was made from.",
    also="--world",
)
DEVICE = Option(
    "device", "cpu|cuda", "Device of the model [a GPU if any].", offered=lambda: DEVICES
)
MEMORY = Option("memory", "SIZE", "Limit on memory on a CPU, such as 8GB [what is free].", bytes_of)
OPTIONS = (
    Option("plan", "PLAN", "A plan of edits (`behemoth plan`).",
           required="a plan directory (`behemoth plan`)"),
    Option("method", "NAME", "A method (`behemoth methods`).",
           required="a method (`behemoth methods` lists them)", offered=known_methods),
    Option("settings", "key=value|FILE|tuned:WORLD",
           "A setting of the method (`behemoth methods NAME` lists them), repeatable; or a file "
           "written by `tune`; or tuned:tokens or tuned:text, those that were tuned on such a "
           "world; or tuned:world, those of these two for the run's corpus.", parse.settings,
           names="--set", many=True, offered_beside=_settings),
    Option("out", "EDIT", "Directory to write; one that is unfinished is resumed.",
           required="a directory to write"),
    flag("single", "Apply each edit by itself to the unedited model, instead of all in one batch. "
         "The plan is made with --independent, so that each edit has a complete training mixture."),
    flag("sequential", "Apply one edit after another, each to the result of the earlier ones."),
    Option("checkpoint_at", "N,N|all", "For --sequential: keep the sum after these numbers of "
           "edits, or after every one [1,10,100...].", parse.levels_or_all),
    Option("seed", "N", "Seed of the method's draws.", parse.count, 0),
    Option("stack", "N", "Maximum number of single edits at a time, if the method stacks them.",
           parse.at_least(1), 64),
    flag("adapter", "Also write low-rank changes as PEFT adapters."),
    Option("cache", "DIR", "Where covariances and trained networks are kept between calls "
           "[a temporary folder in TMPDIR]."),
    CORPUS,
    DEVICE,
    MEMORY,
    force("the edit that is there", "EDIT"),
)  # fmt: skip


@command(*OPTIONS)
def edit(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished training run, or a model.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Apply an editing or unlearning method to a run.

    The run is not changed: an edit directory stores what the method changed. A model saved by
    transformers may take the place of a run if its family is known (`behemoth models`); pass the
    corpus whose facts it knows with --corpus.
    """
    keep_interrupts()
    prepare()
    with needed(), resumable(given["out"]):
        check_run("run", run, model=True)
        check_plan("plan", given["plan"])
        check_corpus("corpus", given.get("corpus"))
        from behemoth.edit.registry import get_method
        from behemoth.edit.settings import read_settings, read_tuning, read_words
        from behemoth.edit.tuned import OWN, check_tuned, world_in

        settings, method = given.get("settings"), given["method"]
        tuned = False
        # Refuses bad settings before slow imports.
        if world_in(settings, own=True) == OWN:  # which ones, only the corpus of the run can tell
            chosen = get_method(method)
            check_tuned(method)
        else:
            if isinstance(settings, str):
                own = read_settings(settings, method)
                # Those of the package were tuned on other models.
                tuned = world_in(settings) is None and read_tuning(settings, method) is not None
            else:
                own = None if settings is None else read_words(settings, method)
                given["settings"] = own
            chosen = get_method(method, own, text=isinstance(settings, str))
        family = chosen.info.family
        from behemoth.edit import edit as apply  # imports torch, so after all other checks
        from behemoth.edit.record import count_failed
        from behemoth.evaluate.dose import shortfall
        from behemoth.plan import EditPlan, PlanWarning

        with saying(PlanWarning):
            done = apply(run, progress=Bars(), **given)
        plan = EditPlan.load(given["plan"])
        forgets = chosen.info.forgets(nameless=plan.nameless)
        all_failed = count_failed(done.failed, done.edits) == done.edits
        lost = None
        if (done.sequential or not chosen.info.doses) and not all_failed:
            lost = _lost(done, plan, forgets, given.get("device"), given.get("memory"))
    if done.single and len(plan) > 1 and not plan.request.independent:
        warn(
            f"each of the {len(plan):,} edits was made by itself, with its part of a training "
            "mixture that is meant for all of them together; see plan --independent"
        )
    if json:
        write_json(asdict(done))
    else:
        _show(done)
    if short := shortfall(done.record, plan):
        # Trials of settings are of training runs, and not of models of another origin.
        verb = "tune" if done.record.corpus is None else "methods"
        warn(short if tuned else f"{short}; see `behemoth {verb} {done.method}`")
    if lost:
        warn(lost)
    if not (json or all_failed):
        _say_next(done, given["plan"], family)
    if all_failed:
        raise typer.Exit(1)


def _show(done: Edited) -> None:
    from behemoth.edit.record import told_edits

    told = told_edits(done.edits, done.single, done.method, done.sequential)
    console().print(f"{done.out}: {told}{_speed(done)}")
    if done.place is not None:
        console().print(f"edited at {done.place}")
    messages = console(stderr=True)
    for row in done.failed:
        which = "the batch" if row.edit is None else f"edit {row.edit}"
        messages.print(f"{which} failed: {row.failure}")


def _speed(done: Edited) -> str:
    rate = done.edits_per_second
    if not rate:
        return ""
    return f", {rate:,.1f} edits/s" if rate >= 1 else f", {1 / rate:,.1f} s per edit"


def _say_next(done: Edited, plan: str, family: str) -> None:
    if done.sequential:
        others = "--suite sequence --out DIR"
    elif family == "unlearning" and not done.single:
        others = "--suite unlearning --twin TWIN --out DIR"
    else:
        others = "--out FRAME.parquet"
    command = f"behemoth evaluate {word(done.out)} --plan {word(plan)} {others}"
    console(stderr=True).print(f"next: {command}")


def _lost(
    done: Edited, plan: EditPlan, forgets: bool, device: str | None, memory: int | None
) -> str | None:
    """Say that most edits do not hold, by the answers of the edited model; None if they do.

    Traces do not tell of a sequence, since they are of the model as it was when each edit was made,
    nor of methods whose steps are not doses.
    """
    from behemoth.evaluate.suites.sequence import count_held

    try:
        held, asked = count_held(done.record, plan, device, memory)
    except ArgumentError:  # the edit is there; the memory does not suffice to ask it
        return None
    if 2 * held >= asked:
        return None
    when = "after each edit by itself" if done.single else "after the batch"
    when = "after the last edit" if done.sequential else when
    if forgets:
        told = f"still gives the old answers of {asked - held:,} of {asked:,} known facts"
        return f"{when} the model {told}"
    told = "edits" if asked == done.edits - len(done.failed) else "sampled edits"
    return f"{when} the model gives the new answers of {held:,} of {asked:,} {told}"
