"""A corpus: the ordered token stream of all sentences of a world, with or without a directory.

This file is longer than others because the one class is the complete interface of a corpus: most
of its lines are docstrings and signatures, and methods of more than a few lines are implemented in
other modules of the package. Its methods stand in this order: making a corpus; its spec, and what
the spec refers to; its numbers; its vocabulary and text; tokens; documents; facts; twins; its
directory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from behemoth import _gen
from behemoth.store.source import at_hand
from behemoth.support.checks import flag, integral, is_url, path_of, whole_number
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.progress import ProgressLike, task

from .arrays import (
    chosen_facts,
    fact_column,
    fact_numbers,
    fillable,
    follows,
    kept,
    overrides,
    relation_id,
    whole,
)
from .background import Background, background_of
from .blocks import Blocks
from .grammar import Grammar, Text, text_of
from .lettering import Lettering, lettering_of
from .manifest import read_manifest
from .mixture import Filler, Insert, Scheduled
from .native import native_corpus, split_exposures
from .objects import ObjectTokens
from .shards import open_shard
from .source import read_source
from .spec import Documents, Exposures, Order, Questions, Template
from .tokens import END_OF_DOCUMENT, PADDING
from .twins import exchanged, remade, without_insert
from .world import World

if TYPE_CHECKING:
    import polars as pl

    from .decoding import Decoder
    from .text_tokenizer import TextTokenizer
    from .write import Written


class Corpus:
    """All sentences of a world in one order: a pure function of spec and seed.

    Parameters
    ----------
    world : World
    exposures : int, str, `Constant`, `Groups`, `ZipfExposures` or array_like of int
        Number of times each fact is written: one number, a form (also as text, such as
        ``"groups:1,4,16"``, ``"latin:1,4"`` or ``"zipf:alpha=1,min=1,max=1000"``), or
        a number for each fact.
    order : {'shuffle', 'bios'}
        Documents of a single sentence each, or documents of one subject's sentences.
    order_seed : int, optional
        Key of the order alone; the world's seed by default. Wordings follow the world's seed.
    nested_exposures : int, optional
        Exposures of each link fact; by default the maximum of any fact. None if `exposures` has
        numbers for link facts too.
    documents_per_subject : int, optional
        Number of documents per subject with ``bios``; by default the minimum exposures of any
        fact, links included and zeros ignored.
    templates : mapping of template to weight, optional
        Weights of the templates; ``{"default": 1.0}`` by default.
    inversion : float
        Share of sentences in the inverted orders.
    exact_shares : bool
        If true, the shares of templates are exact over the corpus instead of drawn.
    questions : Questions, optional
    minority_sentences : float
        Share of minority objects in the sentences of facts that have one; exact.
    paraphrases : int or str
        Number of wordings of each template, including the template itself; or, as text such as
        ``"4:1"``, with that of `held_out` after a colon.
    held_out : int
        Number of wordings that are never written, the last ones.
    nonsense_words : int
        Number of fillers of the nonsense grammar. (The reference draws from 1,004: its 1,000 and
        the four words of its questions, which it mistakes for fillers because of the first letter
        of their names.)
    base : int
        Base of the digits that words are made from.
    shard_bytes : int, optional
        Target size of shards, each of at least one page of 1,024 documents.
    documents : Documents, optional
        Layout of the documents, with ``bios``.
    schedule : str, `Scheduled` or sequence of `Scheduled`, optional
        Positions of copies in the corpus; as text ``"early:0.1"``, ``"late:0.5@0.1"`` (for a
        tenth of the facts), ``"distance:0.2@16x"`` (for facts with 16 exposures), ``"spaced"``,
        ``"bursts:4"``, or several of these separated by commas.
    filler : str or `Filler`, optional
        Documents that state no fact; as text ``"zipf:tokens=1e6"`` or
        ``"zipf:total_tokens=1e8,words=5000"``.
    background : path or `Background`, optional
        Documents of an existing tokenised corpus, placed between the corpus's own: a corpus
        directory, ``NAME.bin`` beside ``NAME.idx`` (Megatron's, or raw ends of documents),
        ``NAME.ds`` beside ``NAME.ds.index`` (datatrove's), ``NAME.npy`` (OLMo-core's), or a
        directory of such files of one kind.
    background_tokens : int, optional
        Exact number of tokens of the background, whose last document is cut; all by default.
    insert : str, float or `Insert`, optional
        Position of sentences inside the documents of filler and background, where they replace
        equally many tokens, instead of in separate documents: ``"anywhere"``, ``"start"``,
        ``"middle"``, ``"end"`` or a share of the document, with ``",per_document=2"`` for up to two
        in each and, in text, ``",words=true"`` for sentences at word boundaries.
    grammar : str, path or Grammar, optional
        Grammar that writes text instead of templates: one of the package, or a file.
    tokenizer : path or TextTokenizer, optional
        With a grammar: a directory with a ``tokenizer.json``, or what `load` makes of one; the
        grammar's words by default.

    Raises
    ------
    ArgumentError
        For any value that the engine does not allow; the error states the allowed values.

    Examples
    --------
    >>> corpus = Corpus(World(subjects=10, relations=2, objects=5), exposures=3)
    >>> corpus.num_sentences
    60
    """

    world: World
    directory: Path | None
    _native: _gen.Corpus
    _exposures: NDArray[np.uint32] | None
    _text: Text | None
    _background: Background | None

    def __init__(
        self,
        world: World,
        *,
        exposures: int | str | Exposures | ArrayLike = 1,
        order: Order = "shuffle",
        order_seed: int | None = None,
        nested_exposures: int | None = None,
        documents_per_subject: int | None = None,
        templates: Mapping[Template, float] | None = None,
        inversion: float = 0.0,
        exact_shares: bool = False,
        questions: Questions | None = None,
        minority_sentences: float = 0.1,
        paraphrases: int | str = 1,
        held_out: int = 0,
        nonsense_words: int = 1000,
        base: int = 1000,
        shard_bytes: int | None = None,
        documents: Documents | None = None,
        schedule: str | Scheduled | Sequence[Scheduled] | None = None,
        filler: str | Filler | None = None,
        background: Background | str | PathLike[str] | None = None,
        background_tokens: int | None = None,
        insert: str | float | Insert | None = None,
        grammar: Grammar | str | PathLike[str] | None = None,
        tokenizer: TextTokenizer | str | PathLike[str] | None = None,
    ) -> None:
        form, array = split_exposures(exposures)
        spec = {
            "exposures": form,
            "order": order,
            "order_seed": order_seed,
            "nested_exposures": nested_exposures,
            "documents_per_subject": documents_per_subject,
            "templates": templates,
            "inversion": inversion,
            "exact_shares": exact_shares,
            "questions": questions,
            "minority_sentences": minority_sentences,
            "paraphrases": paraphrases,
            "held_out": held_out,
            "nonsense_words": nonsense_words,
            "base": base,
            "shard_bytes": shard_bytes,
            "documents": documents,
            "schedule": schedule,
            "filler": filler,
            "insert": insert,
        }
        if not isinstance(world, World):
            raise ArgumentError("world", world, "a World; behemoth.load reads a path")
        text = text_of(grammar, tokenizer)
        end = END_OF_DOCUMENT if text is None else text.end_of_document
        between, spec["background"] = background_of(
            background, background_tokens, end, None if text is None else text.tokenizer_size
        )
        native = native_corpus(world, spec, array, text, between)
        self._set(native, world, array, text, between)

    def _set(
        self,
        native: _gen.Corpus,
        world: World,
        exposures: NDArray[np.uint32] | None,
        text: Text | None,
        background: Background | None,
    ) -> None:
        self._native, self._exposures, self._text = native, exposures, text
        self._objects: dict[int, ObjectTokens] = {}
        self._background = background
        if background is not None:
            tokenizer = None if text is None or text.tokenizer is None else text.tokenizer.digest
            background.check(self.vocabulary, tokenizer)
        self.world = world._as(native.world)
        self.directory = None

    def _twin(self, native: _gen.Corpus) -> Corpus:
        twin = type(self).__new__(type(self))
        twin._set(native, self.world, self._exposures, self._text, self._background)
        return twin

    @classmethod
    def from_arrays(
        cls,
        world: World,
        spec: Mapping[str, Any],
        exposures: NDArray[np.uint32] | None = None,
        text: Text | None = None,
        background: Background | None = None,
    ) -> Corpus:
        """Make a corpus from its spec and the exposures, text and background the spec refers to.

        Of exposures that are writable it keeps a copy.
        """
        self = cls.__new__(cls)
        exposures = None if exposures is None else kept(exposures)
        native = native_corpus(world, spec, exposures, text, background)
        self._set(native, world, exposures, text, background)
        return self

    @classmethod
    def from_spec(cls, spec: str | PathLike[str]) -> Corpus:
        """Make a corpus from a spec TOML, a spec directory or a corpus directory."""
        return read_source(spec).make_corpus()

    @classmethod
    def open(cls, directory: str | PathLike[str]) -> Corpus:
        """Open a corpus directory: its corpus, with access to its shards.

        Raises
        ------
        ArgumentError
            When `directory` is not a corpus directory.
        CorpusError
            When its manifest or an array that it depends on is damaged, or the manifest has
            another version.
        """
        place = at_hand("directory", directory, "a corpus directory")
        read_manifest(place)  # refuses anything but a corpus directory, also a spec directory
        self = read_source(place).make_corpus()
        self.directory = place.absolute()  # of the same corpus in another working directory
        return self

    @property
    def spec(self) -> dict[str, Any]:
        """The full normalised spec: format_version, world and corpus."""
        return json.loads(self._native.spec)

    @property
    def spec_hash(self) -> str:
        """BLAKE3 of the full spec."""
        return self._native.spec_hash

    @property
    def spec_toml(self) -> str:
        """The full spec as TOML."""
        return self._native.spec_toml

    @property
    def exposures_array(self) -> NDArray[np.uint32] | None:
        """Exposures by fact, [n], if given as an array and not by a rule; links may be left out.

        The array is read-only.
        """
        return self._exposures

    @property
    def background(self) -> Background | None:
        """The documents of another corpus that are placed between its own, if any."""
        return self._background

    @property
    def grammar(self) -> Grammar | None:
        """The grammar that the corpus is written with, if any."""
        return None if self._text is None else self._text.grammar

    @property
    def text_settings(self) -> Text | None:
        """Its grammar, and the tokenizer of its text; None without a grammar."""
        return self._text

    @property
    def num_sentences(self) -> int:
        """Number of sentences."""
        return self._native.sentences

    @property
    def num_documents(self) -> int:
        """Number of documents; a document is one sentence unless the order is bios.

        Those of facts that are not written count, and have no tokens: documents of links that are
        never written, of questions of a subject without any, or of what a twin omits.
        """
        return self._native.documents

    @property
    def num_fact_documents(self) -> int:
        """Number of documents of facts; the others are only filler or background.

        Those without tokens count, as in `num_documents`; `says_facts` tells which state facts.
        With an insert, it is the number of documents that state facts; if several sentences may be
        inserted in one document, that needs a pass over the documents.
        """
        return self._native.fact_documents

    @property
    def document_tokens(self) -> int | None:
        """Number of tokens of each document, if it is the same for all; else None."""
        return self._native.document_tokens

    @property
    def exposure_classes(self) -> list[dict[str, int]]:
        """Number of facts at each number of exposures: a list of dicts of exposures and facts."""
        return json.loads(self._native.exposure_classes)

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return self._native.shards

    @property
    def dtype(self) -> np.dtype[Any]:
        """dtype of the tokens: uint16 if every id fits, else uint32."""
        return np.dtype(self._native.dtype)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return self._native.vocabulary_size

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """The partition of token ids: size, base, and ranges with kind, first and count."""
        return json.loads(self._native.vocabulary)

    @property
    def end_of_document(self) -> int:
        """The token that ends a document."""
        return self.vocabulary.get("end_of_document", END_OF_DOCUMENT)

    @property
    def padding(self) -> int | None:
        """A token that no document contains; None with an external tokenizer, which need have none.

        Such a tokenizer may name one of its words, or the end of a document.
        """
        return PADDING if self._text is None or self._text.tokenizer is None else None

    @cached_property
    def templates(self) -> list[dict[str, Any]]:
        """Every wording, with the properties of its template.

        Each has wording_index (its index in this list), name (of its template), wording (0 for
        the template itself), held_out, family, asks, is_question, filler_follows, share (of the
        statements, or of the questions for questions), probe (whether it can be a prompt) and
        combinations (of the repeats grammar's fillers before the object; 1 for others). With a
        grammar, share is the mean over the relations, links included, of its weight in each,
        whether or not the corpus writes sentences of the relation, or questions.
        """
        return json.loads(self._native.templates)

    @cached_property
    def _lettering(self) -> Lettering:
        return lettering_of(self)

    @cached_property
    def _native_roles(self) -> _gen.Corpus:
        return self._native.as_roles()  # which copies the lexicon

    @property
    def token_names(self) -> list[str]:
        """The name of every token id."""
        return self._lettering.names

    @property
    def tokenizer_kind(self) -> str:
        """Kind of its tokens: ``"words"``, or the model of its tokenizer, such as ``"BPE"``."""
        return self._lettering.kind

    @property
    def tokenizer_files(self) -> dict[str, bytes]:
        """The files of its tokenizer, by name."""
        return self._lettering.files

    def decode(self, tokens: ArrayLike) -> str:
        """Write tokens as text; the tokenizer of the corpus encodes it back."""
        known = whole(tokens, "tokens", np.uint32).ravel()
        if known.size and known.max() >= self.vocabulary_size:
            raise ArgumentError("tokens", int(known.max()), f"ids below {self.vocabulary_size}")
        return self._lettering.decode(known.tolist())

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Read text as tokens, without one for its beginning or its end.

        Of a corpus of words any white space counts as one space, and none at the ends unless the
        first word cannot begin a text. Only white space that its separators may be made of, before
        a word that can begin a sentence, and spaces other than ASCII of its sentences are read as
        they stand.

        Raises
        ------
        ArgumentError
            For anything but text, and of a corpus of words for a word that it has no token for.
        """
        if not isinstance(text, str):
            raise ArgumentError("text", text, "a text")
        return np.array(self._lettering.encode(text), np.uint32)

    @cached_property
    def decoder(self) -> Decoder:
        """Decoder that writes many documents as text in one call, each as `decode` does."""
        return self._lettering.decoder(self.end_of_document)

    def object_tokens(self, relation: int) -> ObjectTokens:
        """Return the tokens of all objects of a relation (with a grammar); cached."""
        relation = relation_id(relation, len(self.world.relation_table))
        if relation not in self._objects:
            self._objects[relation] = ObjectTokens(self, relation)
        return self._objects[relation]

    def count_tokens(self, *, threads: int = 0, progress: ProgressLike = None) -> int:
        """Return the exact number of tokens; this needs a pass over the corpus if lengths vary."""
        threads = whole_number("threads", threads)
        with task(progress, "counting", "tokens") as step:
            return self._native.token_count(threads, None if progress is None else step)

    def tokens(self, start: int, stop: int, *, threads: int = 0) -> NDArray[Any]:
        """Return the tokens of documents start..stop (`stop` excluded), in the corpus dtype."""
        first, last = integral("start", start), integral("stop", stop)
        return self._native.tokens(first, last, whole_number("threads", threads))

    def fill(self, out: NDArray[Any], start: int = 0) -> int:
        """Fill an array with tokens from document `start` on.

        Parameters
        ----------
        out : uint16, uint32, int32 or int64 array
            One-dimensional, contiguous, writeable.
        start : int
            Document number.

        Returns
        -------
        int
            Number of tokens written: ``len(out)``, or fewer at the end of the corpus.
        """
        return self._native.fill(fillable(out), integral("start", start))

    def fill_tokens(self, out: NDArray[Any], token: int = 0, *, threads: int = 0) -> int:
        """Fill an array from token offset `token` on; otherwise like `fill`."""
        first = integral("token", token)
        return self._native.fill_tokens(fillable(out), first, whole_number("threads", threads))

    def blocks(
        self,
        length: int,
        start: int = 0,
        stop: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Blocks:
        """Return numbered blocks of `length` tokens, iterable and resumable; see `Blocks`."""
        return Blocks(self, length, start, stop, dtype)

    def roles(self, start: int, stop: int, *, threads: int = 0) -> NDArray[np.uint8]:
        """Return the role of each of `tokens(start, stop)`.

        Returns
        -------
        uint8[n]
            `GRAMMAR`, `SUBJECT`, `OBJECT` or `END` of `behemoth.corpus.roles`; with a grammar
            `BACKGROUND` for tokens of a background or a filler.
        """
        from .roles import roles

        return roles(self, start, stop, threads)

    def texts(self, start: int, stop: int) -> list[str]:
        """Return documents start..stop (`stop` excluded) as text.

        The end-of-document token is omitted; a document without tokens (`num_documents`) is empty.
        With templates the text is the names of the tokens separated by spaces; documents of a
        background are decoded by the tokenizer.
        """
        from .documents import document_texts

        return document_texts(self, integral("start", start), integral("stop", stop))

    def documents(self, start: int, stop: int) -> pl.DataFrame:
        """Return documents start..stop (`stop` excluded): their text, and the facts they state.

        Returns
        -------
        polars.DataFrame
            One row per document, without empty documents; see `behemoth.corpus.documents`.
        """
        from .documents import document_frame

        return document_frame(self, integral("start", start), integral("stop", stop))

    def says_facts(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether each of documents start..stop states facts, as bool[stop - start].

        A document without tokens (`num_documents`) states none.
        """
        from .documents import says_facts

        return says_facts(self, integral("start", start), integral("stop", stop))

    def spans(self, start: int, stop: int) -> pl.DataFrame:
        """Return the mentions of subjects and objects in documents start..stop, with a grammar.

        Returns
        -------
        polars.DataFrame
            One row per mention by name: document (UInt64), sentence (UInt32; its index in the
            document), fact and copy (UInt64), role (String: subject or object), first and end
            (UInt32; token positions in the document, `end` excluded).
        """
        from .entries import span_frame

        return span_frame(self._native.spans(integral("start", start), integral("stop", stop)))

    def sentences(self, start: int, stop: int) -> pl.DataFrame:
        """Return every sentence of documents start..stop (`stop` excluded), as it is written.

        Returns
        -------
        polars.DataFrame
            The columns of `ledger`.
        """
        from .entries import sentence_frame

        first, last = integral("start", start), integral("stop", stop)
        return sentence_frame(self, self._native.entries(first, last))

    def filler_documents(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Return documents of the filler's language that no corpus contains, for perplexity.

        They are the same for every corpus with this filler, whatever its amount.

        Parameters
        ----------
        start, stop : int
            Range of document numbers, `stop` excluded.

        Returns
        -------
        list of arrays in the corpus dtype, each with its end of document
        """
        found = self._native.filler_documents(integral("start", start), integral("stop", stop))
        return [tokens.astype(self.dtype) for tokens in found]

    def exposures(self, facts: ArrayLike | None = None) -> NDArray[np.uint64]:
        """Return the number of times each fact is written.

        Parameters
        ----------
        facts : array_like of int, optional
            Ids of facts, or a frame with a column ``fact``; by default all, which takes 16 bytes
            for each fact of the world, of which 8 are returned. `exposure_classes` takes no memory.

        Returns
        -------
        uint64 array of the same shape
        """
        count = self.world.num_facts
        if facts is None:
            return self._native.exposures(chosen_facts(None, count))
        ids = whole(fact_column(facts, "facts"), "facts", np.uint64, count)
        return self._native.exposures(ids.ravel()).reshape(ids.shape)

    def ledger(self, facts: ArrayLike) -> pl.DataFrame:
        """Return every sentence of these facts.

        Parameters
        ----------
        facts : array_like of int
            Ids of facts, or a frame with a column ``fact``.

        Returns
        -------
        polars.DataFrame
            One row per sentence: fact (UInt64), copy (UInt64), template (String), wording (UInt32;
            null in a joint statement, which is none of the relation's own), document (UInt64),
            sentence (UInt32; its index in the document), offset (UInt32; position of its first
            token in the document), background (UInt64; if it is inserted in a document of a
            background, the number of that document in the background, from 0), object (UInt32),
            minority (Boolean).
        """
        from .entries import sentence_frame

        return sentence_frame(self, self._native.ledger(fact_numbers(facts)))

    def sample_facts(self, count: int) -> NDArray[np.uint64]:
        """Return an exact sample of facts, sorted: uint64[min(count, facts)]."""
        return self._native.sample_facts(whole_number("count", count))

    def questions(
        self, facts: ArrayLike | None = None, *, held_out: bool | None = None
    ) -> pl.DataFrame:
        """Return questions and their answers as text, one row per fact and wording.

        Parameters
        ----------
        facts : array_like of int, optional
            Ids of facts, or a frame with a column ``fact``; all facts by default.
        held_out : bool, optional
            If true, only wordings that are never written; if false, only those that may be.

        Returns
        -------
        polars.DataFrame
            See `behemoth.corpus.questions`.
        """
        from .questions import question_frame

        held_out = None if held_out is None else flag("held_out", held_out)
        return question_frame(self, chosen_facts(facts, self.world.num_facts), held_out)

    def probes(
        self,
        facts: ArrayLike | None = None,
        templates: Sequence[Template] | None = None,
        *,
        combinations: bool = False,
    ) -> pl.DataFrame:
        """Return prompts with their answers, one row per fact and wording.

        See `behemoth.corpus.probes` for the columns.

        Parameters
        ----------
        facts : array_like of int, optional
            Ids of facts, or a frame with a column ``fact``; all facts by default.
        templates : sequence of str, optional
            Names of templates, which the corpus need not be written with; by
            default those it is written with that end in the object, of which
            there may be none. With a grammar, its questions are among them, also if the corpus is
            written without any.
        combinations : bool
            If true, all 432 combinations of the fillers of the repeats grammar, with their number
            in a column, instead of one drawn for each fact.
        """
        from .probes import probe_frame

        combinations = flag("combinations", combinations)
        return probe_frame(self, facts, templates, combinations=combinations)

    def override(self, objects: Mapping[int, int], *, follow: bool | None = None) -> Corpus:
        """Return the twin in which some facts have other objects.

        All tokens are the same except those of the objects of these facts and, with
        `follow`, of the composed facts that depend on them.

        Parameters
        ----------
        objects : mapping of fact to object
        follow : bool, optional
            If true, composed facts follow the new objects; otherwise they stay. One choice holds
            for all overrides of a twin: by default that of the earlier ones, else false.

        Raises
        ------
        ArgumentError
            When a fact or an object does not exist, or when there are earlier overrides with
            another `follow`.
        """
        facts, changed = overrides(objects, self.world)
        with renamed(override="objects"):
            return self._twin(self._native.override(facts, changed, follows(follow, self.world)))

    def without(self, facts: ArrayLike) -> Corpus:
        """Return the twin without the sentences of these facts; the rest keeps its order.

        Parameters
        ----------
        facts : array_like of int
            Ids of facts, or a frame with a column ``fact``.

        Raises
        ------
        ArgumentError
            When a fact does not exist.
        """
        ids = fact_numbers(facts, self.world.num_facts)
        with renamed(without="facts"):
            return self._twin(self._native.without(ids))

    def exchanged(self, pairs: ArrayLike) -> Corpus:
        """Return the corpus in which the facts of each pair have exchanged their exposures.

        The number of sentences and the number of facts at each level stay the same.

        It has exposures per fact. In order ``shuffle`` these number sentences otherwise than
        exposures in groups, of a Latin square or of Zipf's law, so that nearly every sentence of
        the other facts stands in another document, also without any pair. The exact counterpart is
        therefore ``corpus.exchanged([])``: beside it, only sentences of these facts and of those
        numbered between the two of a pair stand elsewhere. In order ``bios``, and if all exposures
        of `corpus` are one number or per fact, `corpus` itself is the counterpart; but not if
        subjects share documents and no links are written, since with exposures per fact there are
        places for links as well.

        Parameters
        ----------
        pairs : uint64[n, 2]
            Subject facts, each at most once; none for the counterpart.

        Raises
        ------
        ArgumentError
            When these are not pairs, a fact occurs twice or is not a subject fact, a fact of the
            corpus has 2^32 exposures or more, or the corpus is a twin that omits facts.
        """
        return exchanged(self, pairs)

    def without_insert(self) -> Corpus:
        """Return the corpus of the same sentences in separate documents, without any others.

        This is the corpus itself if it inserts no sentences.
        """
        return without_insert(self)

    def write(
        self,
        out: str | PathLike[str],
        *,
        threads: int = 0,
        part: tuple[int, int] = (0, 1),
        force: bool = False,
        probes: int | Literal["all"] | None = None,
        combinations: bool = False,
        progress: ProgressLike = None,
    ) -> Written:
        """Write the corpus to a directory, or resume a stopped run.

        Parameters
        ----------
        out : path
            Path of the directory, or URL of a directory in a store, such as
            ``s3://bucket/corpus``: shards are sent as they are written, and the local disk never
            contains more than one shard for each thread.
        threads : int
            Number of threads; 0 for two per core, of which one may wait for the disk, or for one
            per core if `out` is in a store. The bytes are the same for any number.
        part : (int, int)
            Part i of n, whose shards alone are written. Parts may run on any machine, at any
            time, also simultaneously. Part 0 also writes the tokenizer and the probes.
        force : bool
            If true, replace an existing corpus directory, whether of the same or of another spec.
        probes : int or 'all', optional
            Number of facts to write probes for, as an exact sample; all, or 0 for none. By default
            10,000, or as many as `out` has probes for, which stay.
        combinations : bool
            If true, write probes of the repeats grammar with all 432 combinations of its fillers,
            instead of one drawn for each fact.
        progress : callable or Progress, optional
            Receiver of progress reports; an error that it raises stops the work.

        Raises
        ------
        CorpusError
            When `out` contains something else, or another run is writing it.
        StoreError
            When a store cannot be reached, or refuses a request.
        OSError
            When the disk is full, or writing is not allowed.
        """
        force, combinations = flag("force", force), flag("combinations", combinations)
        if is_url(out):
            from .stored import write_to_store

            words = whole_number("threads", threads), part, force, probes, combinations, progress
            return write_to_store(self, str(out), *words)
        from .write import write

        place, threads = path_of("out", out), whole_number("threads", threads)
        return write(self, place, threads, part, force, probes, combinations, progress)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of an opened directory."""
        return read_manifest(self.require_directory())

    def shard(self, index: int) -> NDArray[Any]:
        """Return the tokens of a shard of an opened directory, memory-mapped read-only.

        They are not compared with their digest, as `verify`, `export` and `train` do.

        Raises
        ------
        IndexError
            When the corpus has no such shard.
        FileNotFoundError
            When the shard is not written yet.
        CorpusError
            When it ends within a token.
        """
        if not 0 <= index < self.num_shards:
            raise IndexError(f"shard {index} of {self.num_shards}")
        return open_shard(self.require_directory(), index, self.dtype)

    def require_directory(self) -> Path:
        """Return the directory that the corpus was opened from.

        Raises
        ------
        CorpusError
            When it was opened from none.
        """
        if self.directory is None:
            raise CorpusError("this corpus has no directory; open one with Corpus.open(DIR)")
        return self.directory

    def __reduce__(self) -> tuple[Any, ...]:
        # For worker processes of data loaders; the package itself stores nothing as a pickle.
        world = self.world
        made = (self.spec, world.table_columns, world.names, self._exposures, self._text)
        return remade, (*made, self._background, self.directory)

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            "Corpus",
            {
                "facts": self.world.num_facts,
                "sentences": self.num_sentences,
                "documents": self.num_documents,
                "vocabulary": f"{self.vocabulary_size:,} ({self.dtype})",
                "spec": self.spec_hash[:16],
                "a document": "".join(self.texts(0, 1)),
            },
        )

    def __repr__(self) -> str:
        counts = f"sentences={self.num_sentences}, documents={self.num_documents}"
        return f"Corpus({self.world!r}, {counts})"
