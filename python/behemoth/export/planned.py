"""Edits and probes of a plan as text, as the corpus writes them, for export.

Every prompt is exactly that of a row of the plan: the tokenizer of the corpus encodes it, followed
by the answer, into the row's tokens. An answer includes the space before it; formats whose readers
add that space remove it (`bare`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from behemoth.corpus.asking import sentences_with
from behemoth.corpus.corpus import Corpus
from behemoth.corpus.templates import EDIT, TEXT
from behemoth.corpus.wordings import usable_wordings
from behemoth.edit.locate.sites import Places
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError

__all__ = ["Asked", "Edit", "Planned", "bare", "rewordings"]

_OTHER_WORDINGS = ("edited_held_out", "edited_paraphrase")


@dataclass(frozen=True)
class Edit:
    """An edit as text.

    Attributes
    ----------
    number : int
        Number of the edit in the plan.
    subject : str
    relation : str
        Name of the relation, or its number as in ``R2`` if it has none.
    template : str
        The prompt with ``{}`` in place of the subject.
    prompt : str
        Prompt that the edit is made with.
    new, old : str
        Answer after the edit, and answer in the corpus.
    new_object : int or None
        Number of the new object; None for a refusal.
    old_object : int
        Number of the old object.
    """

    number: int
    subject: str
    relation: str
    template: str
    prompt: str
    new: str
    old: str
    new_object: int | None
    old_object: int


@dataclass(frozen=True)
class Asked:
    """A probe as text; see `behemoth.plan.edit_plan.PROBES`."""

    group: str
    must_change: bool
    prompt: str
    answer: str
    old_answer: str
    new_answer: str | None


class Planned:
    """A plan with the corpus that it was made for.

    Parameters
    ----------
    corpus : Corpus
    plan : EditPlan

    Raises
    ------
    ArgumentError
        If the plan was made for another corpus.
    """

    def __init__(self, corpus: Corpus, plan: EditPlan) -> None:
        plan.check(corpus)
        self.corpus, self.plan = corpus, plan

    def said(
        self, prompt: Sequence[int], *answers: Sequence[int] | None
    ) -> tuple[str, list[str | None]]:
        """Return a prompt as text, and the answers as they follow it.

        With a subword tokenizer, the space before a name may belong to the prompt's tokens; in the
        text it is moved to the answer, so that no prompt ends with a space.
        """
        text = self.corpus.decode(prompt)
        short = text.removesuffix(" ")
        spaced = self.corpus.grammar is None or short != text
        follow: list[str | None] = []
        for answer in answers:
            word = None if answer is None else self.corpus.decode(answer)
            follow.append(f" {bare(word)}" if spaced and word is not None else word)
        return short, follow

    @cached_property
    def trained(self) -> pl.DataFrame:
        """Rows of the mixture that state edits, each edit in its first wording."""
        own = self.plan.training.filter(pl.col("role") == "edit")
        return own.unique("edit", keep="first", maintain_order=True)

    @cached_property
    def probes(self) -> pl.DataFrame:
        """Probes of the plan without duplicates.

        A plan repeats probes if its grammar has fewer wordings than were requested.
        """
        own = ("edit", "group", "prompt", "answer")
        return self.plan.probes.unique(own, keep="first", maintain_order=True)

    def edits(self) -> Iterator[tuple[Edit, list[Asked]]]:
        """Yield every edit with its own probes, in the order of the plan.

        Raises
        ------
        ArgumentError
            If a prompt contains braces, or does not name its subject in one piece.
        """
        probes = self.probes.partition_by("edit", as_dict=True)
        known = {row["edit"]: row for row in self.plan.edits.iter_rows(named=True)}
        spans = Places(self.corpus).spans(self.trained)
        for row, span in zip(self.trained.iter_rows(named=True), spans, strict=True):
            own = known[row["edit"]]
            prompt, (new, old) = self.said(row["prompt"], row["answer"], row["old_answer"])
            assert new is not None and old is not None
            subject, template = self._cut(row["prompt"], prompt, span)
            edit = Edit(
                number=row["edit"],
                subject=subject,
                relation=self._relations[own["relation"]],
                template=template,
                prompt=prompt,
                new=new,
                old=old,
                new_object=own["new_object"],
                old_object=own["old_object"],
            )
            asked = probes.get((row["edit"],), self.probes.clear())
            yield edit, [self._asked(probe) for probe in asked.iter_rows(named=True)]

    def asked(self, frame: pl.DataFrame) -> Iterator[Asked]:
        """Yield probes of the plan as text."""
        return map(self._asked, frame.iter_rows(named=True))

    def words(self, frame: pl.DataFrame, most: int) -> Iterator[list[str]]:
        """Yield, for each row, the answers for objects of its relation in the row's wording.

        The old object comes first, then the following ones by number, wrapping around after the
        last. Sentences of edits, which no corpus has, take the wording of the edit's first probe,
        or the first that can be a prompt if the edit has none.

        Parameters
        ----------
        frame : polars.DataFrame
            Rows with the columns fact, template and wording.
        most : int
            Maximum number of objects.
        """
        number = {
            (row["name"], row["wording"]): row["wording_index"] for row in self.corpus.templates
        }
        asked = self.probes.filter(pl.col("group") == "edited").select(
            "fact", "template", "wording"
        )
        asked_in = {fact: number[tuple(own)] for fact, *own in asked.reverse().iter_rows()}
        facts = frame["fact"].to_numpy()
        about = self.corpus.world.arrays_of(facts)
        counts = np.array([row["objects"] for row in self.corpus.world.relation_table], np.int64)
        rows = zip(
            facts, about.relation, about.object, frame["template"], frame["wording"], strict=True
        )
        for fact, relation, first, template, wording in rows:
            count = int(counts[relation])
            if template == EDIT.name and fact not in asked_in:
                asked_in[fact] = self._first_wording(relation)
            objects = (int(first) + np.arange(min(count, most))) % count
            found = sentences_with(
                self.corpus,
                np.full(len(objects), fact, np.uint64),
                objects.astype(np.uint32),
                asked_in[fact] if template == EDIT.name else number[template, wording],
            )
            prompts, answers = (
                np.split(flat, ends[:-1].astype(np.int64))
                for flat, ends in (
                    (found.prompt, found.prompt_ends),
                    (found.answer, found.answer_ends),
                )
            )
            pairs = zip(prompts, answers, strict=True)
            yield [self.said(prompt.tolist(), own.tolist())[1][0] or "" for prompt, own in pairs]

    def _first_wording(self, relation: int) -> int:
        """Return the index of the first wording of a relation that can be a prompt."""
        return next(
            row["wording_index"]
            for held_out in (False, True)
            for facts in TEXT
            for row in usable_wordings(self.corpus, relation, facts.name, held_out=held_out)
        )

    def check_text(self, to: str) -> None:
        """Refuse a plan that has no prompts with a slot for the subject, followed by an answer.

        Answers must follow exactly one space, because readers insert one.

        Raises
        ------
        ArgumentError
        """
        for edit, asked in self.edits():
            answers = [edit.new, edit.old]
            for own in asked:
                answers += [own.answer, own.old_answer]
            for text in answers:
                if not text.startswith(" ") or text.startswith("  "):
                    got = f"{to} for a corpus in which {text!r} follows a prompt"
                    allowed = "answers that follow one space, or one of the formats tofu, lm-eval"
                    raise ArgumentError("to", got, allowed)

    @cached_property
    def _relations(self) -> list[str]:
        rows = self.corpus.world.relation_table
        if self.corpus.grammar is None:
            names = [row.get("name") for row in rows]
        else:
            names = [row["key"] for row in self.corpus.grammar.facts["relations"]]
        names += [None] * (len(rows) - len(names))
        return [f"R{number}" if name is None else name for number, name in enumerate(names)]

    def _asked(self, row: dict[str, Any]) -> Asked:
        names = ("answer", "old_answer", "new_answer")
        prompt, (answer, old, new) = self.said(row["prompt"], *(row[name] for name in names))
        assert answer is not None and old is not None
        return Asked(row["group"], row["must_change"], prompt, answer, old, new)

    def _cut(self, tokens: Sequence[int], prompt: str, span: tuple[int, int]) -> tuple[str, str]:
        """Return the subject of a prompt, and the prompt with braces in its place."""
        if "{" in prompt or "}" in prompt:
            raise ArgumentError("plan", f"the prompt {prompt!r}", "prompts without braces")
        before = self.corpus.decode(tokens[: span[0]])
        subject = self.corpus.decode(tokens[span[0] : span[1]]).strip()
        start = prompt.find(subject, len(before))
        if not subject or start < 0 or prompt[len(before) : start].strip():
            raise ArgumentError(
                "plan", f"the prompt {prompt!r}", f"prompts that name {subject!r} in one piece"
            )
        return subject, f"{prompt[:start]}{{}}{prompt[start + len(subject) :]}"


def bare(answer: str) -> str:
    """Return an answer without the space before it."""
    return answer.removeprefix(" ")


def rewordings(edit: Edit, asked: Sequence[Asked]) -> list[str]:
    """Return prompts of an edit in other wordings with the same answer, held-out ones first.

    Each is returned once and the edit's own prompt is excluded: a relation without held-out
    wordings is probed in the wordings that it has, the first of which is the edit's own.
    """
    found = [
        own.prompt
        for group in _OTHER_WORDINGS
        for own in asked
        if own.group == group and own.answer == edit.new
    ]
    return [prompt for prompt in dict.fromkeys(found) if prompt != edit.prompt]
