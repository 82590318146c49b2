"""A plan's probes as arrays: prompts, their possible answers, and the words they must not get.

A probe has up to three answers: what was right before the edit (old), what is right after it
(true) and the edit's new object (new).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth._gen import digest
from behemoth.corpus.corpus import Corpus
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.prompts import Prompts
from behemoth.plan.structure import Structure
from behemoth.recall.judging import BEYOND_ANSWER, copied_fillers
from behemoth.recall.ragged import Ragged
from behemoth.recall.words import Words, text_of, words_of

__all__ = ["ANSWERS", "Prompted", "unwanted_words"]

ANSWERS = ("old", "true", "new")
"""The answers of a probe: right before, right after, and the edit's new object."""


@dataclass(frozen=True)
class Prompted:
    """Probes as arrays; n probes.

    Attributes
    ----------
    prompts : Ragged
    answers : dict of str to Ragged
        Answers by name of `ANSWERS`; a missing answer is replaced by the old one.
    there : dict of str to bool[n]
        Whether the answer exists; for a bystander that already has the edit's new object, the new
        answer does not.
    apart : dict of str to bool[n]
        Whether the answer exists and differs from the old one in more than its last token.
    widths : int64[n]
        Number of tokens that go through the model to score the old answer.
    relation : uint32[n]
    marked : int64[n]
        Number of tokens of the old answer before the object's word: 1 for questions (0 with a
        grammar), else 0.
    filler : int64[n]
        The filler that the grammar may write after an object; -1 for none.
    most : int64[n]
        Maximum number of tokens to generate, including the stop token: enough for the longest
        answer.
    targets : list of list of int
        The word of the edit's new object if it must not appear in the answer; empty otherwise.
    words : Words
    text : callable
        Writes generated tokens as text.
    """

    prompts: Ragged
    answers: dict[str, Ragged]
    there: dict[str, NDArray[np.bool_]]
    apart: dict[str, NDArray[np.bool_]]
    widths: NDArray[np.int64]
    relation: NDArray[np.uint32]
    marked: NDArray[np.int64]
    filler: NDArray[np.int64]
    most: NDArray[np.int64]
    targets: list[list[int]]
    words: Words
    text: Callable[[Sequence[int]], str]

    @classmethod
    def of(cls, corpus: Corpus, probes: pl.DataFrame, targets: list[list[int]]) -> Prompted:
        """Convert a plan's probes to arrays; `targets` has the unwanted word of each probe."""
        words = words_of(corpus)
        columns = {"old": "old_answer", "true": "answer", "new": "new_answer"}
        answers = {
            name: Ragged.of_lists(probes[column].fill_null(probes["old_answer"]))
            for name, column in columns.items()
        }
        there = {name: probes[column].is_not_null().to_numpy() for name, column in columns.items()}
        tie = ~probes["must_change"] & (probes["new_answer"] == probes["old_answer"])
        there["new"] &= ~tie.fill_null(value=False).to_numpy()
        prompts = Ragged.of_lists(probes["prompt"])
        relation = probes["relation"].to_numpy()
        marked = words.marked(answers["old"].lengths, relation)
        filler = copied_fillers(prompts, probes["template"])
        old = answers["old"]
        longest = np.max([answer.lengths for answer in answers.values()], axis=0)
        longest = np.maximum(longest, words.most(relation))
        return cls(
            prompts=prompts,
            answers=answers,
            there=there,
            apart={name: there[name] & _apart(old, answers[name]) for name in ("true", "new")},
            widths=prompts.lengths + old.lengths - 1,
            relation=relation,
            marked=marked,
            filler=filler,
            most=longest + np.where(filler >= 0, BEYOND_ANSWER, 1),
            targets=targets,
            words=words,
            text=text_of(corpus),
        )

    @classmethod
    def of_old(cls, corpus: Corpus, probes: pl.DataFrame) -> Prompted:
        """Convert probes that are only scored for their old answers, see `score_old`."""
        nothing = pl.lit(None, probes.schema["old_answer"])
        alone = probes.with_columns(nothing.alias("answer"), nothing.alias("new_answer"))
        return cls.of(corpus, alone, [[] for _ in range(len(probes))])

    def __len__(self) -> int:
        """Number of probes."""
        return len(self.relation)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all that is asked: of one corpus, equal ones have equal scores."""
        texts = (self.prompts, *self.answers.values())
        arrays = (
            *(each for text in texts for each in (text.flat, text.lengths)),
            *self.there.values(), self.relation, self.marked, self.filler, self.most,
        )  # fmt: skip
        return digest(b"".join([*(own.tobytes() for own in arrays), repr(self.targets).encode()]))

    @cached_property
    def targeted(self) -> NDArray[np.bool_]:
        """Whether there is a word that must not appear in the answer: bool[n]."""
        return np.array([len(word) > 0 for word in self.targets], np.bool_)

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Whether all objects of the relation are distinguished by one token: bool[n]."""
        return self.words.single[self.relation]


def _apart(old: Ragged, own: Ragged) -> NDArray[np.bool_]:
    width = max(int(own.lengths.max(initial=1)), int(old.lengths.max(initial=1)))
    rows = np.arange(len(old))
    same = own.padded(rows, width, -1) == old.padded(rows, width, -1)
    before_last = np.arange(width) < (old.lengths - 1)[:, None]
    return (own.lengths != old.lengths) | ~(same | ~before_last).all(1)


def unwanted_words(plan: EditPlan, corpus: Corpus) -> list[list[int]]:
    """Return the word that must not appear in the answer to each probe: its edit's new object.

    Probes of the plan as a whole have one if all edits have the same new object. The word is empty
    if all of its tokens occur in the right answer.
    """
    edits = plan.edits.filter(pl.col("new_object").is_not_null())
    if edits.is_empty():
        return [[] for _ in range(plan.probes.height)]
    prompts = Prompts(corpus, Structure(corpus.world), plan.request)
    words = prompts.words(
        "word",
        edits["relation"].to_numpy(),
        edits["new_object"].to_numpy().astype(np.int64),
        question=False,
    ).to_list()
    by_edit: dict[int | None, list[int]] = dict(zip(edits["edit"].to_list(), words, strict=True))
    by_edit[None] = words[0] if all(word == words[0] for word in words) else []
    columns = plan.probes.select("edit", "answer").iter_rows()
    return [
        [] if set(word := by_edit.get(edit, [])) <= set(answer) else word
        for edit, answer in columns
    ]
