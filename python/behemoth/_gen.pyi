"""The engine: worlds, corpora and shards, written in Rust.

Specs cross the border as JSON text and are validated in Rust alone. Counts are
unsigned 64-bit integers. Arrays are numpy arrays; every array argument must be
one-dimensional, contiguous and of exactly the dtype named here.

What takes long releases the GIL. Methods that go through facts, documents or
shards stop within about a second of Ctrl-C. What makes an object (`World`,
`Corpus`, `Lexicon`, `Background`, `override`, `without`, `with_words`,
`as_roles`), properties, the `Decoder`, `question_texts` and the last sorting
of `sample_facts` run to their end.

Errors (of `behemoth.support.errors`): `ArgumentError`, `CorpusError` for a directory that is
damaged, locked or of another spec or version, `OSError` (`PermissionError`,
`ENOSPC`, ...) for input and output, `KeyboardInterrupt` on Ctrl-C.
"""

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_U64: TypeAlias = NDArray[np.uint64]
_I64: TypeAlias = NDArray[np.int64]
_U32: TypeAlias = NDArray[np.uint32]
_Bool: TypeAlias = NDArray[np.bool_]
_Tokens: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]
_Progress: TypeAlias = Callable[[int, int], object]
_Ledger: TypeAlias = tuple[_U64, _U64, _U32, _U64, _U32, _U32, _I64, _U32, _Bool]

__all__ = [
    "FORMAT_VERSION",
    "FORMAT_VERSIONS",
    "GRAMMARS",
    "PUNCTUATION",
    "SPECIAL_WORDS",
    "TEMPLATES",
    "Background",
    "Corpus",
    "Decoder",
    "Lexicon",
    "World",
    "digest",
    "digest_file",
    "edit_prompts",
    "label_answers",
    "number_documents",
    "refusal_answers",
    "refusals",
    "version",
]

FORMAT_VERSION: int
"""Latest version of everything that decides the bytes of a corpus."""

FORMAT_VERSIONS: tuple[int, ...]
"""All versions, each of which is read and written."""

TEMPLATES: list[dict[str, Any]]
"""The templates: name, family, asks, is_question and filler_follows of each."""

GRAMMARS: list[tuple[str, str]]
"""Name and TOML text of the grammars that come with the engine."""

PUNCTUATION: str
"""Characters that are a token each in the tokenizer of a grammar's own words."""

SPECIAL_WORDS: list[str]
"""Its end of document, padding and unknown word: ids 0, 1 and 2."""

def version() -> str:
    """The version of the engine."""

def digest(data: bytes) -> str:
    """BLAKE3 of bytes, 64 hexadecimal digits."""

def label_answers(structure: NDArray[np.uint8], tokens: _I64, labels: _I64) -> None:
    """Write the labels of the last ``len(labels)`` tokens of a piece of a stream.

    A label is the token where that belongs to an answer, else -100. `structure` says by id what
    a token does: 1 names something, 2 opens an answer behind two names, 3 closes it.
    """

def number_documents(
    tokens: _I64,
    length: int,
    end: int,
    positions: _I64,
    numbers: _I64,
    labels: _I64,
    copied: bool,
) -> None:
    """Write the place of each token in its document and the number of its document.

    Both count from 0 in every block of `length` tokens. The first tokens of documents get -100
    for a label; other labels are the tokens if `copied`, and else stay. All arrays are of one
    length, and none is another.
    """

def refusals(
    corpus: Corpus, facts: _U64, wording_index: int
) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
    """Prompts of facts as `Corpus.probes` gives them, with a refusal for an answer.

    All are empty where the wording cannot ask, or the grammar does not say how it refuses.
    """

def edit_prompts(
    corpus: Corpus, facts: _U64, objects: _U32, number: int
) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
    """Prompts of facts in a sentence of their relation that says a new object, the answer."""

def refusal_answers(corpus: Corpus) -> list[list[int]]:
    """The tokens of refusals, each way that they are written once."""

def digest_file(path: str | PathLike[str]) -> str:
    """BLAKE3 of a file, 64 hexadecimal digits."""

