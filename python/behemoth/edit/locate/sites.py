"""The sites of a plan: one for each edited key, with all sentences of that key.

Locate-and-edit methods change an MLP's output for a subject at its last token. All edits of one
subject have one key, so they are one site with one target vector: two targets for one key would
contradict each other.

Models with few layers may look a fact up at the last token of the prompt instead, where attention
has brought subject and relation together; there every edit has its own site. The last layer's
output at a token decides only the next token, so an answer of several tokens has a site for each:
after the prompt, and after the prompt and each token of the answer except the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.corpus.probes import prompt_roles, wording_frame
from behemoth.corpus.roles import OBJECT, SUBJECT
from behemoth.corpus.templates import EDIT, STATEMENT
from behemoth.edit.batch import edit_frame_of, first_difference
from behemoth.plan.structure import Structure
from behemoth.support.errors import ArgumentError

from .budget import Token

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Places", "Prefixes", "Sentence", "Site", "sites_of"]

Tokens = tuple[int, ...]

_TRIES = 32  # documents drawn at most for each wanted prefix
_WORDED = ("fact", "template", "wording", "prompt")


@dataclass(frozen=True)
class Sentence:
    """A prompt with its answer.

    Attributes
    ----------
    prompt, answer : tuple of int
        Token ids.
    place : int
        Index of the prompt's token at which is edited.
    old_answer : tuple of int, optional
        The correct answer before the edit; None for kept facts.
    """

    prompt: Tokens
    answer: Tokens
    place: int
    old_answer: Tokens | None = None


@dataclass(frozen=True)
class Site:
    """An edited key of a plan: a subject, or the text before a token of an edit's answer.

    Attributes
    ----------
    edits : tuple of int
        Numbers of the plan's edits that have this key.
    edited : tuple of Sentence
        Sentences to learn: every wording of its edits.
    kept : tuple of Sentence
        Sentences with the same key to preserve: other relations of the subject.
    prefixes : tuple of tuple of int
        Texts that may precede a sentence; the first is empty.
    """

    edits: tuple[int, ...]
    edited: tuple[Sentence, ...]
    kept: tuple[Sentence, ...]
    prefixes: tuple[Tokens, ...] = ((),)


class Places:
    """Finds subjects in prompts, by the roles that the corpus assigns to their tokens.

    A prompt names its subject and stops before its object. (A sentence that continues with a
    pronoun is not a prompt: nothing in it identifies its subject.) The subject of a link is named
    by an object's word, which has the role of an object with templates.

    Parameters
    ----------
    corpus : Corpus
    token : {'subject', 'prompt'}
        Token at which a prompt is edited: the last of the subject, or the last of the prompt, where
        the answer is predicted.
    """

    def __init__(self, corpus: Corpus, token: Token = "subject") -> None:
        self.token: Token = token
        self._corpus = corpus

    def spans(self, prompts: pl.DataFrame) -> list[tuple[int, int]]:
        """Return where each prompt last names its subject: first token, and end (exclusive).

        Parameters
        ----------
        prompts : polars.DataFrame
            With the columns fact, template, wording and prompt.

        Raises
        ------
        ArgumentError
            For a prompt without a subject.
        """
        links = prompts["fact"].to_numpy() >= self._corpus.world.num_subject_facts
        of_link = OBJECT if self._corpus.grammar is None else SUBJECT
        found = []
        for row, roles in enumerate(prompt_roles(self._corpus, prompts)):
            named = np.flatnonzero(roles == (of_link if links[row] else SUBJECT))
            if not len(named):
                prompt = prompts["prompt"][row].to_list()
                raise ArgumentError("plan", f"prompt {prompt}", "prompts that name a subject")
            breaks = np.flatnonzero(np.diff(named) > 1)
            first = named[breaks[-1] + 1] if len(breaks) else named[0]
            found.append((int(first), int(named[-1]) + 1))
        return found

    def of(self, span: tuple[int, int], prompt: Sequence[int]) -> int:
        """Return the index of the token at which a prompt is edited, from its subject's span."""
        return span[1] - 1 if self.token == "subject" else len(prompt) - 1


