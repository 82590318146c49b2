"""Retention in a sequence of edits: which still hold, and what the bystanders have lost.

An edit that is to give a new answer holds while it is generated. One that is to forget an old
answer has that forgotten while it is not; a method of unlearning that teaches refusals has both.

At each checkpoint of the sequence the same sample of its edits is evaluated, including those not
yet made, with the bystanders of each: a matrix of edits by checkpoints that does not grow with the
length of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.delta.delta import EditDelta, parameters_of
from behemoth.edit.registry import info_if_loadable
from behemoth.evaluate.damage import BYSTANDERS, known_bystanders
from behemoth.evaluate.frame import STACK, evaluate_model
from behemoth.evaluate.geometry import changed_parameter
from behemoth.evaluate.memory_budget import fitting
from behemoth.evaluate.metrics import more_likely, success
from behemoth.evaluate.unedited import Unedited
from behemoth.plan.request import REFUSALS

from .half_life import half_life, seen_again
from .measured_model import MeasuredModel
from .suite import Found, Measure, MissingError, Suite

if TYPE_CHECKING:
    import torch

    from behemoth.edit.record import EditRecord
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["SAMPLE", "SUITE", "count_held", "half_life", "outcomes", "sampled_edits",
           "sequence_frame"]  # fmt: skip

SAMPLE = 256
"""Maximum number of edits that are evaluated."""
_HOLDS = success(pl.col("exact_match")).min().alias("holds")
_FORGOTTEN = success(~pl.col("old_match")).min().alias("forgotten")
_ANSWERING = ("hold", "efficacy", "first", "half_life")  # measures of new answers
_ABOUT = ("edit", "fact", "link", "subject", "edit_exposures", "edit_known")
_KNOWN = "edits of facts that the model knew before"


def _measures(measured: MeasuredModel) -> Sequence[Measure]:
    after = () if measured.edit is None else measured.edit.checkpoints
    kinds: tuple[tuple[str, int, str, Callable[[MeasuredModel, int], Found]], ...] = (
        # 1 of the first three: means over wordings, of which an edit may have several
        ("hold", 2, "share of the edits made so far whose new object is generated, in each wording "
         "that they were made in", _hold),
        ("efficacy", 2, "share of those edits with p(new) > p(old)", _efficacy),
        ("first", 2, "share of the edits made by the first checkpoint that still hold", _first),
        ("forgotten", 1, "of a method that forgets, share of the edits made so far of facts that "
         "the model knew whose old object is generated in no wording that they were made in",
         _forgotten),
        ("lost", 1, "share of the known bystanders that are no longer generated", _lost),
        ("kl", 1, "KL(unedited || edited) in nats on bystanders", _kl),
        ("norm", 1, "norm of the sum of all changes, relative to that of the changed parameters",
         _norm),
    )  # fmt: skip
    return (
        *(
            Measure(
                f"{name}_after_{edits}",
                f"{meaning}; after {edits:,} edits",
                lambda measured, name=name, find=find, edits=edits: _find(
                    measured, name, lambda: find(measured, edits)
                ),
                version,
            )
            for name, version, meaning, find in kinds
            for edits in after
        ),
        Measure(
            "half_life",
            "further edits until half of those that were seen to hold are lost, by checkpoints",
            lambda measured: _find(measured, "half_life", lambda: _half_life(measured)),
        ),
    )


def _find(measured: MeasuredModel, name: str, find: Callable[[], Found]) -> Found:
    """Find a measure, or raise if it is of what the edits were not made for."""
    if measured.edit is not None:
        answers, forgets = _aims(measured.edit.method, measured.plan)
        if name in _ANSWERING and not answers:
            raise MissingError(f"edits to new answers: {measured.edit.method} forgets old ones")
        if name == "forgotten" and not forgets:
            raise MissingError(f"edits that forget: {measured.edit.method} gives new answers")
    return find()


def _aims(method: str, plan: EditPlan) -> tuple[bool, bool]:
    """Return whether edits are to give new answers (or refusals), and whether to forget old ones.

    Those of a method that is not installed, or cannot be loaded, are to give new answers.
    """
    info = info_if_loadable(method)
    if info is None:
        return True, False
    forgets = info.forgets(nameless=plan.nameless)
    return not forgets or info.kinds <= set(REFUSALS), forgets


def sampled_edits(total: int) -> NDArray[np.int64]:
    """Return the places of the edits to evaluate, half of them on a logarithmic scale.

    The logarithmic half makes sure that early edits are included.

    Parameters
    ----------
    total : int
        Number of edits in the sequence.

    Returns
    -------
    int64 [at most `SAMPLE`]
        Places from 0, ascending; all if `total` is at most `SAMPLE`.
    """
    if total <= SAMPLE:
        return np.arange(total)
    early = np.geomspace(1, total, SAMPLE // 2).astype(np.int64) - 1
    return np.union1d(early, np.linspace(0, total - 1, SAMPLE - SAMPLE // 2).astype(np.int64))


def count_held(
    edit: EditRecord,
    plan: EditPlan,
    device: torch.device | str | None = None,
    memory: int | None = None,
) -> tuple[int, int]:
    """Count the edits that hold, and those that were asked.

    A sample of the edits that did not fail is asked: of the model after all edits of a batch or a
    sequence, or each of the model after itself alone. An edit holds if its new object is generated
    in each wording that it was made in. Of a method that forgets, only edits of facts that the
    model knew count, and one holds if its old object is generated in none of its wordings.

    Parameters
    ----------
    edit : EditRecord
        One of which not all edits failed.
    plan : EditPlan
    device, memory
        See `evaluate`.

    Raises
    ------
    ArgumentError
        See `EditRecord.open_run`; and if memory does not suffice for one row.
    """
    failed = {row.edit for row in edit.failed}
    made = [number for number in edit.edits if number not in failed]
    sample = [made[place] for place in sampled_edits(len(made))]
    asked = plan.take(sample).asking(("edited",))
    keys = sample if edit.single else [None]
    deltas = {key: EditDelta.load(edit.delta_place(key)) for key in keys}
    run = edit.open_run()
    model = run.load_model(device)
    stack, batch_size = fitting(model, asked.probes, deltas, STACK, None, memory)
    rows = evaluate_model(model, run.corpus, asked, deltas, stack=stack, batch_size=batch_size)
    rows, holds = rows.filter(stage="after"), _HOLDS
    if _aims(edit.method, plan)[1]:
        rows, holds = rows.filter("edit_known"), _FORGOTTEN
    held = rows.group_by("edit").agg(holds).to_series(1)
    return int(held.sum()), len(held)


def sequence_frame(measured: MeasuredModel) -> pl.DataFrame:
    """Evaluate the sample at each checkpoint.

    Checkpoints whose rows are in `measured.parts` are not evaluated again.

    Returns
    -------
    polars.DataFrame
        The rows of `evaluate_model`, with ``after``: number of edits made so far (0 for the stage
        ``before``), and ``place``: place of the edit in the sequence, from 0.

    Raises
    ------
    MissingError
        When the edit has no sequence.
    """
    edit = measured.edit
    if edit is None or not edit.checkpoints:
        raise MissingError("edits made one after another (`behemoth edit --sequential`)")
    numbers = [edit.edits[place] for place in sampled_edits(len(edit.edits))]
    sampled = measured.plan.together(measured.run.corpus).take(numbers)
    places = {number: place for place, number in enumerate(edit.edits)}
    parts, unedited = [], Unedited()  # which is asked the same at each checkpoint
    for after in edit.checkpoints:
        rows = None if measured.parts is None else measured.parts.find(after)
        if rows is None:
            delta = EditDelta.load(edit.checkpoint_place(after))
            rows = evaluate_model(
                measured.model, measured.run.corpus, sampled, {None: delta},
                run=measured.run.name, seed=measured.run.seed, batch_size=measured.batch_size,
                unedited=unedited,
            )  # fmt: skip
            if measured.parts is not None:
                measured.parts.keep(after, rows)
        new_rows = rows if not parts else rows.filter(stage="after")
        parts.append(
            new_rows.with_columns(
                pl.when(stage="after").then(after).otherwise(0).cast(pl.UInt32).alias("after"),
                pl.col("edit").replace_strict(places, default=None, return_dtype=pl.UInt32)
                .alias("place"),
            )
        )  # fmt: skip
    return pl.concat(parts)


def _made(measured: MeasuredModel, edits: int) -> pl.DataFrame:
    """Return the `outcomes` of the edits made so far."""
    return outcomes(measured.sequence.filter(pl.col("place") < edits, after=edits))


def outcomes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what is left of each edit at each checkpoint among some rows of `sequence_frame`.

    Returns
    -------
    polars.DataFrame
        after, place, edit, fact, link, subject, edit_exposures and edit_known, as far as the rows
        have them; holds (whether the new object is generated in each wording that the edit was made
        in), efficacy (a mean over them), forgotten (whether the old one is generated in none).
    """
    own = rows.filter(group="edited")
    about = [name for name in _ABOUT if name in own.columns]
    return own.group_by("after", "place", maintain_order=True).agg(
        pl.col(about).first(),
        _HOLDS,
        success(more_likely("true", "old")).mean().alias("efficacy"),
        _FORGOTTEN,
    )


