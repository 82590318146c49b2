"""Text grammars: how a language states facts, as data.

A grammar is a TOML file: statements and questions with placeholders for each relation, and names
and objects as products of lists. The engine parses and checks it, and compiles it with a
tokenizer; this module loads grammars. docs/grammar.md lists the keys of a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from behemoth import _gen
from behemoth.support.checks import as_found, path_of, whole_number
from behemoth.support.errors import ArgumentError, nearest
from behemoth.support.text import listed_text
from behemoth.support.toml import not_utf8

from .text_tokenizer import TextTokenizer, read_tokenizer
from .tokens import END_OF_DOCUMENT
from .twins import without_others

if TYPE_CHECKING:
    from .corpus import Corpus
    from .world import World

__all__ = ["GRAMMARS", "Grammar", "Text", "text_of"]

GRAMMARS = tuple(name for name, _ in _gen.GRAMMARS)
"""Names of the grammars in the package."""
_LOOKED_AT = 64
"""Number of documents of which one with text is looked for, to check it."""


@dataclass(frozen=True)
class Grammar:
    """A text grammar.

    Parameters
    ----------
    file : str
        Name of the grammar in error messages.
    source : str
        The TOML text.

    Raises
    ------
    ArgumentError
        With file, line and key, when the text is not a valid grammar; when there is no text, which
        `named` finds.

    Examples
    --------
    >>> grammar = Grammar.named("bios-en")
    >>> grammar.world(subjects=1_000).num_facts  # and a link from each employer to its city
    6260
    """

    file: str
    # The default is never valid: it gives who writes Grammar("bios-en") the refusal below.
    source: str = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not isinstance(self.file, str):
            raise ArgumentError("file", self.file, "a text, the name of the grammar in errors")
        if not isinstance(self.source, str):
            allowed = f"TOML text; Grammar.named({self.file!r}) finds it by a name or path"
            raise ArgumentError("source", self.source, allowed)
        # Not a field, because it cannot be pickled, and a grammar is sent to other processes.
        object.__setattr__(self, "_words", _parsed(self.file, self.source))

    def __reduce__(self) -> tuple[Any, ...]:
        return Grammar, (self.file, self.source)

    @classmethod
    def named(cls, name: str | PathLike[str]) -> Grammar:
        """Load a grammar of the package, or read a file.

        Parameters
        ----------
        name : str or path
            One of `GRAMMARS`, or the path of a TOML file.

        Raises
        ------
        ArgumentError
            When it is neither, or the file is not a valid grammar, or it says a special token.
        """
        for known, source in _gen.GRAMMARS:
            if isinstance(name, str) and known == name:
                return cls(known, source)
        names = f"a grammar file, or {', '.join(GRAMMARS)}"
        file = path_of("grammar", name, names)
        if not file.is_file():
            near = nearest(fspath(name), GRAMMARS)
            raise ArgumentError("grammar", as_found(name), names, near)
        try:
            made = cls(fspath(name), file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise not_utf8("grammar", fspath(name), error) from None
        made.check_words()
        return made

    def check_words(self, *more: str) -> None:
        """Refuse text that a tokenizer would read as a special token, which comments may name.

        Grammars of existing corpora are not checked, so that these stay readable.

        Parameters
        ----------
        more : str
            Special tokens beside those of a grammar's own words.

        Raises
        ------
        ArgumentError
            With file and line.
        """
        words = list(dict.fromkeys([*_gen.SPECIAL_WORDS, *more]))
        if not any(word in self.source for word in words):
            return
        for found in _STRING.finditer(self.source):
            if found[0][0] != "#" and any(word in found[0] for word in words):
                line = self.source.count("\n", 0, found.start()) + 1
                allowed = f"text without {listed_text(words)}, which tokenizers reserve"
                raise ArgumentError(f"{self.file}, line {line}", found[0], allowed)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The contents of the grammar; see `behemoth.corpus.grammar_check.GrammarCheck`.

        Keys: name, language, about, digest, names and forms (their numbers), separator (of
        sentences), classes, relations (key, name, kind, of, objects, statements, questions, the
        numbers held out, edits, refuses, link_statements) and joint.
        """
        return json.loads(self._lexicon.facts)

    @cached_property
    def objects_end_words(self) -> bool:
        """Whether no sentence writes a letter or digit right after an object.

        One may in a language without spaces, or with endings.
        """
        keys = (relation["key"] for relation in self.facts["relations"])
        holes = "|".join(map(re.escape, ["object", *keys]))
        return re.search(rf"\{{(?:{holes})\}}[^\W_]", self.source) is None

    @cached_property
    def separator(self) -> str:
        """What stands between the sentences of a document."""
        return self.facts["separator"]

    @property
    def name(self) -> str:
        """The name in the grammar's text."""
        return self.facts["name"]

    @property
    def relations(self) -> list[dict[str, Any]]:
        """The relations of its worlds, as in a spec."""
        return json.loads(self._lexicon.relations)

    def world(self, subjects: int, *, seed: int = 0, minority: float = 0.0) -> World:
        """Make a world with the relations of this grammar.

        Parameters
        ----------
        subjects : int
            Number of subjects, at most the number of names, and of the objects of each one-to-one
            relation.
        seed : int
        minority : float
            Exact fraction of the facts of drawn relations that have a second object.
        """
        from .world import World

        spec = {
            "subjects": subjects,
            "seed": seed,
            "minority": minority,
            "relations": self.relations,
        }
        return World.from_spec(spec)

    def subjects_up_to(self, most: int) -> int:
        """Return the number of subjects of its largest world that has no more than `most`.

        Each subject needs a name, and an object of its own in every one-to-one relation.
        """
        own = (row["objects"] for row in self.facts["relations"] if row["kind"] == "one_to_one")
        return min(most, self.facts["names"], *own)

    def objects(self, relation: int, objects: Sequence[int]) -> list[str]:
        """Return the names of objects of a relation, without changes for the words around them."""
        import numpy as np

        return self._lexicon.objects(relation, np.asarray(objects, np.uint32))

    def ambiguities(self) -> list[str]:
        """Return a line for each place where two facts or the beginnings of answers read alike."""
        return self._lexicon.ambiguities()

    def sample_corpus(self, *, seed: int = 0) -> Corpus:
        """Return a small corpus that states each subject fact once."""
        from .corpus import Corpus

        subjects = self.subjects_up_to(1_000)
        has_links = any(relation["kind"] == "composed" for relation in self.relations)
        return Corpus(
            self.world(subjects, seed=seed),
            order="bios",
            nested_exposures=0 if has_links else None,
            grammar=self,
        )

    def samples(self, documents: int = 3, *, seed: int = 0) -> list[str]:
        """Return the first documents of a small corpus that states each subject fact once."""
        documents = whole_number("documents", documents)
        corpus = self.sample_corpus(seed=seed)
        found: list[str] = []
        # Documents of links exist, but are empty.
        for first in range(0, corpus.num_documents, 64):
            last = min(first + 64, corpus.num_documents)
            found += [text for text in corpus.texts(first, last) if text]
            if len(found) >= documents:
                break
        return found[:documents]

    @property
    def _lexicon(self) -> _gen.Lexicon:
        return self._words  # type: ignore[attr-defined]  # set in __post_init__


