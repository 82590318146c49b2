"""The edit compiler: from a corpus and a request to a plan of edits.

The world is a function, so facts are not listed unless necessary: candidates are drawn in a keyed
random order and tested in batches, until there are enough of them.
"""

from __future__ import annotations

import inspect
from dataclasses import fields as fields_of, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from behemoth.corpus.arrays import fact_numbers, is_frame
from behemoth.corpus.corpus import Corpus
from behemoth.corpus.number_words import NumberWords
from behemoth.corpus.source import read_source
from behemoth.store.source import at_hand
from behemoth.support.checks import flag, path_of
from behemoth.support.errors import ArgumentError, check_keys, renamed
from behemoth.support.notices import warn_caller
from behemoth.support.progress import Advance, ProgressLike, silent, task

from .bystanders import Bystanders
from .check import check_repeats
from .choice import Edits, choose_edits, known_facts
from .doubts import doubts
from .edit_plan import EDITS, PROBES, TRAINING, EditPlan, PlanWarning
from .group_rows import Asked, GroupContext, joined
from .groups import GROUPS, bystanding, structured
from .prompts import REFUSED, Prompts
from .request import EditRequest, request_of
from .sampled_groups import regular
from .sampling import Facts, Ids, Index, distinct
from .structure import Structure
from .table_edits import check_csv, read_edits, read_facts

_STEPS = 4  # steps of a compilation that are reported as progress
_PROBED = 1000  # edits with probes, if a share of a relation is edited
_OF_FACTS = "recall"  # the suite whose rows are facts of the corpus and the model's own answers


@runtime_checkable
class Measured(Protocol):
    """The result of a suite: `behemoth.evaluate.SuiteResult`, of which plans know no more."""

    @property
    def suite(self) -> str:
        """Name of the suite."""
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """Its rows."""
        ...


def plan(
    source: Corpus | str | PathLike[str],
    request: EditRequest | None = None,
    *,
    out: str | PathLike[str] | None = None,
    table: pl.DataFrame | str | PathLike[str] | None = None,
    known: pl.DataFrame | Measured | ArrayLike | str | PathLike[str] | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **fields: Any,
) -> EditPlan:
    """Compile a plan of edits: the edits, their training mixture and their probes.

    The same values on the same corpus give the same plan.

    Parameters
    ----------
    source : Corpus, Run or path
        A corpus; a run, or the directory of one, a corpus directory, a spec TOML or a spec
        directory.
    request : EditRequest, optional
        What to edit, in place of its fields by name.
    out : path, optional
        Directory to write the plan to.
    table : polars.DataFrame or path, optional
        The facts to edit, in place of `edits`: columns fact, or subject and relation, and for
        remaps optionally object (or new_object, as in the edits of a plan), the new one; by number,
        or by name if the world has names, else by the words of the corpus (S31, R2, O2:7; with a
        grammar, subjects by number only). Other columns are ignored; for remaps without one for the
        new object, a column that seems to be it (target_new, objcet) is refused. A path must name a
        Parquet or CSV file; in a CSV, a column of numbers that are names as well is refused.
    known : frame, SuiteResult, array_like of int or path, optional
        Facts that a model knows; only these are edited. Either their numbers, or a table with a
        column fact and optionally exact_match, as returned by `recall` (a match in any wording
        suffices), or the result of the suite ``recall``.
    force : bool
        Replace the plan in `out`, whether it is the same, a different or a damaged one.
    progress : callable or Progress, optional
        Receives progress; an exception that it raises stops the work.
    **fields
        Fields of `EditRequest`: edits, kind, relation, exposures, independent, facts, seed, ... A
        relation that has a name, in a table or in a grammar, may be given by its name, and any
        other by its word in the corpus (R2).

    Returns
    -------
    EditPlan

    Raises
    ------
    ArgumentError
        When a value is not allowed, there are not enough candidate facts (the error states how many
        there are), the request does not fit the corpus, or `out` is a directory of another kind.
    CorpusError
        When `out` contains another plan, without `force`.

    Examples
    --------
    >>> import behemoth as bh
    >>> corpus = bh.Corpus(bh.World(subjects=1_000, relations=4, objects=20))
    >>> plan = bh.plan(corpus, edits=5, relation=2, repeats=10)
    >>> plan
    EditPlan(remap, edits=5, rows=599, probes=275)
    >>> plan.edits["relation"].to_list()
    [2, 2, 2, 2, 2]
    """
    place = None if out is None else path_of("out", out)
    force = flag("force", force)
    check_keys(fields, _NAMES)
    relation = None if request is not None else fields.get("relation")
    by_name = isinstance(relation, str)
    # What can be refused without the corpus is refused before it is read.
    edit_request = request_of(request, {**fields, "relation": 0} if by_name else fields)
    corpus = source if isinstance(source, Corpus) else _open(source)
    if by_name:
        edit_request = replace(edit_request, relation=_relation(corpus, relation))
    facts = read_facts("table", table) if isinstance(table, str | PathLike) else table
    if not isinstance(facts, pl.DataFrame | None):
        raise ArgumentError("table", facts, "a polars.DataFrame, or the path of one")
    if facts is not None and isinstance(table, str | PathLike) and Path(table).suffix == ".csv":
        check_csv(corpus, edit_request, facts)
    with task(progress, "planning", "steps") as step:
        ids = _known(known, corpus)
        edit_plan = compile_plan(corpus, edit_request, table=facts, known=ids, step=step)
    if place is not None:
        with renamed(directory="out"):
            edit_plan.save(place, force=force)
    for message in doubts(corpus, edit_plan, ids):
        warn_caller(message, PlanWarning)
    return edit_plan