def _hold(measured: MeasuredModel, edits: int) -> Found:
    return measured.mean(_made(measured, edits), pl.col("holds"), "edits in the sample")


def _efficacy(measured: MeasuredModel, edits: int) -> Found:
    return measured.mean(_made(measured, edits), pl.col("efficacy"), "edits with a new object")


def _first(measured: MeasuredModel, edits: int) -> Found:
    assert measured.edit is not None
    first = pl.col("place") < measured.edit.checkpoints[0]
    return measured.mean(_made(measured, edits).filter(first), pl.col("holds"), "edits")


def _forgotten(measured: MeasuredModel, edits: int) -> Found:
    return measured.mean(_made(measured, edits).filter("edit_known"), pl.col("forgotten"), _KNOWN)


def _lost(measured: MeasuredModel, edits: int) -> Found:
    rows = known_bystanders(measured.sequence.filter(after=edits), BYSTANDERS, made=False)
    what = "bystanders that the model knew before"
    return measured.mean(rows, ~pl.col("exact_match"), what, made=True)


def _kl(measured: MeasuredModel, edits: int) -> Found:
    rows = measured.sequence.filter(pl.col("group").is_in(BYSTANDERS), after=edits)
    return measured.mean(rows, pl.col("kl"), "bystanders in the plan", made=True)


