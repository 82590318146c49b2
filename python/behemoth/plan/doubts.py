"""What may be wrong with the facts that a plan edits, in words for whoever asked for it."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import ArrayLike

from behemoth.corpus.corpus import Corpus

from .choice import passed_over
from .edit_plan import EditPlan


def doubts(corpus: Corpus, plan: EditPlan, known: ArrayLike | None) -> Iterator[str]:
    """Yield a message for each doubt about the edits of a plan that was just compiled.

    Parameters
    ----------
    corpus : Corpus
        Its corpus.
    plan : EditPlan
    known : array_like of int or None
        Facts that the model knows, if the edits were chosen among these.
    """
    unwritten = plan.edits.filter(exposures=0).height
    if unwritten:
        yield (
            f"the corpus never writes {unwritten:,} of the {len(plan):,} facts to edit "
            "(0 exposures): no model of it knows them"
        )
    request = plan.request
    if request.counted == "edits" or request.independent:
        return
    skipped = passed_over(corpus, request, known, plan.edits["exposures"].to_numpy())
    if skipped:
        most = request.counted == "most_frequent"
        said = "1 fact with" if skipped == 1 else f"{skipped:,} facts with"
        other = "subjects and objects" if request.distinct and not request.refuses else "subjects"
        yield (
            f"{said} {'more' if most else 'fewer'} exposures {'is' if skipped == 1 else 'are'} "
            f"passed over: edits of one model have distinct {other}, independent edits need not"
        )