def _relation(corpus: Corpus, name: str) -> int:
    """Return the number of a relation, by its name in a table, its key in a grammar or its word."""
    rows = corpus.world.relation_table
    if corpus.grammar is None:
        names = [row.get("name") for row in rows]
    else:
        names = [row["key"] for row in corpus.grammar.facts["relations"]]
    known = [each for each in names if each is not None]
    if not known:
        number = NumberWords(corpus).relation(name) if corpus.world.names is None else None
        if number is None:
            words = "" if corpus.world.names is not None else f", or R0 to R{len(rows) - 1}"
            allowed = f"a number below {len(rows)}{words}: these have no names"
            raise ArgumentError("relation", name, allowed)
        return number
    if name not in known:
        raise ArgumentError.unknown("relation", name, known)
    return names.index(name)


def _open(source: str | PathLike[str]) -> Corpus:
    allowed = "a Corpus, a Run, or the path of a run, a corpus directory or a spec"
    with renamed(spec="source"):
        return read_source(at_hand("source", source, allowed), allowed).make_corpus()


# Every field of the request by its name, for `help` and for code editors.
_ASKED = [
    inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
    )
    for field in fields_of(EditRequest)
]
_OWN = inspect.signature(plan)
_NAMES = (*(row.name for row in _ASKED), *list(_OWN.parameters)[1:-1])
vars(plan)["__signature__"] = _OWN.replace(
    parameters=[*list(_OWN.parameters.values())[:-1], *_ASKED]
)


def _known(
    source: pl.DataFrame | ArrayLike | str | PathLike[str] | Measured | None, corpus: Corpus
) -> Ids | None:
    """Return the facts that a model knows: all of a table, or those with an exact match."""
    shown = fspath(source) if isinstance(source, str | PathLike) else "a table without it"
    frame: Any = read_facts("known", source) if isinstance(source, str | PathLike) else source
    if isinstance(frame, Measured):
        if frame.suite != _OF_FACTS:  # the others ask for what is right after an edit
            allowed = f"that of the suite {_OF_FACTS}, a table with a column fact, or facts"
            raise ArgumentError("known", f"the result of the suite {frame.suite}", allowed)
        frame = frame.frame
    if not is_frame(frame):
        return None if frame is None else known_facts(corpus, frame)
    if "fact" not in frame.columns:
        raise ArgumentError("known", shown, "a table with a column fact")
    if not len(frame):
        raise ArgumentError("known", "no rows", "at least one fact")
    # All of them, so that a refused row is one of the table.
    facts = fact_numbers(frame, corpus.world.num_facts, "known")
    if "exact_match" in frame.columns:
        matches = frame["exact_match"]
        if not isinstance(matches, pl.Series):  # of pandas
            matches = pl.Series(matches.to_numpy(object, na_value=None).tolist(), strict=False)
        kind = matches.dtype
        if kind != pl.Boolean and not kind.is_numeric():
            raise ArgumentError("known", f"{shown}, whose exact_match is {kind}", "true or false")
        if kind.is_float():
            matches = matches.fill_nan(None)
        facts = facts[matches.cast(pl.Boolean).fill_null(False).to_numpy()]
    return distinct(facts)


