"""What stands in a corpus where: schedules of exposures, filler between the facts or around them.

Both are exact and without state: the corpus has the same sentences as without a schedule, every
document can be made alone, and the ledger says where each copy stands.

**Time** is counted in documents. ``early``, ``late`` and ``distance`` begin and end at the document
that their fraction of the corpus says, rounded down. So do the windows of ``spaced`` and ``bursts``
where enough other documents (facts of no part, filler) fill them up; where such copies are all
there is, the edges of windows are off by fewer documents than there are copies in the bursts that
meet there, and three. The facts of a part are a share of those of each level of exposures, chosen
by the world's seed; a larger share has the facts of a smaller. Parts follow upon each other, and
each ends at the sum of the shares up to its own, rounded down. What is in no part stands anywhere
that is left. In order ``bios`` the documents of a subject are placed, and shares are of subjects.

**Filler** has an exact number of tokens: its own, or what facts leave of ``total_tokens``. The
latter needs a count of the facts' tokens, which is instant where documents have one length and
otherwise a pass over the facts without writing them. A twin has the filler of its parent.

**Inserted** sentences lie over tokens of filler and background, and have no documents of their own.
So a corpus has the tokens of its filler and background, however often facts are written, and a twin
that leaves facts out has what they lay over. A document is cut in `per_document` equal parts; where
each has room for the longest sentence of the corpus it has as many slots, and no other document has
any. A permutation says which sentence is in which slot. Where in its part a sentence begins is the
same whatever its length. Its tokens are those of a sentence that begins a document, without the end
of one, as probes have them: there is no space before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["Filler", "Insert", "Scheduled"]


@dataclass(frozen=True)
class Scheduled:
    """A share of the facts, and where their copies stand.

    Parameters
    ----------
    kind : {'early', 'late', 'distance', 'spaced', 'bursts'}
        All copies within the first or the last part of the corpus; the last copies side by side
        so that they end at a fixed distance from the end, the others anywhere before them; one
        copy in each of as many windows as there are copies; or copies in bursts, each within a
        thousandth of the corpus.
    window : float, optional
        Of ``early`` and ``late`` the fraction of the corpus, of ``distance`` the distance.
    bursts : int, optional
        Number of bursts of each fact, one in each of as many windows.
    share : float
        Share of the facts.
    exposures : int, optional
        Only facts that are written so often.

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

    Each word has successors of its own: of the words drawn from them the one of rank k is another
    for each word before it, with the same weight. Words are made of syllables, have token ids of
    their own at the end of the vocabulary, and are the same whatever the seed.

    Parameters
    ----------
    tokens : int, optional
        Tokens of all its documents, their ends included.
    total_tokens : int, optional
        In place of them: tokens of the whole corpus. A twin has the filler of its parent,
        and so another total where its facts have other tokens.
    words : int
        Number of words.
    alpha : float
        The word of rank k, from 0, has weight (k + 1)^-alpha.
    bigram : float
        Share of the words that are drawn from the successors of the word before.
    length : int
        Tokens of a document, its end included, on average: uniform over half of it to three
        halves.
    seed : int
        Decides all of it; the world's seed does not matter.

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
    """Sentences inside the documents of filler and background, and in none of their own.

    Parameters
    ----------
    position : {'anywhere', 'start', 'middle', 'end'} or float
        Where in its part of a document a sentence begins: at any place that leaves room for the
        longest sentence, or after this share of those places.
    per_document : int
        Most sentences of a document, one in each of as many equal parts.
    words : bool
        With a grammar: begin where a word of the document begins, the next one that leaves room,
        and as a sentence does there, with a space before it. Without, a sentence begins at any
        token, with the tokens that it has at the beginning of a document.

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