# A study names the grammar of each of its corpora, and parsing one takes the engine 70 ms.
@lru_cache(maxsize=8)
def _parsed(file: str, source: str) -> _gen.Lexicon:
    return _gen.Lexicon(file, source)


# A string or a comment of TOML. The text is matched, not parsed, because the engine reads TOML 1.1
# and Python 1.0.
_STRING = re.compile(
    r'"""[\s\S]*?"""|' r"'''[\s\S]*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'|#[^\n]*"
)


@dataclass(frozen=True)
class Text:
    """A grammar and the tokenizer of its text.

    Parameters
    ----------
    grammar : Grammar
    tokenizer : TextTokenizer, optional
        By default the words of the grammar are the tokens.
    """

    grammar: Grammar
    tokenizer: TextTokenizer | None = None

    @cached_property
    def lexicon(self) -> _gen.Lexicon:
        """The grammar in the tokens of the tokenizer."""
        if self.tokenizer is None:
            return self.grammar._lexicon
        return _gen.Lexicon(self.grammar.file, self.grammar.source, self.tokenizer.for_engine())

    @cached_property
    def lexicon_with_words(self) -> _gen.Lexicon:
        """`lexicon` with the tokenizer's words for a filler and its tokens that begin words.

        Without a tokenizer, words of a filler are made for each corpus, after all others.
        """
        if self.tokenizer is None:
            return self.lexicon
        return self.lexicon.with_words(self.tokenizer.for_engine(), *self.tokenizer.words())

    def __reduce__(self) -> tuple[Any, ...]:
        return Text, (self.grammar, self.tokenizer)

    @property
    def end_of_document(self) -> int:
        """The token that ends a document."""
        return END_OF_DOCUMENT if self.tokenizer is None else self.tokenizer.end_of_document

    @property
    def tokenizer_size(self) -> int | None:
        """Number of token ids of the tokenizer; None if the words are the tokens."""
        return None if self.tokenizer is None else self.tokenizer.size

    def check(self, corpus: Corpus, documents: int = 200) -> None:
        """Refuse a grammar with special tokens, and tokens that are not the tokenizer's.

        See `Grammar.check_words` and `check_tokens`, which raise the errors.
        """
        self.grammar.check_words(*(() if self.tokenizer is None else (self.tokenizer.end,)))
        self.check_tokens(corpus, documents)

    def check_tokens(self, corpus: Corpus, documents: int = 200) -> None:
        """Compare the tokens of a corpus's documents with the tokenizer's for their text.

        The documents are those with facts, as many as given, spread over the corpus without its
        filler and background. The first documents of `Corpus.filler_documents` are decoded, encoded
        again and compared, too. Sentences that are inserted in other documents are checked in
        separate documents.

        Raises
        ------
        ArgumentError
            With the text around the first token that differs.
        """
        if self.tokenizer is None:
            return  # its tokens are the words that the text is composed of
        if corpus.spec["corpus"].get("filler") is not None:
            self._check_filler(self.tokenizer, corpus)
        sampled = _sampled(without_others(corpus), documents)
        encoded = self.tokenizer.encode([text for text, _ in sampled])
        for (text, written), expected in zip(sampled, encoded, strict=True):
            if written == expected.ids:
                continue
            pairs = zip(written, expected.ids, strict=False)
            differs = (at for at, (a, b) in enumerate(pairs) if a != b)
            at = next(differs, min(len(written), len(expected.ids)) - 1)
            start, stop = expected.offsets[min(at, len(expected.offsets) - 1)]
            raise ArgumentError(
                "tokenizer",
                f"tokens other than those written at {text[max(start - 20, 0) : stop + 20]!r}",
                "a tokenizer that never merges across the space before a word",
            )

    @staticmethod
    def _check_filler(tokenizer: TextTokenizer, corpus: Corpus, documents: int = 20) -> None:
        written = [tokens[:-1].tolist() for tokens in corpus.filler_documents(0, documents)]
        texts = [tokenizer.decode(tokens) for tokens in written]
        for text, tokens, encoded in zip(texts, written, tokenizer.encode(texts), strict=True):
            if encoded.ids != tokens:
                allowed = "a tokenizer whose words have one token each, whatever stands around them"
                raise ArgumentError(
                    "filler", f"tokens other than those written for {text!r}", allowed
                )