class Prefixes:
    """Draws documents of the corpus as prefixes of prompts, independent of the other edits.

    The publications let the model generate random English text; here the corpus is available.

    Parameters
    ----------
    corpus : Corpus
    seed : int
    longest : int
        Maximum number of tokens of a prefix; a longer document is cut at its start, as a training
        block cuts it.
    """

    def __init__(self, corpus: Corpus, seed: int, longest: int) -> None:
        self._corpus, self._longest = corpus, longest
        self._generator = np.random.default_rng([seed, 0x9E37])
        self._drawn: list[Tokens] = []

    def without(self, word: Tokens, count: int) -> tuple[Tokens, ...]:
        """Return the empty prefix and up to `count` other documents that do not name a subject."""
        found: list[Tokens] = [()]
        for prefix in self._pool(count * _TRIES):
            if len(found) > count:
                break
            if prefix and not self._names(prefix, word):
                found.append(prefix)
        return tuple(found)

    def _names(self, prefix: Tokens, word: Tokens) -> bool:
        if self._corpus.grammar is None:
            return _contains(prefix, word)
        # A name has different tokens within a sentence and at its start, so text is compared.
        return self._corpus.decode(word).strip() in self._corpus.decode(prefix)

    def _pool(self, most: int) -> Iterator[Tokens]:
        for number in range(most):
            if number == len(self._drawn):
                document = int(self._generator.integers(self._corpus.num_documents))
                tokens = self._corpus.tokens(document, document + 1, threads=1)
                self._drawn.append(tuple(tokens[-self._longest :].tolist()))
            yield self._drawn[number]


def sites_of(
    plans: Sequence[EditPlan],
    corpus: Corpus,
    places: Places,
    *,
    prefixes: int,
    prefix_tokens: int,
    kept: int,
    seed: int,
) -> list[list[Site]]:
    """Return the sites of each plan, in the order of its edits.

    Parameters
    ----------
    plans : sequence of EditPlan
    corpus : Corpus
    places : Places
    prefixes : int
        Number of prefixes in addition to the empty one.
    prefix_tokens : int
        Maximum number of tokens of a prefix.
    kept : int
        Maximum number of other relations of a subject to preserve; not used unless the key is the
        subject's, since they have other keys then.
    seed : int
        Seed of the prefixes.

    Raises
    ------
    ArgumentError
        For a plan without edit rows, or a prompt without a subject.
    """
    drawn = Prefixes(corpus, seed, prefix_tokens)
    bystanders = _Bystanders(corpus, places, kept if places.token == "subject" else 0)
    asked = [_edit_rows(plan) for plan in plans]
    spans = iter(places.spans(pl.concat(rows.select(_WORDED) for rows in asked)))
    found = []
    for rows in asked:
        sites: list[Site] = []
        by_key: dict[Any, list[dict[str, Any]]] = {}
        for row, key in zip(rows.iter_rows(named=True), bystanders.keys(rows), strict=True):
            span = next(spans)
            for part, sentence in enumerate(_parts(row, places.of(span, row["prompt"]), places)):
                said = {**row, "span": span, "sentence": sentence}
                by_key.setdefault((key, part), []).append(said)
        for own in by_key.values():
            edited = tuple(row["sentence"] for row in own)
            edits = tuple(dict.fromkeys(row["edit"] for row in own))
            word = tuple(own[0]["prompt"][slice(*own[0]["span"])])
            sites.append(Site(edits, edited, (), drawn.without(word, prefixes)))
            bystanders.ask(own)
        found.append(sites)
    sentences = iter(bystanders.sentences())
    return [[replace(site, kept=next(sentences)) for site in sites] for sites in found]


def _parts(row: dict[str, Any], place: int, places: Places) -> list[Sentence]:
    """Return a row as one sentence, or at a prompt's last token as one for each answer token.

    The token at which new and old answer first differ keeps its old token.
    """
    prompt, answer, old = tuple(row["prompt"]), tuple(row["answer"]), _optional(row["old_answer"])
    if places.token == "subject" or len(answer) == 1:
        return [Sentence(prompt, answer, place, old)]
    at = first_difference(answer, old)
    parted = None if at is None else at[0]
    return [
        Sentence(
            prompt + answer[:part],
            (token,),
            place + part,
            old[part : part + 1] if old is not None and part == parted else None,
        )
        for part, token in enumerate(answer)
    ]


def _edit_rows(plan: EditPlan) -> pl.DataFrame:
    """Return the plan's edit rows, each prompt once, in the order of the edits."""
    rows = edit_frame_of(plan).unique(["edit", "prompt"], keep="first", maintain_order=True)
    if not rows.height:
        raise ArgumentError(
            "plan", f"{plan.plan_hash[:12]} without edit rows", "one or more rows of edits"
        )
    return rows.sort("edit", maintain_order=True)


