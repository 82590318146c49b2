"""The engine: worlds, corpora and shards, written in Rust.

Specs are passed as JSON and validated only in Rust. Counts are unsigned 64-bit
integers. Arrays are numpy arrays; every array argument must be one-dimensional,
contiguous and of exactly the dtype stated here.

Long calls release the GIL. Methods that iterate over facts, objects, documents
or shards stop within about a second of Ctrl-C. Calls that create an object
(`World`, `Corpus`, `Lexicon`, `Background`, `override`, `without`, `with_words`,
`as_roles`), properties, the `Decoder`, `Lexicon.objects`, `question_texts` and
the final sorting of `sample_facts` cannot be interrupted.

Errors (from `behemoth.support.errors`): `ArgumentError`, `CorpusError` for a directory that is
damaged, not a corpus, or of another spec or version, `OSError` (`PermissionError`,
`ENOSPC`, ...) for input and output, `KeyboardInterrupt` on Ctrl-C.
"""

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_U64: TypeAlias = NDArray[np.uint64]
_I32: TypeAlias = NDArray[np.int32]
_I64: TypeAlias = NDArray[np.int64]
_U32: TypeAlias = NDArray[np.uint32]
_Bool: TypeAlias = NDArray[np.bool_]
_Tokens: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]
_Progress: TypeAlias = Callable[[int, int], object]
_Ledger: TypeAlias = tuple[_U64, _U64, _U32, _U64, _U32, _U32, _I64, _U32, _Bool, _Bool]

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
    "fill_labelled",
    "label_answers",
    "parquet_documents",
    "place_tokens",
    "refusal_answers",
    "refusals",
    "version",
]

FORMAT_VERSION: int
"""Latest version of everything that decides the bytes of a corpus."""

FORMAT_VERSIONS: tuple[int, ...]
"""All versions, each of which can be read and written."""

TEMPLATES: list[dict[str, Any]]
"""Properties of each template: name, family, asks, is_question and filler_follows."""

GRAMMARS: list[tuple[str, str]]
"""Name and TOML of each grammar that is part of the engine."""

PUNCTUATION: str
"""Characters that are a token each in the tokenizer of a grammar's own words."""

SPECIAL_WORDS: list[str]
"""End of document, padding and unknown word of that tokenizer: ids 0, 1 and 2."""

def version() -> str:
    """Return the version of the engine."""

def digest(data: bytes) -> str:
    """Return the BLAKE3 digest of bytes, as 64 hexadecimal digits."""

def fill_labelled(
    corpus: Corpus,
    tokens: _I64,
    token: int,
    threads: int,
    labels: _I64,
    structure: NDArray[np.uint8] | None,
    blocks: tuple[int, int, _I32] | None,
) -> int:
    """Fill `tokens` from token offset `token` on; return the number of tokens written.

    The last ``len(labels)`` of them are labelled: as by `label_answers`, or with the tokens if
    there is no `structure`. `blocks` are length, end and positions for `place_tokens`.
    """

def label_answers(structure: NDArray[np.uint8], tokens: _I64, labels: _I64) -> None:
    """Write the labels of the last ``len(labels)`` tokens of a piece of a stream.

    A label is the token if it belongs to an answer, otherwise -100. `structure` is the effect of
    each token id: 1 begins a name, 2 opens an answer after two names, 3 closes it.
    """

def place_tokens(
    tokens: _I64, length: int, end: int, positions: _I32, labels: _I64, copied: bool
) -> None:
    """Write the position of each token in its document.

    It starts at 0 in every block of `length` tokens. The labels of the first tokens of documents
    are set to -100; the others are set to the tokens if `copied`, and otherwise left unchanged.
    All arrays have the same length and do not overlap.
    """

def refusals(
    corpus: Corpus, facts: _U64, wording_index: int
) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
    """Return prompts of facts in the format of `Corpus.probes`, with a refusal as the answer.

    All are empty if the wording cannot be a prompt or the grammar has no refusal.
    """

