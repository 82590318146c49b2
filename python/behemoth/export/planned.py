"""What is exported of a plan: its edits and probes as text, as a corpus writes them.

Every prompt is that of a row of the plan, word for word: the tokenizer of the corpus splits it,
with the answer behind it, back into the row's tokens. An answer is what follows its prompt, the
space before it included; formats whose readers put that space themselves take it off (`bare`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
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
        In the plan.
    subject : str
    relation : str
        Its name, or ``R2`` where it has none.
    template : str
        The prompt with ``{}`` in the place of the subject.
    prompt : str
        That the edit is made with.
    new, old : str
        What is to follow it, and what does in the corpus.
    new_object : int or None
        None for a refusal.
    old_object : int
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
    """A plan with the corpus that it is for.

    Parameters
    ----------
    corpus : Corpus
    plan : EditPlan

    Raises
    ------
    ArgumentError
        When the plan is of another world.
    """

    def __init__(self, corpus: Corpus, plan: EditPlan) -> None:
        plan.check(corpus)
        self.corpus, self.plan = corpus, plan

    def said(
        self, prompt: Sequence[int], *answers: Sequence[int] | None
    ) -> tuple[str, list[str | None]]:
        """A prompt as text, and answers as they follow it.

        A tokenizer of pieces may leave the space before a name to the prompt; as text it is the
        answer's, so that prompts end in none.
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
        """The rows of the mixture that are about edits, an edit in its first wording."""
        own = self.plan.training.filter(pl.col("role") == "edit")
        return own.unique("edit", keep="first", maintain_order=True)

    @cached_property
    def probes(self) -> pl.DataFrame:
        """The probes of the plan, each once.

        Where a grammar has fewer wordings than a plan asks for the plan has some of them again.
        """
        own = ("edit", "group", "prompt", "answer")
        return self.plan.probes.unique(own, keep="first", maintain_order=True)

    def edits(self) -> Iterator[tuple[Edit, list[Asked]]]:
        """Every edit with the probes that are its own, in the order of the plan.

        Raises
        ------
        ArgumentError
            When a prompt has no place for a subject.
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
        """Probes of the plan as text."""
        return map(self._asked, frame.iter_rows(named=True))

    def words(self, frame: pl.DataFrame, most: int) -> Iterator[list[str]]:
        """Answers with the objects of a relation, in the words of each row.

        The old one first, then those that follow it by number, from the first again after the
        last; `most` of them at the most.

        Parameters
        ----------
        frame : polars.DataFrame
            With the columns fact, template and wording.
        most : int
        """
        number = {
            (row["name"], row["wording"]): row["wording_index"] for row in self.corpus.templates
        }
        facts = frame["fact"].to_numpy()
        _, relations, old, _ = self.corpus.world._native.facts_of(facts)
        counts = np.array([row["objects"] for row in self.corpus.world.relation_table], np.int64)
        rows = zip(facts, counts[relations], old, frame["template"], frame["wording"], strict=True)
        for fact, count, first, template, wording in rows:
            objects = (int(first) + np.arange(min(count, most))) % count
            found = self.corpus._native.answers(
                np.full(len(objects), fact, np.uint64),
                objects.astype(np.uint32),
                number[template, wording],
            )
            prompts, answers = (
                np.split(flat, ends[:-1].astype(np.int64)) for flat, ends in (found[:2], found[2:4])
            )
            pairs = zip(prompts, answers, strict=True)
            yield [self.said(prompt.tolist(), own.tolist())[1][0] or "" for prompt, own in pairs]

    def check_text(self, to: str) -> None:
        """Refuse what cannot be written as a prompt with a place for its subject and an answer.

        Answers must stand behind a space, since readers put one there.

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
                    raise ArgumentError("to", got, "answers behind one space; or tofu, or lm-eval")

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
        """The subject of a prompt, and the prompt with braces in its place."""
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
    """An answer without the space before it."""
    return answer.removeprefix(" ")


def rewordings(edit: Edit, asked: Sequence[Asked]) -> list[str]:
    """Prompts of an edit in other wordings that have the same answer, those held out first.

    Each once: a relation of a grammar that has none held out is asked in those that it has, of
    which the first is the edit's own.
    """
    found = [
        own.prompt
        for group in _OTHER_WORDINGS
        for own in asked
        if own.group == group and own.answer == edit.new
    ]
    return [prompt for prompt in dict.fromkeys(found) if prompt != edit.prompt]
