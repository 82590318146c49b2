"""The suites by name, and the function that evaluates a run or an edit with one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Literal

from behemoth._gen import version
from behemoth.evaluate.output import sole_output
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import ProgressLike
from behemoth.train.memory_budget import require_weights

from . import editing, recall, sequence, unlearning
from .measured_model import MeasuredModel
from .memory_budget import limit_rows
from .parts import Parts
from .suite import FRAME, PARTS, RECORD, Suite, SuiteResult, check_names, take

if TYPE_CHECKING:
    import torch

    from behemoth.corpus.corpus import Corpus

__all__ = ["SUITES", "evaluate_suite"]

SUITES: Mapping[str, Suite] = {
    suite.name: suite for suite in (editing.SUITE, unlearning.SUITE, sequence.SUITE, recall.SUITE)
}
"""All suites by name."""


def evaluate_suite(
    source: str | PathLike[str],
    suite: str,
    plan: EditPlan | str | PathLike[str] | None = None,
    *,
    twin: str | PathLike[str] | None = None,
    corpus: str | PathLike[str] | Corpus | None = None,
    facts: int | Literal["all"] | None = None,
    measures: Sequence[str] | None = None,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    device: torch.device | str | None = None,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> SuiteResult:
    """Take all measures of a suite, for a run or for an edited model.

    Parameters
    ----------
    source : path
        A training run, a model or an edit directory.
    suite : {'editing', 'unlearning', 'sequence', 'recall'}
    plan : EditPlan or path, optional
        The plan; for an edit, the one it was made with. Suite ``recall`` needs none: it queries
        facts of the corpus.
    twin : path, optional
        The reference of unlearning, trained the same way without the facts of the plan, or with
        other objects for them: a run, or an edit of this plan by
        ``retrain`` or another oracle.
    corpus : path or Corpus, optional
        For a model that is not a training run: the corpus that the plan was made from, or its
        directory or spec.
    facts : int or 'all', optional
        Number of facts that suite ``recall`` queries: an exact sample, the same each time. By
        default all if there are up to 10,000, otherwise 10,000.
    measures : sequence of str, optional
        Names of the measures to take; by default all. The rows are the same, and models that no
        measure needs are not made.
    out : path, optional
        Directory for ``suite.json`` and the rows, ``frame.parquet``. The rows of suite ``sequence``
        are kept there checkpoint by checkpoint: a stopped call goes on.
    force : bool
        Replace an existing result in `out`.
    device : optional
        Device of the models; by default a GPU if there is one.
    memory : int, optional
        Memory that may be used on a CPU, in bytes, in addition to what the process already uses:
        rows per pass are limited to what fits, and measures that cannot fit are refused before the
        first starts. By default the free memory of the machine or container.
    progress : callable or Progress, optional
        Receives progress; an exception that it raises stops the work.

    Returns
    -------
    SuiteResult
        A measure that could not be taken states what is missing. Intervals come from a bootstrap
        over the subjects (or documents) of this one model, and say nothing about other models.

    Raises
    ------
    ArgumentError
        When an argument is not allowed, all edits of the source failed, or it has nothing that the
        suite measures.
    CorpusError
        When another process is writing to `out`.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, repeats=2, probes=1)
    >>> edited = bh.edit("run", plan, "grad_diff", "edit", settings={"steps": 2})
    >>> found = bh.evaluate_suite(edited, "unlearning", plan)
    >>> found.table().filter(measure="privacy_loss")["missing"].item()
    'as many facts with 0 exposures as are forgotten (exposures groups:0,...)'
    """
    if suite not in SUITES:
        raise ArgumentError.unknown("suite", suite, SUITES)
    if plan is None and SUITES[suite].needs_plan:
        raise ArgumentError("plan", plan, "a plan, or the path of one (`behemoth plan`)")
    if facts is not None and suite != recall.SUITE.name:
        raise ArgumentError("facts", facts, "only with suite recall")
    if facts is not None and facts != "all":
        facts = whole_number("facts", facts, 1)
    if measures is not None:
        check_names(measures)
    force = flag("force", force)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    parts = (PARTS,) if suite == sequence.SUITE.name else ()
    with (
        nullcontext()
        if out is None
        else sole_output(out, "a suite", RECORD, FRAME, *parts, force=force)
    ) as place:
        measured = MeasuredModel.open(source, plan, twin, corpus=corpus, facts=facts, device=device)
        require_weights(measured.run.directory, device, memory, "source")
        total = measured.run.corpus.world.num_facts
        limit_rows(measured, suite, total if facts == "all" else facts, memory, measures)
        if place is not None and suite == sequence.SUITE.name:
            of = {"edit": measured.edit_hash, "plan": measured.plan_hash, "behemoth": version()}
            measured.parts = Parts(place, of)
        result = take(SUITES[suite], measured, progress, measures)
        if place is not None:
            result.save(place)
            if measured.parts is not None:
                measured.parts.remove()
    return result