def edit_prompts(
    corpus: Corpus, facts: _U64, objects: _U32, number: int
) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
    """Return prompts of facts in an edit sentence of their relation and new objects as answers."""

def refusal_answers(corpus: Corpus) -> list[list[int]]:
    """Return the tokens of the refusals, each distinct one once."""

def digest_file(path: str | PathLike[str]) -> str:
    """Return the BLAKE3 digest of a file, as 64 hexadecimal digits."""

def parquet_documents(
    texts: NDArray[np.uint8],
    text_ends: _U64,
    tokens: _Tokens,
    ends: _U64,
    compressed: bool = True,
) -> NDArray[np.uint8]:
    """Return the bytes of a Parquet file with the columns `text` and `input_ids`.

    Takes the joined UTF-8 of all documents with the end of each, and all tokens with the end of
    each document, which has at least one token. Texts are `compressed` with Snappy.
    """

@final
class World:
    """A world of facts: a pure function of a spec and its seed, or a table.

    Parameters
    ----------
    spec : str
        World spec as JSON.
    table : dict of str to ndarray, optional
        Facts of a table world: ``subject`` uint64[n], ``relation`` uint32[n],
        ``object`` uint32[n], ``minority`` int64[n] and ``nested`` int64[n], the
        last two optional and with -1 for none. Rows in any order, (subject, relation) unique.
    format_version : int, optional
        Format version of its corpora; by default the latest.
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
        """Format version of its corpora."""
    @property
    def subjects(self) -> int:
        """Number of subjects."""
    @property
    def relations(self) -> int:
        """Number of subject relations, composed ones included."""
    @property
    def link_relations(self) -> int:
        """Number of link relations (object to nested object), one for each composed relation."""
    @property
    def facts(self) -> int:
        """Number of facts: subject facts, then link facts."""
    @property
    def subject_facts(self) -> int:
        """Number of subject facts."""
    @property
    def entropy_bits(self) -> float:
        """Entropy of the facts, in bits."""
    def relation_table(self) -> str:
        """Return a JSON list with one entry for each relation id, links included."""
    def objects(self, subjects: _U64, relations: _U32) -> _U32:
        """Return the objects of (subject, relation) pairs."""
    def facts_range(self, start: int, stop: int) -> tuple[_U64, _U32, _U32, _I64]:
        """Return subject, relation, object and minority (-1 for none) of facts start..stop."""
    def facts_of(self, facts: _U64) -> tuple[_U64, _U32, _U32, _I64]:
        """Return subject, relation, object and minority (-1 for none) of some facts."""
    def fact_ids(self, subjects: _U64, relations: _U32) -> _U64:
        """Return the fact ids of (subject, relation) pairs."""
    def links(self, relation: int) -> _U32:
        """Return the map object -> nested object of a composed relation, 2**32 - 1 if unknown."""
    @property
    def overrides(self) -> tuple[_U64, _U32, bool]:
        """Facts with other objects than the spec draws, sorted; these; whether others follow."""
    def override(self, facts: _U64, objects: _U32, follow: bool) -> World:
        """Return this world with other objects for some facts."""

_Encode: TypeAlias = Callable[[list[str]], tuple[_U32, _U32, _U32, _U32]]

@final
class Lexicon:
    """A text grammar compiled with one tokenizer.

    Parameters
    ----------
    file : str
        Name of the grammar in errors.
    text : str
        The grammar, as TOML.
    tokenizer : (callable, str, int, int), optional
        Function that encodes texts to the concatenated ids, starts and ends (in characters) of
        all their tokens and the number of tokens of each text; digest of the tokenizer; number of
        ids; id of the end of a document. By default the words of the grammar are the tokens.
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
        """Return this lexicon with words for a filler and the tokens that begin words.

        `candidates` are words, each with its form at the beginning of a text and its form within
        one; `begins` are the tokens that begin with a space.
        """
    @property
    def facts(self) -> str:
        """Description of the grammar, as JSON."""
    @property
    def tokenizer(self) -> str:
        """Digest of its tokenizer."""
    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
    @property
    def relations(self) -> str:
        """Relations of a world for this grammar, as JSON."""
    def ambiguities(self) -> list[str]:
        """Return ambiguities: facts with the same text, or answers that begin another answer."""
    def objects(self, relation: int, objects: _U32) -> list[str]:
        """Return objects as text, without adjacent text."""

