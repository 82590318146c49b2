"""What independent edits of a plan do to each other when all are made in one model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .bystanders import Bystanders
from .choice import Edits
from .sampling import Facts
from .structure import Structure

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

    from .edit_plan import EditPlan

__all__ = ["affected", "concerned", "probes_together"]


def affected(plan: EditPlan, corpus: Corpus) -> NDArray[np.uint64]:
    """Return the facts that each edit changes, or puts in doubt: uint64 [edits, m].

    Rows of fewer facts are filled up with 2**64 - 1, which is no fact.
    """
    return _batch(plan, corpus).affected()


def concerned(plan: EditPlan, corpus: Corpus) -> pl.Series:
    """Return the retained facts of a plan that an edit changes or puts in doubt."""
    retained = plan.training.filter(pl.col("role") != "edit")["fact"].unique()
    untouched = _batch(plan, corpus).untouched(Facts.of(corpus, retained.to_numpy()))
    return retained.filter(pl.Series(~untouched))


def probes_together(plan: EditPlan, corpus: Corpus) -> pl.DataFrame:
    """Return the probes of edited facts, and of what no other edit changes or puts in doubt."""
    edits = np.searchsorted(plan.edits["edit"].to_numpy(), plan.probes["edit"].to_numpy())
    facts = Facts.of(corpus, plan.probes["fact"].to_numpy())
    own = facts.fact == plan.edits["fact"].to_numpy()[edits]
    keep = own | ~_batch(plan, corpus).concerned_by_others(edits, facts)
    return plan.probes.filter(pl.Series(keep))


def _batch(plan: EditPlan, corpus: Corpus) -> Bystanders:
    """Return what the edits of a plan concern if all are made as one batch."""
    facts = Facts.of(corpus, plan.edits["fact"].to_numpy())
    new = plan.edits["new_object"].cast(pl.Int64).fill_null(-1).to_numpy()
    request = replace(plan.request, independent=False)
    edits = Edits(facts, new, said=facts[:0])
    return Bystanders(corpus, Structure(corpus.world), request, edits)