def _norm(measured: MeasuredModel, edits: int) -> Found:
    assert measured.edit is not None
    delta = EditDelta.load(measured.edit.checkpoint_place(edits))
    changes = {name: change.to_dense() for name, change in delta.of_parameters.items()}
    changes |= {
        name: dense
        for name, change in delta.of_modules.items()
        if (dense := change.dense()) is not None
    }
    if not changes:
        raise MissingError("an edit that changed weights")
    parameters = parameters_of(measured.model)
    change_square = sum(float(dense.double().square().sum()) for dense in changes.values())
    parameter_square = sum(
        float(changed_parameter(parameters, name).detach().double().square().sum())
        for name in changes
    )
    return Found((change_square / parameter_square) ** 0.5)


def _half_life(measured: MeasuredModel) -> Found:
    rows = measured.sequence.filter(group="edited", stage="after").filter(
        pl.col("place") < pl.col("after")
    )
    held = rows.group_by("place", "after", maintain_order=True).agg(
        (_HOLDS == 1).alias("exact_match")
    )
    again = seen_again(held)
    if again.is_empty():
        raise MissingError("edits that held at one checkpoint and are seen again at a later one")
    edits = half_life(held)
    if edits is None:
        raise MissingError("edits of which half are lost by the last checkpoint")
    return Found(edits, count=again["place"].n_unique(), over="edits")


SUITE = Suite(
    "sequence",
    "edits one after another: what holds, what is lost, how the change grows",
    _measures,
    frame=lambda measured: measured.run.corpus.world.named(measured.sequence),
)
