"""Text grammars: how facts are said in a language, as data.

A grammar is a TOML file: for each relation statements and questions with holes, names and objects
as products of lists. The engine reads it, says what is wrong with it, and compiles it with a
tokenizer; here are the ways to come by one. Which keys a file may have is told in docs/worlds.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth import _gen
from behemoth.support.errors import ArgumentError, nearest

from .text_tokenizer import TextTokenizer, read_tokenizer
from .tokens import END_OF_DOCUMENT

if TYPE_CHECKING:
    from .corpus import Corpus
    from .world import World

__all__ = ["GRAMMARS", "Grammar", "Text", "text_of"]

GRAMMARS = tuple(name for name, _ in _gen.GRAMMARS)
"""Names of the grammars that come with the package."""


@dataclass(frozen=True)
class Grammar:
    """A text grammar, as its file says it.

    Parameters
    ----------
    file : str
        What refusals call it.
    source : str
        The TOML text.

    Raises
    ------
    ArgumentError
        With file, line and key, when the text is no grammar.

    Examples
    --------
    >>> grammar = Grammar.named("bios-en")
    >>> grammar.world(subjects=1_000).num_facts  # and a link from each employer to its city
    6260
    """

    file: str
    source: str

    def __post_init__(self) -> None:
        # Not kept as a field: it is a thing of this process, and a grammar goes to others.
        object.__setattr__(self, "_words", _gen.Lexicon(self.file, self.source))

    def __getstate__(self) -> tuple[str, str]:
        return self.file, self.source

    def __setstate__(self, state: tuple[str, str]) -> None:
        for name, value in zip(("file", "source"), state, strict=True):
            object.__setattr__(self, name, value)
        self.__post_init__()

    @classmethod
    def named(cls, name: str | PathLike[str]) -> Grammar:
        """Take a grammar that comes with the package, or read a file.

        Parameters
        ----------
        name : str or path
            One of `GRAMMARS`, or the path of a TOML file.

        Raises
        ------
        ArgumentError
            When it is neither, or the file is no grammar.
        """
        for known, source in _gen.GRAMMARS:
            if known == name:
                return cls(known, source)
        file = Path(name)
        if not file.is_file():
            names = f"a grammar file, or {', '.join(GRAMMARS)}"
            near = nearest(fspath(name), GRAMMARS)
            raise ArgumentError("grammar", fspath(name), names, near)
        try:
            return cls(fspath(name), file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ArgumentError("grammar", f"{fspath(name)}: {error}", "UTF-8 text") from None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What it is made of.

        Keys: name, language, about, digest, names and forms (how many there are), classes,
        relations (key, name, kind, of, objects, statements, questions, those held out,
        edits, refuses, link_statements) and joint.
        """
        return json.loads(self._lexicon.facts)

    @property
    def name(self) -> str:
        """Its name."""
        return self.facts["name"]

    @property
    def relations(self) -> list[dict[str, Any]]:
        """The relations of a world of it, as specs have them."""
        return json.loads(self._lexicon.relations)

    def world(self, subjects: int, *, seed: int = 0, minority: float = 0.0) -> World:
        """Make a world with the relations of this grammar.

        Parameters
        ----------
        subjects : int
            At most as many as there are names.
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

    def objects(self, relation: int, objects: Sequence[int]) -> list[str]:
        """Write objects of a relation as they read where nothing touches them."""
        import numpy as np

        return self._lexicon.objects(relation, np.asarray(objects, np.uint32))

    def ambiguities(self) -> list[str]:
        """Say where two facts read alike, or an answer begins as another one does: a line each."""
        return self._lexicon.ambiguities()

    def samples(self, documents: int = 3, *, seed: int = 0) -> list[str]:
        """Write the first documents of a small corpus about subjects, each fact once."""
        from .corpus import Corpus

        subjects = min(self.facts["names"], 1_000)
        has_links = any(relation["kind"] == "composed" for relation in self.relations)
        corpus = Corpus(
            self.world(subjects, seed=seed),
            order="bios",
            nested_exposures=0 if has_links else None,
            grammar=self,
        )
        found: list[str] = []
        # Documents of links are there, and say nothing.
        for first in range(0, corpus.num_documents, 64):
            last = min(first + 64, corpus.num_documents)
            found += [text for text in corpus.texts(first, last) if text]
            if len(found) >= documents:
                break
        return found[:documents]

    @property
    def _lexicon(self) -> _gen.Lexicon:
        return self._words  # type: ignore[attr-defined]  # set in __post_init__


@dataclass(frozen=True)
class Text:
    """A grammar and the tokenizer that it is written with.

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
        """The same with all words of the tokenizer that a filler can say, and where words begin.

        Words of the grammar's own tokenizer are made for each corpus, after all others.
        """
        if self.tokenizer is None:
            return self.lexicon
        return self.lexicon.with_words(self.tokenizer.for_engine(), *self.tokenizer.words())

    def __getstate__(self) -> tuple[Grammar, TextTokenizer | None]:
        return self.grammar, self.tokenizer

    def __setstate__(self, state: tuple[Grammar, TextTokenizer | None]) -> None:
        for name, value in zip(("grammar", "tokenizer"), state, strict=True):
            object.__setattr__(self, name, value)

    @property
    def end_of_document(self) -> int:
        """The token that ends a document."""
        return END_OF_DOCUMENT if self.tokenizer is None else self.tokenizer.end_of_document

    @property
    def tokenizer_size(self) -> int | None:
        """Number of token ids of the tokenizer; none where the words are the tokens."""
        return None if self.tokenizer is None else self.tokenizer.size

    def check(self, corpus: Corpus, documents: int = 200) -> None:
        """Hold the tokens of a corpus's first documents to what the tokenizer makes of their text.

        So are the first documents of a filler that are in no corpus, by what the tokenizer writes
        its tokens as. Where sentences are inserted in others' documents, they are looked at in
        their own.

        Raises
        ------
        ArgumentError
            With the text around the first token that differs.
        """
        if self.tokenizer is None:
            return  # its tokens are the words that the text was put together from
        if corpus.spec["corpus"].get("filler") is not None:
            self._check_filler(self.tokenizer, corpus)
        corpus = corpus.without_insert()
        count = min(documents, corpus.num_documents)
        texts = corpus._native.texts(0, count)
        encoded = self.tokenizer.encode(texts)
        end = corpus.end_of_document
        says_facts = corpus.says_facts(0, count)
        for number, (text, expected) in enumerate(zip(texts, encoded, strict=True)):
            if not says_facts[number]:
                continue  # of others, which are known as tokens alone
            written = corpus.tokens(number, number + 1, threads=1).tolist()
            if text and written.pop() != end:
                raise AssertionError("a document ends in the end of a document")
            if written == expected.ids:
                continue
            pairs = zip(written, expected.ids, strict=False)
            differs = (at for at, (a, b) in enumerate(pairs) if a != b)
            at = next(differs, min(len(written), len(expected.ids)) - 1)
            start, stop = expected.offsets[min(at, len(expected.offsets) - 1)]
            raise ArgumentError(
                "tokenizer",
                f"other tokens than were written at {text[max(start - 20, 0) : stop + 20]!r}",
                "a tokenizer that never merges over the space before a word",
            )

    @staticmethod
    def _check_filler(tokenizer: TextTokenizer, corpus: Corpus, documents: int = 20) -> None:
        written = [tokens[:-1].tolist() for tokens in corpus.filler_documents(0, documents)]
        texts = [tokenizer.decode(tokens) for tokens in written]
        for text, tokens, encoded in zip(texts, written, tokenizer.encode(texts), strict=True):
            if encoded.ids != tokens:
                allowed = "a tokenizer whose words have one token each, whatever stands around them"
                raise ArgumentError(
                    "filler", f"other tokens than were written of {text!r}", allowed
                )


def text_of(
    grammar: Grammar | str | PathLike[str] | None, tokenizer: str | PathLike[str] | None
) -> Text | None:
    """Make of what a user names what a corpus is written with; none without a grammar."""
    if grammar is None:
        if tokenizer is not None:
            raise ArgumentError(
                "tokenizer", fspath(tokenizer), "only with a grammar, whose text it encodes"
            )
        return None
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    return Text(made, None if tokenizer is None else read_tokenizer(tokenizer))