@final
class World:
    """All facts: a pure function of a spec and its seed.

    Parameters
    ----------
    spec : str
        World spec as JSON.
    table : dict of str to ndarray, optional
        Facts of a table world: ``subject`` uint64[n], ``relation`` uint32[n],
        ``object`` uint32[n], ``minority`` int64[n] and ``nested`` int64[n], the
        last two with -1 for none. Rows in any order, (subject, relation) unique.
    format_version : int, optional
        The latest by default.
    """

    def __new__(
        cls,
        spec: str,
        table: dict[str, NDArray[Any]] | None = None,
        format_version: int | None = None,
    ) -> World: ...
    @property
    def spec(self) -> str:
        """The normalised spec as JSON."""
    @property
    def format_version(self) -> int:
        """Version of the bytes that its corpora have."""
    @property
    def subjects(self) -> int:
        """Number of subjects."""
    @property
    def relations(self) -> int:
        """Number of subject relations, composed ones included."""
    @property
    def link_relations(self) -> int:
        """Number of link relations (object to nested object), one a composed relation."""
    @property
    def facts(self) -> int:
        """Number of facts: subject facts, then link facts."""
    @property
    def subject_facts(self) -> int:
        """Number of subject facts."""
    @property
    def entropy_bits(self) -> float:
        """What is free to choose, in bits."""
    def relation_table(self) -> str:
        """JSON list with one entry a relation id, links included."""
    def objects(self, subjects: _U64, relations: _U32) -> _U32:
        """Objects of (subject, relation) pairs."""
    def facts_range(self, start: int, stop: int) -> tuple[_U64, _U32, _U32, _I64]:
        """Subject, relation, object and minority (-1 for none) of facts start..stop."""
    def facts_of(self, facts: _U64) -> tuple[_U64, _U32, _U32, _I64]:
        """Subject, relation, object and minority (-1 for none) of the facts given."""
    def fact_ids(self, subjects: _U64, relations: _U32) -> _U64:
        """Fact ids of (subject, relation) pairs."""
    def links(self, relation: int) -> _U32:
        """The map object -> nested object of a composed relation."""
    def override(self, facts: _U64, objects: _U32, follow: bool) -> World:
        """The same world with other objects for the facts given."""

_Encode: TypeAlias = Callable[[list[str]], tuple[_U32, _U32, _U32, _U32]]

@final
class Lexicon:
    """A text grammar in the tokens of one tokenizer.

    Parameters
    ----------
    file : str
        What refusals call it.
    text : str
        The grammar, as TOML.
    tokenizer : (callable, str, int, int), optional
        Encodes texts to the ids, first letters and ends (in characters) of all their tokens, end
        to end, and how many each text has; its digest; number of ids; the end of a document, one
        of them. By default the words of the grammar are the tokens.
    """

    def __new__(
        cls, file: str, text: str, tokenizer: tuple[_Encode, str, int, int] | None = None
    ) -> Lexicon: ...
    def with_words(
        self,
        tokenizer: tuple[_Encode, str, int, int],
        candidates: list[tuple[str, str]],
        begins: list[int],
    ) -> Lexicon:
        """The same with words of its tokenizer for a filler, and where words begin.

        Words are as they open a text, and as they stand within one; `begins` are the tokens that
        begin with a space.
        """
    @property
    def facts(self) -> str:
        """What the grammar is made of, as JSON."""
    @property
    def tokenizer(self) -> str:
        """Digest of its tokenizer."""
    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
    @property
    def relations(self) -> str:
        """The relations of a world of it, as JSON."""
    def ambiguities(self) -> list[str]:
        """Where two facts read alike, or an answer begins as another one does."""
    def objects(self, relation: int, objects: _U32) -> list[str]:
        """How objects are written where nothing touches them."""

@final
class Decoder:
    """Writes documents as text, by a table of the bytes of every token.

    Parameters
    ----------
    opening : bytes
        Those of every token where it opens a document, by id and end to end.
    opening_ends : uint64[tokens]
        Where those of each end.
    within, within_ends : bytes, uint64[tokens]
        The same behind other tokens.
    end : int
        The token that ends a document.
    """

    def __new__(
        cls, opening: bytes, opening_ends: _U64, within: bytes, within_ends: _U64, end: int
    ) -> Decoder: ...
    def lines(self, tokens: _Tokens) -> NDArray[np.uint8]:
        """Documents as lines of UTF-8; what ends a line inside of one is a space.

        Tokens behind the last end of a document are left out; bytes that are no UTF-8 are U+FFFD.
        """

    def texts(self, tokens: _Tokens, ends: _U64) -> list[str]:
        """Documents as texts; `ends` has one past the last token of each, which is left out.

        Ends may be equal, and do not fall.
        """

@final
class Background:
    """Documents of an existing tokenised corpus.

    Parameters
    ----------
    files : list of path
        Raw little-endian tokens, one file after the other.
    width : int
        Bytes of a token: 2 or 4.
    end : int
        The token that ends a document.
    ends : uint64[documents], optional
        One past the last token of each document, over all files; by default documents end at
        each `end`.
    """

    def __new__(
        cls,
        files: list[str],
        width: int,
        end: int,
        ends: NDArray[np.uint64] | None = None,
    ) -> Background: ...
    @property
    def digest(self) -> str:
        """BLAKE3 of its tokens and of where its documents end."""
    @property
    def documents(self) -> int:
        """Number of documents."""
    @property
    def tokens(self) -> int:
        """Tokens of all documents, the ends that they get included."""

