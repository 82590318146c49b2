"""Where a plan's facts are written: one site for each key, with all that is said there.

Locate-and-edit methods change what an MLP makes of a subject at its last token. All edits of one
subject meet at one key, so they are one site with one target vector: two targets for one key would
contradict each other.

Models of few layers may look a fact up at the last token of the prompt instead, where attention
has brought subject and relation together; there every edit is a site of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.corpus.probes import _wording_frame
from behemoth.plan.structure import Structure
from behemoth.support.errors import ArgumentError

from .budget import Token

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Places", "Prefixes", "Sentence", "Site", "sites_of"]

Tokens = tuple[int, ...]

_NAMES = frozenset({"subject", "object", "nested"})
_TRIES = 32  # documents looked at for each prefix that is wanted


@dataclass(frozen=True)
class Sentence:
    """A prompt with its answer.

    Attributes
    ----------
    prompt, answer : tuple of int
        Token ids.
    old_answer : tuple of int, optional
        What was right before the edit; none for kept facts.
    """

    prompt: Tokens
    answer: Tokens
    old_answer: Tokens | None = None


@dataclass(frozen=True)
class Site:
    """An edited key of a plan: a subject, or a subject with a relation.

    Attributes
    ----------
    edits : tuple of int
        The plan's edits of this subject.
    edited : tuple of Sentence
        What is to be said there: every wording of its edits.
    kept : tuple of Sentence
        What is to stay though it has the same key: other relations of the subject.
    prefixes : tuple of tuple of int
        What may stand before a sentence; the first is empty.
    """

    edits: tuple[int, ...]
    edited: tuple[Sentence, ...]
    kept: tuple[Sentence, ...]
    prefixes: tuple[Tokens, ...] = ((),)


class Places:
    """Finds subjects in prompts: the role of a token is known from its id.

    A prompt stops before its object, so words of objects in it name the subject of a link.

    Parameters
    ----------
    corpus : Corpus
    token : {'subject', 'prompt'}
        Which token of a prompt is edited at: the last of the subject, or the last of all.
    """

    def __init__(self, corpus: Corpus, token: Token = "subject") -> None:
        self.token: Token = token
        self._names = np.zeros(corpus.vocabulary_size, dtype=bool)
        for row in corpus.vocabulary["ranges"]:
            if row["kind"] in _NAMES:
                self._names[row["first"] : row["first"] + row["count"]] = True

    def of(self, prompt: Sequence[int]) -> int:
        """Place of the token that an edit of this prompt is made at."""
        return self.last(prompt) if self.token == "subject" else len(prompt) - 1

    def last(self, prompt: Sequence[int]) -> int:
        """Place of the subject's last token.

        Raises
        ------
        ValueError
            For a prompt without a subject.
        """
        places = np.flatnonzero(self._names[np.asarray(prompt, dtype=np.int64)])
        if not len(places):
            raise ArgumentError("plan", f"prompt {list(prompt)}", "prompts that name a subject")
        return int(places[-1])

    def word(self, prompt: Sequence[int]) -> Tokens:
        """The tokens that name the subject."""
        end = self.last(prompt) + 1
        start = end
        while start and self._names[prompt[start - 1]]:
            start -= 1
        return tuple(prompt[start:end])


class Prefixes:
    """Draws documents of the corpus to stand before prompts, the same whatever else is edited.

    The publications let the model write random English; here the grammar is at hand.

    Parameters
    ----------
    corpus : Corpus
    seed : int
    longest : int
        Most tokens of a prefix; a longer document is cut at its start, as a training block
        cuts it.
    """

    def __init__(self, corpus: Corpus, seed: int, longest: int) -> None:
        self._corpus, self._longest = corpus, longest
        self._generator = np.random.default_rng([seed, 0x9E37])
        self._drawn: list[Tokens] = []

    def without(self, word: Tokens, count: int) -> tuple[Tokens, ...]:
        """The empty prefix and up to `count` documents that do not name a subject."""
        found: list[Tokens] = [()]
        for prefix in self._pool(count * _TRIES):
            if len(found) > count:
                break
            if not _contains(prefix, word):
                found.append(prefix)
        return tuple(found)

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
    """The sites of each plan, in the order of its edits.

    Parameters
    ----------
    plans : sequence of EditPlan
    corpus : Corpus
    places : Places
    prefixes : int
        Prefixes beside the empty one.
    prefix_tokens : int
        Most tokens of a prefix.
    kept : int
        Most other relations of a subject to keep as they are; none where the key is not the
        subject's, since they have keys of their own.
    seed : int
        Key of the prefixes.

    Raises
    ------
    ValueError
        For a plan without rows that carry an edit, or with a prompt without a subject.
    """
    drawn = Prefixes(corpus, seed, prefix_tokens)
    bystanders = _Bystanders(corpus, kept if places.token == "subject" else 0)
    found = []
    for plan in plans:
        sites: list[Site] = []
        for rows in _by_key(plan, places).values():
            edited = tuple(
                Sentence(tuple(row["prompt"]), tuple(row["answer"]), _optional(row["old_answer"]))
                for row in rows
            )
            edits = tuple(dict.fromkeys(row["edit"] for row in rows))
            word = places.word(rows[0]["prompt"])
            sites.append(Site(edits, edited, (), drawn.without(word, prefixes)))
            bystanders.ask(rows)
        found.append(sites)
    sentences = iter(bystanders.sentences())
    return [[replace(site, kept=next(sentences)) for site in sites] for sites in found]


def _by_key(plan: EditPlan, places: Places) -> dict[Tokens, list[dict[str, Any]]]:
    """Rows of the plan's edits, by the word of their subject or one edit by one."""
    rows = plan.training.filter(pl.col("role") == "edit").unique(
        ["edit", "prompt"], keep="first", maintain_order=True
    )
    if not rows.height:
        raise ArgumentError(
            "plan", f"{plan.plan_hash[:12]} without edit rows", "one or more rows of edits"
        )
    found: dict[Tokens, list[dict[str, Any]]] = {}
    for row in rows.sort("edit", maintain_order=True).iter_rows(named=True):
        own = places.token == "subject"
        key = places.word(row["prompt"]) if own else (row["edit"],)
        found.setdefault(key, []).append(row)
    return found


