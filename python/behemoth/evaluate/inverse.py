"""The inverse of an edited fact: asked whose object the new one is, the model names the subject.

A model learns a fact in the order in which it is written (Berglund et al., 2023, arXiv 2309.12288),
so the question is only fair where the corpus writes the edited relation in both orders: in
sentences that name the object first (template ``osr``), or as facts of a relation of kind
``inverse``. Plans have no such probes; the questions are written here, from the edits of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.roles import OBJECT, SUBJECT, roles_of_ids
from behemoth.model.modes import evaluating
from behemoth.plan.prompts import Prompts
from behemoth.plan.structure import Structure
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["INVERSE", "ask_inverse", "inverse_questions"]

INVERSE: dict[str, Any] = {
    "edit": pl.UInt32,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "form": pl.String,
    "prompt": pl.List(pl.UInt32),
    "old_answer": pl.List(pl.UInt32),
    "answer": pl.List(pl.UInt32),
}
"""Columns of `inverse_questions`."""

_TEMPLATE = "osr"
_UNIQUE = ("one_to_one", "inverse")  # kinds of relations in which an object has one subject
_FACTS = 1_000  # facts of a relation among which a sentence with the object first is looked for
_CHUNK = 1 << 20  # subjects looked up at a time
_NEEDED = (
    "edits of one-to-one relations to objects of their own, in a corpus that writes these "
    "relations in both orders: template osr, or a relation of kind inverse"
)


def inverse_questions(corpus: Corpus, plan: EditPlan, *, together: bool = True) -> pl.DataFrame:
    """Return the inverse questions of the edits of a plan.

    Parameters
    ----------
    corpus : Corpus
    plan : EditPlan
    together : bool
        Whether the edits are made in one model. Then edits of a relation that share a new object
        are omitted, as the question has no single answer.

    Returns
    -------
    polars.DataFrame
        Columns as in `INVERSE`, one row per edit and form that the corpus writes: ``sentence`` (the
        beginning of a sentence with the object first, up to the subject) or ``relation`` (a prompt
        for the fact of the new object in the inverse relation). answer: words of the edited
        subject; old_answer: words of the subject that had this object before, null if none had it.

    Raises
    ------
    ArgumentError
        When there are none: no edit has a new object in a one-to-one relation that the corpus
        writes in both orders.
    """
    structure = Structure(corpus.world)
    kinds = {row["relation"]: row["kind"] for row in structure.table}
    edits = plan.edits.filter(
        ~pl.col("link"),
        pl.col("new_object").is_not_null(),
        pl.col("relation").is_in([number for number, kind in kinds.items() if kind in _UNIQUE]),
    )
    if together:
        edits = edits.filter(pl.struct("relation", "new_object").is_unique())
    frames = [pl.DataFrame(schema=INVERSE)]
    if edits.height:
        prompts = Prompts(corpus, structure, plan.request)
        for (relation,), own in edits.group_by("relation", maintain_order=True):
            assert isinstance(relation, int)
            frames.append(_sentences(corpus, prompts, relation, own))
            frames += [
                _facts(corpus, prompts, inverse, own) for inverse in structure.inverses(relation)
            ]
    found = pl.concat(frames)
    if found.is_empty():
        raise ArgumentError("plan", "no edit whose inverse is written", _NEEDED)
    return found


def _sentences(
    corpus: Corpus, prompts: Prompts, relation: int, edits: pl.DataFrame
) -> pl.DataFrame:
    """Return questions in a sentence of the corpus with the object first."""
    opening = None if corpus.grammar is not None else _opening(corpus, relation)
    if opening is None:
        return pl.DataFrame(schema=INVERSE)
    tokens, is_object = opening
    new = edits["new_object"].to_numpy().astype(np.int64)
    relations = np.full(len(new), relation, np.uint32)
    asked: list[list[int]] = []
    for word in prompts.words("word", relations, new, question=False).to_list():
        own = tokens.copy()
        own[is_object] = word
        asked.append(own.tolist())
    before = _holders(corpus, relation, new)
    old = _subject_words(corpus, np.maximum(before, 0))
    answers = _subject_words(corpus, edits["subject"].to_numpy().astype(np.int64))
    held = [word if there >= 0 else None for word, there in zip(old, before, strict=True)]
    return _rows(edits, "sentence", asked, held, answers)


def _opening(corpus: Corpus, relation: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """Return the tokens of a sentence with the object first, up to the subject, and its object's.

    None if the corpus has no such sentence of the relation.
    """
    written = [row for row in corpus.templates if row["name"] == _TEMPLATE and row["share"] > 0]
    if not written:
        return None
    world = corpus.world
    subjects = np.arange(min(world.num_subjects, _FACTS), dtype=np.uint64)
    found = corpus.ledger(world.fact_ids(subjects, relation)).filter(template=_TEMPLATE)
    if found.is_empty():
        return None
    place = found.sort("wording", "document", "offset").row(0, named=True)
    tokens = corpus.tokens(place["document"], place["document"] + 1).astype(np.int64)
    sentence = tokens[place["offset"] :]
    roles = roles_of_ids(corpus.vocabulary, corpus.end_of_document)[sentence]
    end = int(np.flatnonzero(roles == SUBJECT)[0])
    return sentence[:end], roles[:end] == OBJECT


def _holders(corpus: Corpus, relation: int, objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the subject that has each object in a one-to-one relation; -1 if none has it."""
    holders: dict[int, int] = {}
    count = corpus.world.num_subjects
    for start in range(0, count, _CHUNK):
        subjects = np.arange(start, min(start + _CHUNK, count), dtype=np.uint64)
        held = np.asarray(corpus.world.objects(subjects, relation), np.int64)
        some = np.isin(held, objects)
        holders.update(zip(held[some].tolist(), subjects[some].tolist(), strict=True))
    return np.array([holders.get(wanted, -1) for wanted in objects.tolist()], np.int64)