@final
class Corpus:
    """The ordered token stream of all sentences of a world.

    Parameters
    ----------
    world : World
    spec : str
        Corpus spec as JSON.
    exposures : uint32[facts], optional
        Exposures of each fact where the spec says ``array``.
    lexicon : Lexicon, optional
        Writes text in place of templates.
    background : Background, optional
        Documents to stand between its own.
    """

    def __new__(
        cls,
        world: World,
        spec: str,
        exposures: _U32 | None = None,
        lexicon: Lexicon | None = None,
        background: Background | None = None,
    ) -> Corpus: ...
    @property
    def spec(self) -> str:
        """The full normalised spec as JSON: format_version, world, corpus."""
    @property
    def spec_hash(self) -> str:
        """BLAKE3 of the full spec."""
    @property
    def spec_toml(self) -> str:
        """The full spec as TOML."""
    @property
    def world(self) -> World:
        """The world it was made from."""
    @property
    def facts(self) -> int:
        """Number of facts."""
    @property
    def sentences(self) -> int:
        """Number of sentences."""
    @property
    def documents(self) -> int:
        """Number of documents."""
    @property
    def fact_documents(self) -> int:
        """Number of documents that say facts."""
    def document_kinds(self, start: int, stop: int) -> NDArray[np.uint8]:
        """What documents start..stop say: 0 facts, 1 a filler, 2 a background."""
    def document_lengths(self, start: int, stop: int) -> _U64:
        """Tokens of each of the documents start..stop, its end included."""
    def filler_documents(self, start: int, stop: int) -> list[_U32]:
        """Documents of the filler's language that are in no corpus."""
    @property
    def shards(self) -> int:
        """Number of shards."""
    @property
    def dtype(self) -> str:
        """``uint16`` when every token id fits, else ``uint32``."""
    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
    @property
    def document_tokens(self) -> int | None:
        """Tokens of every document, where it is one number."""
    @property
    def estimated_bytes(self) -> int:
        """Bytes of all shards; exact where documents have one length."""
    @property
    def vocabulary(self) -> str:
        """The partition of token ids as JSON."""
    @property
    def templates(self) -> str:
        """Every compiled wording as JSON."""
    @property
    def exposure_classes(self) -> str:
        """How many facts have how many exposures, as JSON."""
    def token_count(self, threads: int = 0, progress: _Progress | None = None) -> int:
        """Exact number of tokens; instant where documents have one length."""
    def tokens(self, start: int, stop: int, threads: int = 0) -> _Tokens:
        """Tokens of documents start..stop, in the corpus dtype."""
    def fill(self, out: NDArray[Any], start: int) -> int:
        """Fill ``out`` (uint16, uint32, int32 or int64) from document ``start``.

        Returns the number of tokens written, below ``len(out)`` only at the end.
        """
    def fill_tokens(self, out: NDArray[Any], token: int, threads: int = 0) -> int:
        """Fill ``out`` from token offset ``token``; returns the number of tokens written."""
    def exposures(self, facts: _U64) -> _U64:
        """How often each fact is written."""
    def ledger(self, facts: _U64) -> _Ledger:
        """Every sentence of the facts given.

        Arrays of one length, the sum of the facts' exposures: fact, copy,
        wording (an index into `templates`), document, place in the document, first token in the
        document, document of the background that it is inserted in (-1 for none), object and
        whether it is the minority object.
        """
    def entries(self, start: int, stop: int) -> _Ledger:
        """Every sentence of documents start..stop, in order; the same arrays."""
    def sample_facts(self, n: int) -> _U64:
        """An exact sample of facts without replacement, sorted, keyed by the seed."""
    def probes(
        self, facts: _U64, wording_index: int, combination: int | None = None
    ) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
        """Prompts and answers of facts in one wording, and what follows the answers.

        Prompt tokens end to end, where each prompt ends; the same of answers and of the rest of
        the sentences, which of templates is always a period, also where fillers stand before it
        in the corpus. Of a fact that the wording cannot ask for, all are empty. Fillers of the
        repeats grammar are drawn, or those of a combination.
        """
    def answers(
        self, facts: _U64, objects: _U32, wording_index: int
    ) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
        """The same with other objects in the places of the facts' own."""
    def question_texts(self, facts: _U64, wording_index: int) -> tuple[list[str], list[str]]:
        """Questions about facts and their answers, apart, of a corpus that has a grammar.

        Both are empty where the relation has no question of the wording.
        """
    def texts(self, start: int, stop: int) -> list[str]:
        """Documents of a corpus that is written with a grammar, as text."""
    def as_roles(self) -> Corpus:
        """The same stream with the role of each token in its place: 0 to 3."""
    def spans(self, start: int, stop: int) -> tuple[_U64, _U32, _U64, _U64, _U32, _U32, _U32]:
        """Mentions: document, sentence, fact, copy, role, first token, end."""
    def seen_in_questions(self, facts: _U64) -> _Bool:
        """Whether the corpus asks questions about each fact's subject."""
    def override(self, facts: _U64, objects: _U32, follow: bool) -> Corpus:
        """The twin with other objects for the facts given."""
    def without(self, facts: _U64) -> Corpus:
        """The twin without the sentences of the facts given."""
    def write(
        self,
        out: str,
        threads: int = 0,
        part: tuple[int, int] = ...,
        force: bool = False,
        progress: _Progress | None = None,
    ) -> str:
        """Write the shards of a part, resuming what is there; returns a JSON summary."""
    def verify(self, directory: str, threads: int = 0, progress: _Progress | None = None) -> str:
        """Check every shard against its record and the spec; returns a JSON report."""
