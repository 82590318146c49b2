"""Take a suite of a run or an edit."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Literal

from behemoth.plan.edit_plan import EditPlan
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import ProgressLike

from . import editing, recall, sequence, unlearning
from .bench import Bench
from .suite import Suite, SuiteResult, check_out, take

if TYPE_CHECKING:
    import torch

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
    corpus: str | PathLike[str] | None = None,
    facts: int | Literal["all"] | None = None,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    device: torch.device | str | None = None,
    progress: ProgressLike = None,
) -> SuiteResult:
    """Take all measures of a suite of a run, or of what an edit made of it.

    Parameters
    ----------
    source : path
        A training run, a model or an edit directory.
    suite : {'editing', 'unlearning', 'sequence', 'recall'}
    plan : EditPlan or path, optional
        The plan; of an edit, the one it was made with. Suite ``recall`` needs none: it asks about
        the facts of the corpus.
    twin : path, optional
        The gold of unlearning, trained the same way without the facts of the plan: a run, or an
        edit by ``retrain``.
    corpus : path, optional
        Of a model that is no run: the corpus directory or spec that the plan was made of.
    facts : int or 'all', optional
        Of suite ``recall``, how many facts are asked: an exact sample, the same each time. By
        default all where there are up to 10,000, and else so many.
    out : path, optional
        Directory for ``suite.json`` and the rows, ``frame.parquet``.
    force : bool
        Replace a suite that is there.
    device : optional
        Where models go; a GPU where there is one by default.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Returns
    -------
    SuiteResult
        A measure that could not be taken says what is missing. Intervals are of a bootstrap over
        the subjects of this one model, and say nothing about others.

    Raises
    ------
    ArgumentError

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
        whole_number("facts", facts, 1)
    if out is not None:
        check_out(out, force)
    bench = Bench.open(source, plan, twin, corpus=corpus, facts=facts, device=device)
    result = take(SUITES[suite], bench, progress)
    if out is not None:
        result.write(out)
    return result