@final
class Decoder:
    """A decoder of documents to text, with a table of the bytes of every token.

    Parameters
    ----------
    opening : bytes
        Concatenated bytes of every token at the beginning of a document, in the order of the ids.
    opening_ends : uint64[tokens]
        End offset of the bytes of each token.
    within, within_ends : bytes, uint64[tokens]
        The same for tokens after other tokens.
    end : int
        The token that ends a document.
    """

    def __new__(
        cls, opening: bytes, opening_ends: _U64, within: bytes, within_ends: _U64, end: int
    ) -> Decoder: ...
    def write_lines(self, path: str | PathLike[str], pieces: Iterable[_Tokens]) -> str:
        """Write a file with a line of UTF-8 for each document; every piece has complete documents.

        Line ends within a document become spaces, and invalid UTF-8 becomes U+FFFD. Returns the
        BLAKE3 digest of the file, as 64 hexadecimal digits.
        """

    def texts(self, tokens: _Tokens, ends: _U64) -> list[str]:
        """Decode documents to texts; `ends` has one past the last token of each, which is omitted.

        Ends may be equal, but must not decrease.
        """

    def write_parquet(
        self, path: str | PathLike[str], tokens: _Tokens, compressed: bool = True
    ) -> str:
        """Write a Parquet file of complete documents, as `parquet_documents` returns it.

        Returns the BLAKE3 digest of the file, as 64 hexadecimal digits.
        """

