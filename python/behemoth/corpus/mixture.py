"""Schedules of exposures, filler between the facts, and facts inserted in other documents.

All are exact and stateless: the corpus has the same sentences as without a schedule, every
document can be made alone, and the ledger lists the position of each copy.

**Time** is counted in documents. The windows of ``early``, ``late``, ``distance``, ``spaced`` and
``bursts`` begin and end at the document at their fraction of the corpus, rounded down, if no part
is ``spaced`` or ``bursts``, or enough other documents (facts of no part, filler) fill them up; if
there are only such copies, the edges of all windows are off by fewer documents than the number of
copies in the bursts that meet there, plus three. The facts of a part are a share of those at each
level of exposures, chosen by the world's seed; a larger share contains the facts of a smaller one.
Parts are consecutive, and each ends at the sum of the shares up to its own, rounded down. Facts of
no part are placed anywhere that remains. In order ``bios`` the documents of a subject are placed,
and shares are of subjects.

**Filler** has an exact number of tokens: its own, or the rest of ``total_tokens`` after the facts.
The latter needs a count of the facts' tokens, which is instant if documents have one length and
otherwise needs a pass over the facts without writing them. A twin has the filler of its parent.

**Inserted** sentences replace tokens of filler and background, and have no separate documents. A
corpus therefore has as many tokens as its filler and background, however often facts are written,
and a twin without some facts has the original tokens in their place. A document is divided into
`per_document` equal parts; if each has room for the longest sentence of the corpus, each is a slot,
otherwise the document has no slots. A permutation assigns sentences to slots. Where a sentence
begins in its part does not depend on its length. Its tokens are those of a sentence that begins a
document, without an end of document, as in probes: no space precedes it, unless `words` is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["Filler", "Insert", "Scheduled"]


@dataclass(frozen=True)
class Scheduled:
    """A share of the facts, and the positions of their copies.

    Parameters
    ----------
    kind : {'early', 'late', 'distance', 'spaced', 'bursts'}
        All copies within the first or the last part of the corpus; the last copies side by side
        so that they end at a fixed distance from the end, the others anywhere before them; one
        copy in each of as many windows as there are copies; or copies in bursts, each within a
        thousandth of the corpus, or in small corpora within 32 times as many documents as it has
        copies.
    window : float, optional
        Fraction of the corpus for ``early`` and ``late``, distance for ``distance``.
    bursts : int, optional
        Number of bursts of each fact, one in each of as many windows.
    share : float
        Share of the facts.
    exposures : int, optional
        Number of exposures; only facts that have it are included.

    Examples
    --------
    >>> import behemoth as bh
    >>> world = bh.World(subjects=100, relations=2, objects=5)
    >>> late = Scheduled("late", window=0.25, share=0.2)
    >>> corpus = bh.Corpus(world, exposures=4, schedule=[late])
    >>> documents = corpus.ledger(range(200))["document"].to_numpy().reshape(200, 4)
    >>> int((documents.min(axis=1) >= 600).sum()) >= 40
    True
    """

    kind: Literal["early", "late", "distance", "spaced", "bursts"]
    window: float | None = None
    bursts: int | None = None
    share: float = 1.0
    exposures: int | None = None


@dataclass(frozen=True)
class Filler:
    """Documents in a generated language of words with a Zipf distribution.

    Each word has its own successors: the successor of rank k differs from word to word, but has
    the same weight. Words are made of syllables, have separate token ids at the end of the
    vocabulary, and are the same whatever the seed; with a tokenizer, they are words of it that
    no name, object or refusal contains.

    Parameters
    ----------
    tokens : int, optional
        Number of tokens of all its documents, including their ends.
    total_tokens : int, optional
        Number of tokens of the complete corpus, instead of `tokens`. A twin has the filler of its
        parent, and so another total if its facts have other tokens.
    words : int
        Number of words; with a tokenizer, at most those that it has, which may be fewer than the
        default.
    alpha : float
        Exponent: the word of rank k, from 0, has weight (k + 1)^-alpha.
    bigram : float
        Share of the words that are drawn from the successors of the word before.
    length : int
        Mean number of tokens of a document, including its end; uniform from half of it to three
        halves, except for the last document, which has what remains, up to twice as many.
    seed : int
        Seed of the filler, which does not depend on the world's seed.

    Examples
    --------
    >>> import behemoth as bh
    >>> world = bh.World(subjects=100, relations=2, objects=5)
    >>> corpus = bh.Corpus(world, filler=Filler(total_tokens=10_000, words=500))
    >>> corpus.count_tokens()
    10000
    """

    tokens: int | None = None
    total_tokens: int | None = None
    words: int = 10_000
    alpha: float = 1.0
    bigram: float = 0.5
    length: int = 256
    seed: int = 0
    kind: ClassVar[str] = "zipf"


@dataclass(frozen=True)
class Insert:
    """Sentences inside the documents of filler and background, instead of in separate documents.

    Parameters
    ----------
    position : {'anywhere', 'start', 'middle', 'end'} or float
        Place in its part of a document where a sentence begins: any place that leaves room for the
        longest sentence, or after this share of those places.
    per_document : int
        Maximum number of sentences in a document, one in each of as many equal parts.
    words : bool
        With a grammar: if true, a sentence begins at the next beginning of a word of the document
        that leaves room, or else at the last one before, with the tokens it has there, a space
        before it; if no word begins where there is room, it begins within one. If false, it begins
        at any token, with the tokens that it has at the beginning of a document.

    Examples
    --------
    >>> import behemoth as bh
    >>> world = bh.World(subjects=100, relations=2, objects=5)
    >>> insert = Insert("middle", per_document=2)
    >>> corpus = bh.Corpus(world, exposures=3, filler="zipf:tokens=200_000", insert=insert)
    >>> corpus.count_tokens(), corpus.num_sentences
    (200000, 600)
    >>> line = corpus.ledger([7]).row(0, named=True)
    >>> tokens = corpus.tokens(line["document"], line["document"] + 1)
    >>> corpus.decode(tokens[line["offset"] :][:10])
    'subject S3 has the relation R1 with object O1:1 .'
    """

    position: str | float = "anywhere"
    per_document: int = 1
    words: bool = False