class _Bystanders:
    """Other facts of edited subjects, written like the edits; made for all sites at once."""

    def __init__(self, corpus: Corpus, most: int) -> None:
        self._corpus, self._most = corpus, most
        self._structure = Structure(corpus.world)
        self._wordings = {(row["name"], row["wording"]): row for row in corpus.templates}
        self._facts: list[tuple[int, int, tuple[str, int]]] = []  # site, fact, wording
        self._sites = 0

    def ask(self, rows: list[dict[str, Any]]) -> None:
        """Note what is to be kept beside the edits of one subject."""
        edited = self._corpus.world.facts_of([row["fact"] for row in rows])
        relations, subject = edited["relation"].unique().to_list(), int(edited["subject"][0])
        changed = set(relations).union(*map(self._below, relations))
        first = relations[0]
        others = [other for other in self._same_subjects(first) if other not in changed]
        # Those that come after the edited relation first, so that no relation is always left out.
        others.sort(key=lambda other: (other < first, other))
        wording = (rows[0]["template"], rows[0]["wording"])
        for other in others[: self._most]:
            fact = int(self._corpus.world.fact_ids([subject], [other])[0])
            self._facts.append((self._sites, fact, wording))
        self._sites += 1

    def sentences(self) -> list[tuple[Sentence, ...]]:
        """What is to be kept at each site."""
        found: list[list[Sentence]] = [[] for _ in range(self._sites)]
        for wording in dict.fromkeys(wording for _, _, wording in self._facts):
            mine = [(site, fact) for site, fact, own in self._facts if own == wording]
            facts = np.array([fact for _, fact in mine], dtype=np.uint64)
            frame = _wording_frame(self._corpus, facts, self._wordings[wording])
            texts = zip(frame["prompt"].to_list(), frame["answer"].to_list(), strict=True)
            for (site, _), (prompt, answer) in zip(mine, texts, strict=True):
                found[site].append(Sentence(tuple(prompt), tuple(answer)))
        return [tuple(sentences) for sentences in found]

    def _same_subjects(self, relation: int) -> list[int]:
        """Relations whose facts have the same kind of subject, the relation itself included."""
        table = self._structure.table
        if not table[relation].get("link"):
            return list(range(self._corpus.world.num_relations))
        own = table[relation]["of"]
        return [row["relation"] for row in table if row.get("link") and row["of"] == own]

    def _below(self, relation: int) -> set[int]:
        """Relations of the same subject that follow from this one."""
        if relation >= self._corpus.world.num_relations:
            return set()
        direct = set(self._structure.composed(relation))
        return direct.union(*map(self._below, direct))


def _contains(tokens: Tokens, word: Tokens) -> bool:
    size = len(word)
    return any(tokens[i : i + size] == word for i in range(len(tokens) - size + 1))


def _optional(tokens: list[int] | None) -> Tokens | None:
    return None if tokens is None else tuple(tokens)