def compile_plan(
    corpus: Corpus,
    request: EditRequest,
    *,
    table: pl.DataFrame | None = None,
    known: ArrayLike | None = None,
    step: Advance = silent,
) -> EditPlan:
    """Compile a request to a plan: edits, training mixture and probes.

    Parameters
    ----------
    corpus : Corpus
        The corpus that the model was, or will be, trained on.
    request : EditRequest
    table : polars.DataFrame, optional
        The facts to edit, in place of a number: column fact, or subject and relation, and
        for remaps optionally object or new_object, the new one (null: one is chosen).
    known : array_like of int, optional
        Facts that the model knows; no others are edited.
    step : callable, optional
        Called with (steps done, steps): edits, bystanders, mixture, probes.

    Returns
    -------
    EditPlan

    Raises
    ------
    ArgumentError
        When there are not enough candidate facts (the error states how many there are), or the
        request does not fit the corpus.

    Examples
    --------
    >>> from behemoth import World
    >>> corpus = Corpus(World(subjects=1_000, relations=4, objects=20))
    >>> plan = compile_plan(corpus, EditRequest(edits=5, relation=2))
    >>> plan.edits["relation"].to_list()
    [2, 2, 2, 2, 2]
    """
    source = "table"
    if request.facts is not None:
        if table is not None:
            raise ArgumentError("table", "a table beside facts", "one of the two")
        # The plan contains them as edits: its request need not repeat them.
        table, source, request = request.facts, "facts", replace(request, facts=None)
    if table is None:
        request = request.carried_out
    structure = Structure(corpus.world)
    prompts = Prompts(corpus, structure, request)
    check_repeats(request)
    if table is None:
        edits = choose_edits(corpus, structure, request, known)
    else:
        with renamed(table=source):
            edits = read_edits(corpus, structure, request, table, known)
    step(1, _STEPS)
    bystanders = Bystanders(corpus, structure, request, edits)
    limit = _PROBED if request.fraction is not None else len(edits)
    probed = np.arange(min(len(edits), limit if request.probed is None else request.probed))
    context = GroupContext(corpus, structure, request, edits, bystanders, probed)
    questions = structured(context)
    bystanders.take(_kept_apart(context, questions))
    if request.probes:
        questions += bystanding(context)
    step(2, _STEPS)
    training = _training(context, prompts)
    step(3, _STEPS)
    probes = _probes(context, prompts, questions, training)
    step(_STEPS, _STEPS)
    frame = _edit_frame(request, edits, corpus.world.num_relations)
    return EditPlan(request, corpus.spec_hash, frame, training, probes)


def _kept_apart(context: GroupContext, questions: list[Asked]) -> Ids:
    """Return the facts that are probed for their ties to an edit: none of them is trained.

    Ties of an independent edit only concern its own model; only links, which have no subject, are
    returned for independent edits.
    """
    facts = distinct(np.concatenate([part.fact for part in questions] or [np.empty(0, np.uint64)]))
    if context.request.independent:
        return facts[facts >= np.uint64(context.corpus.world.num_subject_facts)]
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
            "new_object": _or_null(edits.new_object),
            "exposures": facts.exposures,
        },
        schema=EDITS,
    )


def _training(context: GroupContext, prompts: Prompts) -> pl.DataFrame:
    """Write the training mixture: the edited facts, and facts that are to stay unchanged."""
    request, edits = context.request, context.edits
    everyone = np.arange(len(edits))
    right = np.where(edits.new_object < 0, REFUSED, edits.new_object)
    count = len(prompts.edits)
    frames = []
    for number, wording in enumerate(prompts.edits):
        weight = request.edit_rows // count + (number < request.edit_rows % count)
        if weight:
            frame = prompts.ask(wording, edits.facts.fact, right)
            frames.append(_rows(frame, "edit", everyone, everyone, weight))
    count = len(prompts.trained)
    for role, owner, facts in _mixture(context):
        stay = facts.object.astype(np.int64)
        turn = np.arange(len(facts)) % count
        weight = _weight(request, role, len(edits))
        for number, wording in enumerate(prompts.trained):
            mine = np.flatnonzero(turn == number)
            frame = prompts.ask(wording, facts.fact[mine], stay[mine])
            frames.append(_rows(frame, role, np.full(len(mine), -1), owner[mine], weight))
    return (
        pl.concat(frames)
        .with_row_index("row")
        .select(pl.col(name).cast(dtype) for name, dtype in TRAINING.items())
    )


