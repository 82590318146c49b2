"""Prompts and answers of a plan for a corpus that is written with a grammar.

Besides its sentences a grammar may define how a relation is refused (`refusal`), and sentences that
state a new object (`edits`): neither occurs in a corpus, and only plans train on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.asking import (
    edit_sentences,
    refused_sentences,
    sentences,
    sentences_with,
)
from behemoth.corpus.corpus import Corpus
from behemoth.corpus.probes import lists, wording_frame
from behemoth.corpus.templates import EDIT
from behemoth.corpus.wordings import usable_wordings
from behemoth.support.errors import ArgumentError

from .request import EditRequest
from .sampling import Ids, distinct

REFUSED = -1  # in place of an object: the answer is the refusal


def edit_wording(number: int) -> dict[str, Any]:
    """Return a row like those of `Corpus.templates` for one of the sentences of `edits`."""
    return {"name": EDIT.name, "wording": number, "held_out": False, "is_question": False}


class TextPrompts:
    """Writes the prompts of one plan in the sentences of a grammar.

    Parameters
    ----------
    corpus : Corpus
        A corpus that is written with a grammar.
    request : EditRequest

    Raises
    ------
    ArgumentError
        When the grammar lacks the sentences that the request needs.
    """

    def __init__(self, corpus: Corpus, request: EditRequest) -> None:
        self._corpus, self._kind, self._refuses = corpus, request.kind, request.refuses
        self._asked: dict[tuple[int, str, bool], list[dict[str, Any]]] = {}
        assert corpus.grammar is not None
        self._relations: list[dict[str, Any]] = corpus.grammar.facts["relations"]
        if request.refuses and not any(row["refuses"] for row in self._relations):
            allowed = "remap or censor: the grammar does not say how it refuses (`refusal`)"
            raise ArgumentError("kind", request.kind, allowed)

    def ask(
        self,
        wording: dict[str, Any],
        facts: Ids,
        right: NDArray[np.int64],
        new: NDArray[np.int64] | None = None,
    ) -> pl.DataFrame:
        """Write prompts and answers of facts in one of the grammar's sentences, by its number.

        Relations have different numbers of sentences, and only sentences that name the subject
        before the object can be prompts. Number n (from 0) selects the n-th usable sentence of
        each relation, counting from the first again if there are fewer; so sentences may recur,
        and a plan keeps each prompt of an edited fact once, unless the edit was trained on it. A
        sentence of `edits` that is not usable is replaced by the next one that is.

        Parameters
        ----------
        wording : dict
            A row of `Corpus.templates`, or of `edit_wording`.
        facts : uint64[n]
        right : int64[n]
            Object that is right after the edit; `REFUSED` for a refusal.
        new : int64[n], optional
            Object whose words are returned as well; -1 for none.

        Returns
        -------
        polars.DataFrame
            The columns of `Corpus.probes`, and old_answer, answer and, with `new`, new_answer.
        """
        relations = self._corpus.world.facts_of(facts)["relation"].to_numpy()
        frames: list[pl.DataFrame] = []
        places: list[NDArray[np.intp]] = []
        for relation in distinct(relations):
            mine = np.flatnonzero(relations == relation)
            if wording["name"] == EDIT.name:
                frame = self._edits(int(relation), wording["wording"], facts[mine], right[mine])
            else:
                row = self._askable(wording, int(facts[mine[0]]), int(relation))
                frame = self._written(
                    row, facts[mine], right[mine], None if new is None else new[mine]
                )
            frames.append(frame)
            places.append(mine)
        if not frames:
            row = self._corpus.templates[0] if wording["name"] == EDIT.name else wording
            empty = wording_frame(self._corpus, facts, row).rename({"answer": "old_answer"})
            return empty.with_columns(pl.col("old_answer").alias("answer"))
        back = np.argsort(np.concatenate(places), kind="stable")
        return pl.concat(frames)[back]

    def _written(
        self,
        row: dict[str, Any],
        facts: Ids,
        right: NDArray[np.int64],
        new: NDArray[np.int64] | None,
    ) -> pl.DataFrame:
        """Write facts of one relation in a sentence that the corpus may contain."""
        index = row["wording_index"]
        frame = wording_frame(self._corpus, facts, row).rename({"answer": "old_answer"})
        columns = {"answer": right} if new is None else {"answer": right, "new_answer": new}
        for name, objects in columns.items():
            known = np.maximum(objects, 0).astype(np.uint32)
            found = sentences_with(self._corpus, facts, known, index)
            answers = lists(name, found.answer, found.answer_ends)
            refuses = pl.Series(objects == REFUSED) if name == "answer" else None
            if refuses is not None and refuses.any():
                refused = refused_sentences(self._corpus, facts, index)
                refusals = lists(name, refused.answer, refused.answer_ends)
                answers = pl.select(pl.when(refuses).then(refusals).otherwise(answers)).to_series()
            frame = frame.with_columns(answers.alias(name))
        if new is not None:
            there = pl.Series(new >= 0)
            frame = frame.with_columns(pl.when(there).then("new_answer").alias("new_answer"))
        return frame

    def _edits(
        self, relation: int, number: int, facts: Ids, right: NDArray[np.int64]
    ) -> pl.DataFrame:
        """Write facts of one relation in one of its sentences of `edits`, or the next usable."""
        own = self._relations[relation] if relation < len(self._relations) else None
        count = 0 if own is None else own["edits"]
        for at in range(number, number + count):
            made = edit_sentences(self._corpus, facts, right.astype(np.uint32), at % count)
            if len(made.answer):
                break
        else:
            name = f"a link fact of relation {relation}" if own is None else f"'{own['key']}'"
            raise ArgumentError(
                "edit_sentences",
                f"none of {name} that names its subject before the new object",
                "relations that have `edits` in the grammar",
            )
        objects = self._corpus.world.facts_of(facts)["object"].to_numpy().astype(np.uint32)
        old = edit_sentences(self._corpus, facts, objects, at % count)
        frame = wording_frame(self._corpus, facts, self._any_row(int(facts[0])))
        return frame.with_columns(
            lists("prompt", made.prompt, made.prompt_ends),
            lists("old_answer", old.answer, old.answer_ends),
            lists("answer", made.answer, made.answer_ends),
            lists("rest", made.rest, made.rest_ends),
            pl.lit(EDIT.name).alias("template"),
            pl.lit(at % count, pl.UInt32).alias("wording"),
        ).select(*_wording_columns(frame))

    def _any_row(self, fact: int) -> dict[str, Any]:
        """Return a wording in which a fact can be probed, for the columns about the fact itself."""
        ids = np.array([fact], np.uint64)
        rows = (row for row in self._corpus.templates if row["probe"])
        return next(
            row for row in rows if sentences(self._corpus, ids, row["wording_index"]).answer_ends[0]
        )

    def _askable(self, wording: dict[str, Any], fact: int, relation: int) -> dict[str, Any]:
        """Return the row of `Corpus.templates` that serves as a wording for a relation's facts."""
        key = (relation, wording["name"], wording["held_out"])
        if key not in self._asked:
            ids = np.array([fact], np.uint64)

            def refuses(row: dict[str, Any]) -> bool:
                refused = refused_sentences(self._corpus, ids, row["wording_index"])
                return bool(refused.answer_ends[0])

            def found(name: str, held_out: bool) -> list[dict[str, Any]]:
                rows = usable_wordings(self._corpus, relation, name, held_out=held_out)
                return [row for row in rows if not self._refuses or refuses(row)]

            # A relation without such wordings falls back to its written ones, then to statements.
            self._asked[key] = (
                found(wording["name"], wording["held_out"])
                or found(wording["name"], False)
                or found("statement", False)
            )
            if not self._asked[key]:
                raise self._unasked(relation, wording["name"])
        rows = self._asked[key]
        # Held-out wordings are numbered after written ones.
        same = (row for row in self._corpus.templates if row["name"] == wording["name"])
        first = next(row["wording"] for row in same if row["held_out"] == wording["held_out"])
        return rows[(wording["wording"] - first) % len(rows)]

    def _unasked(self, relation: int, name: str) -> ArgumentError:
        """Return the error of a relation without a sentence that can be a prompt."""
        names = (name, "statement")
        if self._refuses and any(
            usable_wordings(self._corpus, relation, each, held_out=False) for each in names
        ):
            # A link is refused in the words of the relation that it is of.
            own = self._relations[relation : relation + 1] or self._relations
            why = (
                "the tokenizer merges its `refusal` with what is before it"
                if all(row["refuses"] for row in own)
                else "it has no `refusal`"
            )
            return ArgumentError(
                "kind", f"{self._kind} of relation {relation}", f"remap or censor: {why}"
            )
        return ArgumentError(
            "grammar",
            f"no sentence of relation {relation} that names its subject before its object",
            "at least one, which can be a prompt",
        )


def _wording_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns of probed facts, with both answers."""
    own = ["old_answer" if name == "answer" else name for name in frame.columns]
    return [*own, "answer"]
