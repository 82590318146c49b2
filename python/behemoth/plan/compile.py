"""The edit compiler: from a corpus and a request to a plan of edits.

The world is a function, so nothing is listed that need not be: candidates are met in a
keyed random order and tested in batches, until there are enough of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from behemoth.corpus.corpus import Corpus

from .bystanders import Bystanders
from .choice import Edits, choose_edits, read_edits
from .groups import GROUPS, Asked, Setting, bystanding, regular, structured
from .plan import EDITS, PROBES, TRAINING, EditPlan
from .prompts import PERIOD, REFUSED, Prompts
from .request import EditRequest
from .sampling import Facts, Ids, Index, distinct
from .structure import Structure

_PROBED = 1000  # edits with probes, where a share of a relation is edited


def compile_plan(
    corpus: Corpus,
    request: EditRequest,
    *,
    table: pl.DataFrame | None = None,
    known: ArrayLike | None = None,
) -> EditPlan:
    """Compile a request to a plan: edits, training mixture and probes.

    Parameters
    ----------
    corpus : Corpus
        What the model was, or will be, trained on.
    request : EditRequest
    table : polars.DataFrame, optional
        The facts to edit, in place of a number: column fact, or subject and relation, and
        for remaps perhaps object, the new one (null: one is chosen).
    known : array_like of int, optional
        Facts that the model knows; no others are edited.

    Returns
    -------
    EditPlan

    Raises
    ------
    ArgumentError
        When there are not enough candidate facts (it says how many there are), or the
        request does not go with the corpus.

    Examples
    --------
    >>> from behemoth import World
    >>> corpus = Corpus(World(subjects=1_000, relations=4, objects=20))
    >>> plan = compile_plan(corpus, EditRequest(edits=5, relation=2))
    >>> plan.edits["relation"].to_list()
    [2, 2, 2, 2, 2]
    """
    if table is None and request.edits is None and request.kind != "remap":
        request = replace(request, fraction=request.fraction or 1.0)
    structure = Structure(corpus.world)
    prompts = Prompts(corpus, structure, request)
    edits = (
        choose_edits(corpus, structure, request, known)
        if table is None
        else read_edits(corpus, structure, request, table)
    )
    bystanders = Bystanders(corpus, structure, request, edits)
    most = _PROBED if request.fraction is not None else len(edits)
    probed = np.arange(min(len(edits), most if request.probed is None else request.probed))
    setting = Setting(corpus, structure, request, edits, bystanders, probed)
    asked = structured(setting)
    bystanders.take(_kept_apart(setting, asked))
    if request.probes:
        asked += bystanding(setting)
    return EditPlan(
        request,
        corpus.spec_hash,
        _edit_frame(request, edits, corpus.world.relations),
        _training(setting, prompts),
        _probes(setting, prompts, asked),
    )


def _kept_apart(setting: Setting, asked: list[Asked]) -> Ids:
    """Give the facts that are asked about for their ties to an edit: none of them is trained.

    The ties of independent edits are those of one model; links alone are of no subject.
    """
    facts = distinct(np.concatenate([part.fact for part in asked] or [np.empty(0, np.uint64)]))
    if setting.request.independent:
        return facts[facts >= np.uint64(setting.corpus.world.subject_facts)]
    return facts


def _edit_frame(request: EditRequest, edits: Edits, relations: int) -> pl.DataFrame:
    facts = edits.facts
    return pl.DataFrame(
        {
            "edit": np.arange(len(edits), dtype=np.uint32),
            "kind": pl.repeat(request.kind, len(edits), eager=True),
            "fact": facts.fact,
            "link": facts.relation >= relations,
            "subject": facts.subject,
            "relation": facts.relation,
            "old_object": facts.object,
            "new_object": _null_below(edits.new_object, 0),
            "exposures": facts.exposures,
        },
        schema=EDITS,
    )


def _training(setting: Setting, prompts: Prompts) -> pl.DataFrame:
    """Write the training mixture: the edited facts, and what is to stay as it is."""
    request, edits = setting.request, setting.edits
    everyone = np.arange(len(edits))
    right = np.where(edits.new_object < 0, REFUSED, edits.new_object)
    count = len(prompts.trained)
    frames = []
    for number, wording in enumerate(prompts.trained):
        weight = request.edit_rows // count + (number < request.edit_rows % count)
        if weight:
            frame = prompts.ask(wording, edits.facts.fact, right)
            if request.refuses:
                # No corpus ends a refusal for the model: it must learn to stop as well.
                frame = frame.with_columns(
                    pl.col("answer").list.concat(pl.lit([PERIOD], pl.List(pl.UInt32)))
                )
            frames.append(_rows(frame, "edit", everyone, everyone, weight))
    for role, owner, facts in _mixture(setting):
        stay = facts.object.astype(np.int64)
        turn = np.arange(len(facts)) % count
        for number, wording in enumerate(prompts.trained):
            mine = np.flatnonzero(turn == number)
            frame = prompts.ask(wording, facts.fact[mine], stay[mine])
            frames.append(_rows(frame, role, np.full(len(mine), -1), owner[mine], 1))
    return (
        pl.concat(frames)
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.UInt32))
        .select(pl.col(name).cast(dtype) for name, dtype in TRAINING.items())
    )


def _mixture(setting: Setting) -> list[tuple[str, Index, Facts]]:
    """Draw the facts of the mixture that are not edited, each with the edit it stands by."""
    request, edits = setting.request, setting.edits
    by = setting.bystanders
    everyone = np.arange(len(edits))
    if request.by_rule:
        found = regular(setting, request.regular_rows * len(edits), "regular", probes=False)
        return [("regular", np.arange(len(found)) % len(edits), found)]
    out = []
    for role in ("same_object", "same_relation", "regular"):
        if role == "same_object":
            dealt = by.same_object(everyone, request.same_object, probes=False)
        elif role == "same_relation":
            dealt = by.same_relation(everyone, request.same_relation, probes=False)
        else:
            dealt = by.other_relations(everyone, request.regular_rows, role, probes=False)
        if not request.independent:
            by.take(dealt.facts.fact)
        out.append((role, dealt.edit, dealt.facts))
    return out


def _rows(frame: pl.DataFrame, role: str, edit: Index, share: Index, weight: int) -> pl.DataFrame:
    return frame.with_columns(
        _null_below(edit, 0).alias("edit"),
        pl.Series("share", share, pl.UInt32),
        pl.lit(role).alias("role"),
        pl.lit(weight, pl.UInt32).alias("weight"),
    ).drop("seen", "held_out", "subject", "relation", "object", "exposures")


def _probes(setting: Setting, prompts: Prompts, asked: list[Asked]) -> pl.DataFrame:
    """Write the probes of all groups, sorted by edit, group and wording."""
    frames = [pl.DataFrame(schema=PROBES)]
    links = np.uint64(setting.corpus.world.subject_facts)
    for part in asked:
        wordings = prompts.wordings if part.group == "edited" else prompts.trained[:1]
        for wording in wordings:
            group = prompts.edited_group(wording) if part.group == "edited" else part.group
            frame = prompts.ask(wording, part.fact, part.right, part.new).with_columns(
                _null_below(part.edit, 0).alias("edit"),
                pl.lit(group).alias("group"),
                pl.Series("link", part.fact >= links),
                pl.Series("must_change", part.must_change),
                pl.lit(0, pl.UInt32).alias("probe"),
            )
            frames.append(frame.select(pl.col(n).cast(dtype) for n, dtype in PROBES.items()))
    place = pl.col("group").replace_strict(
        {group: number for number, group in enumerate(GROUPS)}, return_dtype=pl.UInt8
    )
    return (
        pl.concat(frames)
        .with_columns(place.alias("place"))
        .sort("edit", "place", nulls_last=True, maintain_order=True)
        .drop("place", "probe")
        .with_row_index("probe")
        .select(pl.col(name).cast(dtype) for name, dtype in PROBES.items())
    )


def _null_below(values: Index, least: int) -> pl.Series:
    """Give UInt32 values, null where they are below `least`."""
    series = pl.Series(np.maximum(values, 0).astype(np.uint32))
    return pl.select(pl.when(pl.Series(values >= least)).then(pl.lit(series))).to_series()