def _mixture(context: GroupContext) -> list[tuple[str, Index, Facts]]:
    """Draw the facts of the mixture that are not edited, each with the edit it belongs to."""
    request, edits = context.request, context.edits
    by = context.bystanders
    everyone = np.arange(len(edits))
    if request.by_rule:
        # Facts that already agree with the rule are part of the mixture, too.
        unchanged = edits.said
        wanted = request.regular_rows * (len(edits) + len(unchanged))
        parts = (("new_object", unchanged), ("regular", _regular(context, wanted)))
        return [(role, np.arange(len(facts)) % len(edits), facts) for role, facts in parts]
    out = []
    for role in ("same_object", "new_object", "same_relation", "regular"):
        if role == "same_object":
            dealt = by.same_object(everyone, request.same_object, probes=False)
        elif role == "new_object":
            dealt = by.new_object(everyone, request.new_object or 0, probes=False)
        elif role == "same_relation":
            dealt = by.same_relation(everyone, request.same_relation, probes=False)
        else:
            dealt = by.other_relations(everyone, request.regular_rows, role, probes=False)
        if not request.independent:
            by.take(dealt.facts.fact)
        out.append((role, dealt.edit, dealt.facts))
    return out


def _weight(request: EditRequest, role: str, edits: int) -> int:
    """Return how often the mixture contains the facts of a role that are not edited."""
    if role == "new_object" and request.by_rule:
        return request.edit_rows  # facts that agree with a rule count as often as edited ones
    if role == "same_object" and request.to == "one":
        return edits  # all edits share the same facts
    return 1


def _regular(context: GroupContext, count: int) -> Facts:
    """Draw facts about untouched subjects; if `regular` is set, fill up with edited subjects."""
    untouched = regular(context, count, "regular", probes=False, untouched=True)
    if context.request.regular is None or len(untouched) == count:
        return untouched
    others = regular(context, count - len(untouched), "regular", probes=False, untouched=False)
    return Facts.concat(context.corpus, [untouched, others])


def _rows(frame: pl.DataFrame, role: str, edit: Index, share: Index, weight: int) -> pl.DataFrame:
    return frame.with_columns(
        _or_null(edit).alias("edit"),
        pl.Series("share", share, pl.UInt32),
        pl.lit(role).alias("role"),
        pl.lit(weight, pl.UInt32).alias("weight"),
    ).drop("seen", "held_out", "subject", "relation", "object", "exposures")


def _probes(
    context: GroupContext, prompts: Prompts, questions: list[Asked], training: pl.DataFrame
) -> pl.DataFrame:
    """Write the probes of all groups, sorted by edit, group and wording."""
    frames = [pl.DataFrame(schema=PROBES)]
    links = np.uint64(context.corpus.world.num_subject_facts)
    for part in joined(questions):  # a frame for each of thousands of parts takes most of the time
        wordings = prompts.wordings if part.group == "edited" else prompts.trained[:1]
        for wording in wordings:
            group = prompts.edited_group(wording) if part.group == "edited" else part.group
            frame = prompts.ask(wording, part.fact, part.right, part.new).with_columns(
                _or_null(part.edit).alias("edit"),
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
        _in_other_words(context.corpus, pl.concat(frames), training)
        .with_columns(place.alias("place"))
        .sort("edit", "place", nulls_last=True, maintain_order=True)
        .drop("place", "probe")
        .with_row_index("probe")
        .select(pl.col(name).cast(dtype) for name, dtype in PROBES.items())
    )


def _in_other_words(corpus: Corpus, probes: pl.DataFrame, training: pl.DataFrame) -> pl.DataFrame:
    """Drop probes of edited facts that do not fit their group, recur, or were trained.

    A grammar may have fewer wordings than requested, or none of a kind; then facts are written in
    other wordings, which the edit may have been trained or is probed in.
    """
    group = pl.col("group")
    questions = [row["name"] for row in corpus.templates if row["is_question"]]
    apart = group.is_in(("edited_paraphrase", "edited_held_out", "edited_question"))
    fits = pl.when(group == "edited_held_out").then("held_out").otherwise(
        (group != "edited_question") | pl.col("template").is_in(questions)
    )  # fmt: skip
    edited = group == "edited"
    trained = pl.concat(
        frame.select("edit", "prompt", trained=True)
        for frame in (training.filter(role="edit"), probes.filter(edited))
    )
    first = pl.struct("edit", "group", "prompt").is_first_distinct()
    return (
        probes.join(trained.unique(), on=["edit", "prompt"], how="left", maintain_order="left")
        .filter(~apart | (fits & pl.col("trained").is_null()), ~(apart | edited) | first)
        .drop("trained")
    )


def _or_null(values: Index) -> pl.Series:
    """Return values as UInt32, null where they are below 0."""
    return pl.Series(values).cast(pl.UInt32, strict=False)