def _sampled(corpus: Corpus, documents: int) -> list[tuple[str, list[int]]]:
    """Return the text and tokens of documents at equal distances, without ends of documents.

    Of a document that is empty, as those of omitted facts are, a later one takes the place.
    """
    found: list[tuple[str, list[int]]] = []
    places = range(min(documents, corpus.num_documents))
    starts = [place * corpus.num_documents // max(len(places), 1) for place in places]
    for start, stop in pairwise([*starts, corpus.num_documents]):
        for number in range(start, min(stop, start + _LOOKED_AT)):
            if text := corpus._native.texts(number, number + 1)[0]:
                *written, end = corpus.tokens(number, number + 1, threads=1).tolist()
                if end != corpus.end_of_document:
                    raise AssertionError("a document ends in the end of a document")
                found.append((text, written))
                break
    return found


def text_of(
    grammar: Grammar | str | PathLike[str] | None,
    tokenizer: TextTokenizer | str | PathLike[str] | None,
) -> Text | None:
    """Return the text settings for a grammar and a tokenizer that a user names, or None."""
    if grammar is None:
        if tokenizer is not None:
            got = fspath(tokenizer) if isinstance(tokenizer, str | PathLike) else tokenizer
            raise ArgumentError("tokenizer", got, "only with a grammar, whose text it encodes")
        return None
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    return Text(made, None if tokenizer is None else read_tokenizer(tokenizer))