def _subject_words(corpus: Corpus, subjects: NDArray[np.int64]) -> list[list[int]]:
    """Return the tokens of subjects: each digit has its own range of ids, as wide as its base."""
    parts = [part for part in corpus.vocabulary["ranges"] if part["kind"] == "subject"]
    rest, columns = subjects, []
    for part in reversed(parts):
        digit = rest % part["count"] if part["position"] else rest
        columns.append(part["first"] + digit)
        rest = rest // part["count"]
    return np.stack(columns[::-1], axis=1).tolist()


def _facts(corpus: Corpus, prompts: Prompts, inverse: int, edits: pl.DataFrame) -> pl.DataFrame:
    """Return prompts for the facts of the new objects in an inverse relation, if written."""
    facts = corpus.world.fact_ids(edits["new_object"].to_numpy().astype(np.uint64), inverse)
    written = corpus.exposures(facts) > 0
    own = edits.filter(pl.Series(written))
    if own.is_empty():
        return pl.DataFrame(schema=INVERSE)
    asked = prompts.ask(
        prompts.trained[0], facts[written], own["subject"].to_numpy().astype(np.int64)
    )
    columns = (asked[name].to_list() for name in ("prompt", "old_answer", "answer"))
    return _rows(own, "relation", *columns)


def _rows(edits: pl.DataFrame, form: str, prompts: Any, old: Any, answers: Any) -> pl.DataFrame:
    columns = {"prompt": prompts, "old_answer": old, "answer": answers}
    lists = [pl.Series(name, values, INVERSE[name]) for name, values in columns.items()]
    return edits.with_columns(pl.lit(form).alias("form"), *lists).select(
        pl.col(name).cast(dtype) for name, dtype in INVERSE.items()
    )


def ask_inverse(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    deltas: Mapping[int | None, EditDelta],
    *,
    together: bool | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Ask a model the inverse questions of its edits.

    Parameters
    ----------
    model : PreTrainedModel
        The unedited model; it is the same afterwards.
    corpus : Corpus
    plan : EditPlan
    deltas : mapping of int or None to EditDelta
        Single edits by number, or None to the edit of the whole plan; empty to ask the unedited
        model.
    together : bool, optional
        Whether the edits are made in one model, see `inverse_questions`; by default what `deltas`
        say, and true if there are none.
    batch_size : int
        Number of prompts per pass.

    Returns
    -------
    polars.DataFrame
        The columns of `inverse_questions`, and known: whether the unedited model names the subject
        that had the object before, and exact_match: whether the edited one names the edited
        subject (false for an edit that failed). A subject is named if greedy generation begins with
        all of its tokens.

    Raises
    ------
    ArgumentError
        See `inverse_questions`.
    """
    models: Mapping[int | None, EditDelta | None] = deltas or {None: None}
    one_model = None in models if together is None else together
    asked = inverse_questions(corpus, plan, together=one_model)
    known = _says(model, asked, "old_answer", batch_size)
    named, edits = np.zeros(len(asked), bool), asked["edit"].to_numpy()
    for edit, delta in models.items():
        if delta is not None and delta.failure is not None:
            continue  # the unedited model, whose answers are no success
        mine = np.full(len(asked), True) if edit is None else edits == edit
        if mine.any():
            with nullcontext() if delta is None else delta.apply(model):
                named[mine] = _says(model, asked.filter(mine), "answer", batch_size)
    return asked.with_columns(
        pl.Series("known", known, pl.Boolean), pl.Series("exact_match", named, pl.Boolean)
    )


def _says(
    model: PreTrainedModel, asked: pl.DataFrame, column: str, batch_size: int
) -> NDArray[np.bool_]:
    """Return whether greedy generation begins with each answer: bool[n]; false for null."""
    import torch

    found = np.zeros(len(asked), bool)
    sizes = asked.with_row_index("place").filter(pl.col(column).is_not_null())
    lengths = [pl.col(name).list.len() for name in ("prompt", column)]
    parts = [part for _, part in sizes.group_by(*lengths, maintain_order=True)]
    with evaluating(model), torch.no_grad():
        for rows in (rows for part in parts for rows in part.iter_slices(batch_size)):
            prompts, answers = (
                torch.tensor(rows[name].to_list(), dtype=torch.long, device=model.device)
                for name in ("prompt", column)
            )
            # With the answer's own tokens behind the prompt, one pass shows each greedy choice.
            whole = torch.cat([prompts, answers[:, :-1]], dim=1)
            kept = answers.shape[1]
            logits = model(input_ids=whole, use_cache=False, logits_to_keep=kept).logits
            right = (logits.argmax(-1) == answers) & ~logits.isnan().any(-1)
            found[rows["place"].to_numpy()] = right.all(1).cpu().numpy()
    return found