@final
class Background:
    """Documents of an existing tokenised corpus.

    Parameters
    ----------
    files : list of path
        Files of raw little-endian tokens, which are concatenated.
    width : int
        Size of a token in bytes: 2 or 4.
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
        """BLAKE3 digest of its tokens and the ends of its documents."""
    @property
    def documents(self) -> int:
        """Number of documents."""
    @property
    def tokens(self) -> int:
        """Number of tokens in all documents, added ends included."""

@final
class Corpus:
    """The ordered token stream of all sentences of a world.

    Parameters
    ----------
    world : World
    spec : str
        Corpus spec as JSON.
    exposures : uint32[facts], optional
        Exposures of each fact, if the spec has the form ``array``.
    lexicon : Lexicon, optional
        Text grammar that replaces the templates.
    background : Background, optional
        Documents to mix with those of the corpus.
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
        """World of the corpus, overrides included."""
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
        """Number of documents with facts."""
    def document_kinds(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the kinds of documents start..stop: 0 facts, 1 filler, 2 background."""
    def document_lengths(self, start: int, stop: int) -> _U64:
        """Return the number of tokens in each of the documents start..stop, its end included."""
    def filler_documents(self, start: int, stop: int) -> list[_U32]:
        """Return held-out documents of the filler, which are in no corpus."""
    @property
    def shards(self) -> int:
        """Number of shards."""
    @property
    def thread_bytes(self) -> int:
        """Upper bound of the bytes of the buffers of each thread that writes shards."""
    @property
    def dtype(self) -> str:
        """``uint16`` if every token id fits, otherwise ``uint32``."""
    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
    @property
    def document_tokens(self) -> int | None:
        """Number of tokens in every document, or None if it varies."""
    @property
    def estimated_bytes(self) -> int:
        """Bytes of all shards; exact if all documents have the same length."""
    @property
    def vocabulary(self) -> str:
        """The partition of token ids as JSON."""
    @property
    def templates(self) -> str:
        """Every compiled wording as JSON."""
    @property
    def exposure_classes(self) -> str:
        """Number of facts at each number of exposures, as JSON."""
    def token_count(self, threads: int = 0, progress: _Progress | None = None) -> int:
        """Return the exact number of tokens; immediate if all documents have the same length."""
    def tokens(self, start: int, stop: int, threads: int = 0) -> _Tokens:
        """Return the tokens of documents start..stop, in the corpus dtype."""
    def fill(self, out: NDArray[Any], start: int) -> int:
        """Fill ``out`` (uint16, uint32, int32 or int64) starting at document ``start``.

        Returns the number of tokens written, less than ``len(out)`` only at the end of the corpus.
        """
    def fill_tokens(self, out: NDArray[Any], token: int, threads: int = 0) -> int:
        """Fill ``out`` starting at token offset ``token``; return the number of tokens written."""
    def exposures(self, facts: _U64) -> _U64:
        """Return the number of times each fact is written."""
    def ledger(self, facts: _U64) -> _Ledger:
        """Return every sentence of some facts.

        Arrays of the same length, the sum of the facts' exposures: fact, copy, wording (an index
        into `templates`), document, position in the document, offset of the first token in the
        document, document of the background that it is inserted into (-1 for none), object,
        whether it is the minority object and whether one sentence states it with other facts, in
        none of the wordings.
        """
    def entries(self, start: int, stop: int) -> _Ledger:
        """Return every sentence of documents start..stop, in order, in the format of `ledger`."""
    def sample_facts(self, n: int) -> _U64:
        """Return a sorted sample of `n` facts without replacement, a function of the seed."""
    def probes(
        self, facts: _U64, wording_index: int, combination: int | None = None
    ) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
        """Return prompts and answers of facts in one wording, and the rests of the sentences.

        Concatenated tokens of the prompts and the end of each, then the same for the answers and
        for the rests of the sentences. For templates the rest is always a period, even if fillers
        precede it in the corpus. All are empty for a fact that the wording cannot ask for. Fillers
        of the repeats grammar are drawn, or those of a combination.
        """
    def answers(
        self, facts: _U64, objects: _U32, wording_index: int
    ) -> tuple[_U32, _U64, _U32, _U64, _U32, _U64]:
        """Return prompts and answers in the format of `probes`, with other objects as answers."""
    def question_texts(self, facts: _U64, wording_index: int) -> tuple[list[str], list[str]]:
        """Return questions about facts and their answers, for a corpus written with a grammar.

        Both are empty if the relation has no question in this wording.
        """
    def texts(self, start: int, stop: int) -> list[str]:
        """Return documents of a corpus written with a grammar as text.

        For documents of a filler or a background, only the inserted sentences are returned.
        """
    def as_roles(self) -> Corpus:
        """Return the same stream with roles instead of token ids.

        0 grammar, 1 subject, 2 object, 3 end of a document, 4 filler or background.
        """
    def spans(self, start: int, stop: int) -> tuple[_U64, _U32, _U64, _U64, _U32, _U32, _U32]:
        """Return mentions: document, sentence, fact, copy, role, first token, end."""
    def seen_in_questions(self, facts: _U64) -> _Bool:
        """Return, for each fact, whether the corpus has questions about its subject."""
    def override(self, facts: _U64, objects: _U32, follow: bool) -> Corpus:
        """Return the twin with other objects for some facts."""
    def without(self, facts: _U64) -> Corpus:
        """Return the twin without the sentences of some facts."""
    def write(
        self,
        out: str,
        threads: int = 0,
        part: tuple[int, int] = ...,
        force: bool = False,
        progress: _Progress | None = None,
    ) -> str:
        """Write the shards of a part, resuming an earlier call; return a JSON summary."""
    def verify(self, directory: str, threads: int = 0, progress: _Progress | None = None) -> str:
        """Check every shard against its record and the spec; return a JSON report."""