class _Bystanders:
    """Other facts of edited subjects, in the wording of the edits, for all sites together."""

    def __init__(self, corpus: Corpus, places: Places, most: int) -> None:
        self._corpus, self._places, self._most = corpus, places, most
        self._structure = Structure(corpus.world)
        self._written: dict[tuple[int, str, int], dict[str, Any]] = {}
        # Site, fact, and wording of its prompt.
        self._facts: list[tuple[int, int, dict[str, Any]]] = []
        self._sites = 0

    def keys(self, rows: pl.DataFrame) -> list[Any]:
        """Return a value per row that identifies its key: by subject, or by edit."""
        if self._places.token == "prompt":
            return rows["edit"].to_list()
        about = self._corpus.world.facts_of(rows["fact"].to_numpy())
        return [
            # Subjects of links are objects of a relation, which identifies them too.
            (self._structure.table[relation]["of"] if link else None, subject)
            for link, relation, subject in about.select("link", "relation", "subject").iter_rows()
        ]

    def ask(self, rows: list[dict[str, Any]]) -> None:
        """Register the facts to preserve beside the edits of one site."""
        self._sites += 1
        if not self._most:  # as at a prompt's last token: looking them up took most of the time
            return
        edited = self._corpus.world.facts_of([row["fact"] for row in rows])
        relations, subject = edited["relation"].unique().to_list(), int(edited["subject"][0])
        changed = set(relations).union(*map(self._below, relations))
        first = relations[0]
        # A table may lack some facts of a subject.
        others = {
            other: fact
            for other in self._same_subjects(first)
            if other not in changed
            and (fact := self._corpus.world.find_fact(subject, other)) is not None
        }
        # Relations after the edited one first, so that no relation is always omitted.
        for other in sorted(others, key=lambda other: (other < first, other))[: self._most]:
            fact = others[other]
            wording = self._wording(other, fact, rows[0]["template"], rows[0]["wording"])
            if wording is not None:
                self._facts.append((self._sites - 1, fact, wording))

    def sentences(self) -> list[tuple[Sentence, ...]]:
        """Return the sentences to preserve at each site."""
        found: list[list[Sentence]] = [[] for _ in range(self._sites)]
        wordings = {row["wording_index"]: row for _, _, row in self._facts}
        for index, wording in wordings.items():
            mine = [
                (site, fact) for site, fact, row in self._facts if row["wording_index"] == index
            ]
            facts = np.array([fact for _, fact in mine], dtype=np.uint64)
            frame = wording_frame(self._corpus, facts, wording)
            texts = zip(
                frame["prompt"].to_list(),
                frame["answer"].to_list(),
                self._places.spans(frame),
                strict=True,
            )
            for (site, _), (prompt, answer, span) in zip(mine, texts, strict=True):
                place = self._places.of(span, prompt)
                found[site].append(Sentence(tuple(prompt), tuple(answer), place))
        return [tuple(sentences) for sentences in found]

    def _wording(
        self, relation: int, fact: int, template: str, wording: int
    ) -> dict[str, Any] | None:
        """Return the wording of a relation's prompt: the edit's, or another of the grammar.

        A sentence that states an edit has no wording for other facts, which statements are.
        """
        if template == EDIT.name:
            template = STATEMENT.name
        key = (relation, template, wording)
        if key not in self._written:
            rows = [row for row in self._corpus.templates if row["name"] == template]
            rows.sort(key=lambda row: (row["wording"] != wording, row["held_out"], row["wording"]))
            ids = np.array([fact], dtype=np.uint64)
            asks = (row for row in rows if wording_frame(self._corpus, ids, row).height)
            self._written[key] = next(asks, {})
        return self._written[key] or None

    def _same_subjects(self, relation: int) -> list[int]:
        """Return the relations whose facts have the same kind of subject, including this one."""
        table = self._structure.table
        if not table[relation].get("link"):
            return list(range(self._corpus.world.num_relations))
        own = table[relation]["of"]
        return [row["relation"] for row in table if row.get("link") and row["of"] == own]

    def _below(self, relation: int) -> set[int]:
        """Return the relations of the same subject that are composed of this one."""
        if relation >= self._corpus.world.num_relations:
            return set()
        direct = set(self._structure.composed(relation))
        return direct.union(*map(self._below, direct))


def _contains(tokens: Tokens, word: Tokens) -> bool:
    size = len(word)
    return any(tokens[i : i + size] == word for i in range(len(tokens) - size + 1))


def _optional(tokens: list[int] | None) -> Tokens | None:
    return None if tokens is None else tuple(tokens)
