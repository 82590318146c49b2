"""Prompts and answers of a plan: wordings to train and to probe, and the words of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.probes import lists, wording_frame, written_templates
from behemoth.corpus.templates import FORMS
from behemoth.support.errors import ArgumentError

from .request import EditRequest
from .sampling import Ids, distinct
from .structure import Structure
from .text_prompts import REFUSED, TextPrompts, edit_wording

__all__ = ["REFUSED", "Prompts", "object_marker", "written_wordings"]


class Prompts:
    """Writes the prompts of one plan.

    Parameters
    ----------
    corpus : Corpus
    structure : Structure
    request : EditRequest

    Raises
    ------
    ArgumentError
        When the corpus is written without a wording that the request needs.
    """

    def __init__(self, corpus: Corpus, structure: Structure, request: EditRequest) -> None:
        self._corpus, self._structure = corpus, structure
        templates = written_templates(corpus)
        self.wordings = [row for rows in templates.values() for row in rows]
        asking = [name for name in templates if FORMS[name].is_question]
        statements = [name for name in templates if name not in asking]
        self._text = None if corpus.grammar is None else TextPrompts(corpus, request)
        if self._text is None and request.edit_sentences is not None:
            allowed = "only with a grammar, whose sentences they are"
            raise ArgumentError("edit_sentences", request.edit_sentences, allowed)
        if request.kind == "question_refusal" and not asking:
            raise ArgumentError(
                "kind",
                "'question_refusal'",
                "remap, censor, refusal, as the corpus asks no questions",
            )
        asked = request.kind == "question_refusal" or not statements
        if asked and not asking:
            raise ArgumentError(
                "corpus",
                "no template whose object comes last",
                "a corpus written with one (default, rso, repeats, nonsense, question)",
            )
        written = _written(templates, (asking if asked else statements)[0])
        if request.wordings > len(written):
            raise ArgumentError(
                "wordings",
                request.wordings,
                f"up to {len(written)}, the written wordings of template {written[0]['name']!r}",
            )
        self.trained: list[dict[str, Any]] = written[: request.wordings]
        self.edits: list[dict[str, Any]] = self.trained
        if request.edit_sentences is not None:
            self.edits = [edit_wording(number) for number in range(request.edit_sentences)]

    def edited_group(self, wording: dict[str, Any]) -> str:
        """Return the group of a probe of an edited fact in a wording."""
        if any(wording["wording_index"] == row["wording_index"] for row in self.trained):
            return "edited"
        if wording["is_question"]:
            return "edited_question"
        return "edited_held_out" if wording["held_out"] else "edited_paraphrase"

    def ask(
        self,
        wording: dict[str, Any],
        facts: Ids,
        right: NDArray[np.int64],
        new: NDArray[np.int64] | None = None,
    ) -> pl.DataFrame:
        """Write prompts and answers of facts in one wording.

        Parameters
        ----------
        wording : dict
            A row of `Corpus.templates`.
        facts : uint64[n]
        right : int64[n]
            Object that is right after the edit; `REFUSED` for a refusal.
        new : int64[n], optional
            Object whose word is returned as well; -1 for none.

        Returns
        -------
        polars.DataFrame
            The columns of `Corpus.probes`, and old_answer, answer and, with `new`, new_answer.
        """
        if self._text is not None:
            return self._text.ask(wording, facts, right, new)
        frame = wording_frame(self._corpus, facts, wording).rename({"answer": "old_answer"})
        question = wording["is_question"]
        relations = frame["relation"].to_numpy()
        frame = frame.with_columns(self.words("answer", relations, right, question=question))
        if new is None:
            return frame
        words = self.words("new_answer", relations, np.maximum(new, 0), question=question)
        return frame.with_columns(
            pl.when(pl.Series(new >= 0)).then(pl.lit(words)).alias("new_answer")
        )

    def words(
        self,
        name: str,
        relations: NDArray[np.uint32],
        objects: NDArray[np.int64],
        *,
        question: bool,
    ) -> pl.Series:
        """Return answers: the words of objects of relations, or refusals.

        Without a grammar, a question's answer begins with the object marker, as the corpus writes
        it, and a refusal is the object marker three times, minus the one that ends a statement's
        prompt.

        Returns
        -------
        Series of List(UInt32), length n
        """
        if self._corpus.grammar is not None:
            return self._names(name, relations, objects)
        vocabulary = self._corpus.vocabulary
        marker = object_marker(vocabulary)
        positions: dict[int, list[tuple[int, int]]] = {}
        for row in vocabulary["ranges"]:
            if row["kind"] in ("object", "nested"):
                positions.setdefault(row["relation"], []).append((row["first"], row["count"]))
        most = max(3, 1 + max(map(len, positions.values())))
        tokens = np.zeros((len(objects), most), np.uint32)
        lengths = np.zeros(len(objects), np.int64)
        refused = objects == REFUSED
        lengths[refused] = 3 if question else 2
        tokens[refused] = marker
        start = int(question)
        for relation in distinct(relations):
            mine = (relations == relation) & ~refused
            digits = positions[self._structure.base(int(relation))]
            lengths[mine] = start + len(digits)
            if question:
                tokens[mine, 0] = marker
            # From the last digit to the first; each has its own range of ids, as wide as its base.
            rest = objects[mine]
            for place, (first, count) in reversed(list(enumerate(digits))):
                rest, digit = (rest // count, rest % count) if place else (rest, rest)
                tokens[mine, start + place] = first + digit
        flat = tokens[np.arange(most) < lengths[:, None]]
        return lists(name, flat, np.cumsum(lengths).astype(np.uint64))

    def _names(
        self, name: str, relations: NDArray[np.uint32], objects: NDArray[np.int64]
    ) -> pl.Series:
        rows = [
            self._corpus.object_tokens(relation).of(number)
            for relation, number in zip(relations.tolist(), objects.tolist(), strict=True)
        ]
        return pl.Series(name, rows, pl.List(pl.UInt32))


def written_wordings(corpus: Corpus) -> int:
    """Return the maximum of `EditRequest.wordings` for a remap, at least 1.

    Parameters
    ----------
    corpus : Corpus
    """
    templates = written_templates(corpus)
    statements = [name for name in templates if not FORMS[name].is_question]
    names = statements or list(templates)
    return len(_written(templates, names[0])) if names else 1


def _written(templates: Mapping[str, list[dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    return [row for row in templates[name] if not row["held_out"]]


def object_marker(vocabulary: dict[str, Any]) -> int:
    """Return the token that announces an object."""
    row = next(row for row in vocabulary["ranges"] if row["kind"] == "marker")
    return row["first"] + row["names"].index("object")
