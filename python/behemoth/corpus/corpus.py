"""A corpus: the ordered token stream of all sentences of a world, with or without a directory.

It is one class, and longer than other files, since it is all that a corpus can be asked: each
method is documented here and carried out in a module beside this one.
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
from behemoth.support.checks import is_url, path_of, whole_number
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import check_regular
from behemoth.support.progress import ProgressLike, task

from .arrays import fillable, overrides, whole
from .background import Background, background_of
from .blocks import Blocks
from .grammar import Grammar, Text, text_of
from .mixture import Filler, Insert, Scheduled
from .objects import ObjectTokens
from .source import read_manifest, read_source
from .spec import PROBED_FACTS, Documents, Exposures, Order, Questions, Template, to_json
from .text_tokenizer import word_tokenizer_files
from .tokenizer import decode, token_names, tokenizer_files
from .tokens import END_OF_DOCUMENT
from .world import World

if TYPE_CHECKING:
    import polars as pl

    from .decoding import Decoder
    from .names import Names
    from .write import Written


def _native(
    world: World,
    spec: Mapping[str, Any],
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
) -> _gen.Corpus:
    lexicon = None
    if text is not None:
        among = spec.get("filler") is not None or spec.get("insert") is not None
        lexicon = text.lexicon_with_words if among else text.lexicon
    return _gen.Corpus(
        world._native,
        json.dumps(to_json(spec)),
        exposures,
        lexicon,
        None if background is None else background.native,
    )


class Corpus:
    """All sentences of a world in one order: a pure function of spec and seed.

    Parameters
    ----------
    world : World
    exposures : int, str, `Constant`, `Groups`, `ZipfExposures` or array_like of int
        How often each fact is written: one number, a form (also as text, such as
        ``"groups:1,4,16"``, ``"latin:1,4"`` or ``"zipf:alpha=1,min=1,max=1000"``), or
        a number for each fact.
    order : {'shuffle', 'bios'}
        Every sentence by itself, or documents of one subject's sentences.
    order_seed : int, optional
        Key of the order and of the choice of wordings; the world's seed by default.
    nested_exposures : int, optional
        Exposures of each link fact; by default the most of any fact.
    documents_per_subject : int, optional
        With ``bios``; by default the fewest exposures of any fact, zero apart.
    templates : mapping of template to weight, optional
        ``{"default": 1.0}`` by default.
    inversion : float
        Share of sentences in the inverted orders.
    exact_shares : bool
        Make the shares of templates exact over the corpus, in place of drawn.
    questions : Questions, optional
    minority_sentences : float
        Share of the sentences of a fact with a minority object that say that one; exact.
    paraphrases : int
        Wordings of each template, the template itself included.
    held_out : int
        How many of the last wordings are never written.
    nonsense_words : int
        Fillers of the nonsense grammar. (The reference draws from 1,004: its 1,000, and the four
        words of its questions, which it takes for fillers by the first letter of their names.)
    base : int
        Base of the digits that words are made from.
    shard_bytes : int, optional
        Size that shards aim at.
    documents : Documents, optional
        How documents are made, with ``bios``.
    schedule : str, `Scheduled` or sequence of `Scheduled`, optional
        Where in the corpus copies stand; as text ``"early:0.1"``, ``"late:0.1@0.5"`` (of half
        of the facts), ``"distance:0.2@16x"`` (of facts with 16 exposures), ``"spaced"``,
        ``"bursts:4"``, or several with commas between them.
    filler : str or `Filler`, optional
        Documents that say no fact; as text ``"zipf:tokens=1e6"`` or
        ``"zipf:total_tokens=1e8,words=5000"``.
    background : path or `Background`, optional
        Documents of an existing tokenised corpus, to stand between its own: a corpus directory,
        or ``NAME.bin`` beside ``NAME.idx`` (Megatron's, or raw ends of documents).
    background_tokens : int, optional
        So many tokens of it, exactly, the last document cut; all by default.
    insert : str, float or `Insert`, optional
        Write sentences inside the documents of filler and background, over as many of their tokens,
        and in no documents of their own: ``"anywhere"``, ``"start"``, ``"middle"``, ``"end"`` or a
        share of the document, with ``",per_document=2"`` for up to two in each and, in text,
        ``",words=true"`` for sentences at borders of words.
    grammar : str, path or Grammar, optional
        Write text in place of templates: a grammar that comes with the package, or a file.
    tokenizer : path, optional
        With a grammar: a directory with a ``tokenizer.json``; its words by default.

    Raises
    ------
    ArgumentError
        On any value that the engine does not allow; it says which ones are.

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
        paraphrases: int = 1,
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
        tokenizer: str | PathLike[str] | None = None,
    ) -> None:
        array: NDArray[np.uint32] | None = None
        form: Any = exposures
        if isinstance(exposures, np.integer):
            form = int(exposures)
        elif isinstance(exposures, bool) or not isinstance(
            exposures, int | str | Mapping | Exposures
        ):
            array = whole(form, "exposures", np.uint32)
            form = {"kind": "array"}
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
        self._set(_native(world, spec, array, text, between), world, array, text, between)

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
            background.check(self.vocabulary)
        self.world = world._as(native.world)
        self.directory = None

    @classmethod
    def from_arrays(
        cls,
        world: World,
        spec: Mapping[str, Any],
        exposures: NDArray[np.uint32] | None = None,
        text: Text | None = None,
        background: Background | None = None,
    ) -> Corpus:
        """Make a corpus from its spec and, where that says so, exposures, grammar, background."""
        self = cls.__new__(cls)
        native = _native(world, spec, exposures, text, background)
        self._set(native, world, exposures, text, background)
        return self

    @classmethod
    def from_spec(cls, spec: str | PathLike[str]) -> Corpus:
        """Make the corpus of a spec TOML, a spec directory or a corpus directory."""
        return read_source(spec).make_corpus()

    @classmethod
    def open(cls, directory: str | PathLike[str]) -> Corpus:
        """Open a corpus directory: the corpus that it holds, and its shards.

        Raises
        ------
        ArgumentError
            When there is no corpus directory.
        CorpusError
            When its manifest or an array that it rests on is damaged, or the manifest of
            another version.
        """
        place = at_hand("directory", directory, "a corpus directory")
        read_manifest(place)  # refuses what is no corpus directory, a spec directory also
        self = read_source(place).make_corpus()
        self.directory = place
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
    def num_sentences(self) -> int:
        """Number of sentences."""
        return self._native.sentences

    @property
    def num_documents(self) -> int:
        """Number of documents; a document is one sentence unless the order is bios."""
        return self._native.documents

    @property
    def num_fact_documents(self) -> int:
        """Number of documents that say facts; the others are filler or background alone.

        A pass over the documents where several sentences may be inserted in one.
        """
        return self._native.fact_documents

    @property
    def document_tokens(self) -> int | None:
        """Tokens of every document, where it is one number for all."""
        return self._native.document_tokens

    @property
    def num_shards(self) -> int:
        """Number of shards that it is written in."""
        return self._native.shards

    @property
    def dtype(self) -> np.dtype[Any]:
        """dtype of its tokens: uint16 when every id fits, else uint32."""
        return np.dtype(self._native.dtype)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return self._native.vocabulary_size

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """The partition of token ids: size, base, and ranges with kind, first and count."""
        return json.loads(self._native.vocabulary)

    @cached_property
    def templates(self) -> list[dict[str, Any]]:
        """Every wording, with what there is to know of its template.

        Each has wording_index (its place in this list), name (of its template), wording (0 for
        the template itself), held_out, family, asks, is_question, filler_follows, share (of the
        statements, or of the questions for questions), probe (whether a prompt can ask) and
        combinations (of the repeats grammar's fillers before the object; 1 for others).
        """
        return json.loads(self._native.templates)

    @property
    def exposure_classes(self) -> list[dict[str, int]]:
        """How many facts have how many exposures: a list of exposures and facts."""
        return json.loads(self._native.exposure_classes)

    @cached_property
    def token_names(self) -> list[str]:
        """The name of every token id."""
        if self._text is not None and self._text.tokenizer is not None:
            return self._text.tokenizer.names
        return token_names(self.vocabulary, self.world.names)

    @property
    def end_of_document(self) -> int:
        """The token that ends a document."""
        return self.vocabulary.get("end_of_document", END_OF_DOCUMENT)

    @property
    def grammar(self) -> Grammar | None:
        """The grammar that it is written with, if it is."""
        return None if self._text is None else self._text.grammar

    @property
    def background(self) -> Background | None:
        """The documents of another corpus that stand between its own, if there are."""
        return self._background

    @property
    def tokenizer_kind(self) -> str:
        """What its tokens are: ``"words"``, or the kind of its tokenizer, such as ``"BPE"``."""
        if self._text is None or self._text.tokenizer is None:
            return "words"
        return self._text.tokenizer.kind

    @property
    def tokenizer_files(self) -> dict[str, bytes]:
        """The files of its tokenizer, by name."""
        if self._text is None:
            return tokenizer_files(self.token_names)
        if self._text.tokenizer is None:
            return word_tokenizer_files(self.token_names)
        return dict(self._text.tokenizer.files)

    def count_tokens(self, *, threads: int = 0, progress: ProgressLike = None) -> int:
        """Exact number of tokens; needs a pass over the corpus where lengths vary."""
        with task(progress, "counting", "tokens") as step:
            return self._native.token_count(_threads(threads), None if progress is None else step)

    def tokens(self, start: int, stop: int, *, threads: int = 0) -> NDArray[Any]:
        """Tokens of documents start..stop (`stop` excluded), in the corpus dtype."""
        first, last = whole_number("start", start), whole_number("stop", stop)
        return self._native.tokens(first, last, _threads(threads))

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
            Tokens written: ``len(out)``, or fewer at the end of the corpus.
        """
        return self._native.fill(fillable(out), whole_number("start", start))

    def fill_tokens(self, out: NDArray[Any], token: int = 0, *, threads: int = 0) -> int:
        """Fill an array from token offset `token` on; otherwise like `fill`."""
        first = whole_number("token", token)
        return self._native.fill_tokens(fillable(out), first, _threads(threads))

    def blocks(
        self,
        length: int,
        start: int = 0,
        stop: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Blocks:
        """Blocks of `length` tokens by number: iterable, indexable, resumable; see `Blocks`."""
        return Blocks(self, length, start, stop, dtype)

    def decode(self, tokens: ArrayLike) -> str:
        """Write tokens as text; the tokenizer of the corpus encodes it back."""
        known = whole(tokens, "tokens", np.uint32).ravel()
        if known.size and known.max() >= self.vocabulary_size:
            raise ArgumentError("tokens", int(known.max()), f"ids below {self.vocabulary_size}")
        ids = known.tolist()
        if self._text is None:
            return decode(ids, self.token_names)
        if self._text.tokenizer is None:
            return "".join([self.token_names[token] for token in ids])
        return self._text.tokenizer.decode(ids)

    @cached_property
    def decoder(self) -> Decoder:
        """What writes many documents as text at once, each as `decode` does."""
        from .decoding import decoder_of

        return decoder_of(self)

    def texts(self, start: int, stop: int) -> list[str]:
        """Documents start..stop (`stop` excluded) as their text.

        Without the mark that ends a document; a document that a twin leaves out is empty. With
        templates the names of the tokens with spaces between them; the documents of a background
        are as the tokenizer decodes them.
        """
        from .documents import document_texts

        return document_texts(self, whole_number("start", start), whole_number("stop", stop))

    def documents(self, start: int, stop: int) -> pl.DataFrame:
        """Documents start..stop (`stop` excluded): their text, and what they say.

        Returns
        -------
        polars.DataFrame
            One row a document, those without tokens left out; see `behemoth.corpus.documents`.
        """
        from .documents import document_frame

        return document_frame(self, whole_number("start", start), whole_number("stop", stop))

    def questions(
        self, facts: ArrayLike | None = None, *, held_out: bool | None = None
    ) -> pl.DataFrame:
        """Questions and their answers as text, one row a fact and wording.

        Parameters
        ----------
        facts : array_like of int, optional
            All facts by default.
        held_out : bool, optional
            Only wordings that are never written, or only those that can be.

        Returns
        -------
        polars.DataFrame
            See `behemoth.corpus.questions`.
        """
        from .questions import question_frame

        ids = np.arange(self.world.num_facts) if facts is None else facts
        return question_frame(self, whole(ids, "facts", np.uint64).ravel(), held_out)

    def object_tokens(self, relation: int) -> ObjectTokens:
        """The tokens of all objects of a relation, of a corpus with a grammar; made once."""
        if relation not in self._objects:
            self._objects[relation] = ObjectTokens(self, relation)
        return self._objects[relation]

    def spans(self, start: int, stop: int) -> pl.DataFrame:
        """Where documents start..stop of a corpus with a grammar mention subjects and objects.

        Returns
        -------
        polars.DataFrame
            One row a mention by name: document (UInt64), sentence (UInt32; its place in the
            document), fact and copy (UInt64), role (String: subject or object), first and end
            (UInt32; tokens counted in the document, `end` excluded).
        """
        import polars as pl

        document, sentence, fact, copy, role, first, end = self._native.spans(start, stop)
        return pl.DataFrame(
            {
                "document": document,
                "sentence": sentence,
                "fact": fact,
                "copy": copy,
                "role": pl.Series(["", "subject", "object"]).gather(role),
                "first": first,
                "end": end,
            }
        )

    def roles(self, start: int, stop: int, *, threads: int = 0) -> NDArray[np.uint8]:
        """What each of `tokens(start, stop)` says.

        Returns
        -------
        uint8[n]
            `GRAMMAR`, `SUBJECT`, `OBJECT` or `END` of `behemoth.corpus.roles`; with a grammar
            `BACKGROUND` for what a background or a filler says.
        """
        from .roles import roles

        return roles(self, start, stop, threads)

    def exposures(self, facts: ArrayLike) -> NDArray[np.uint64]:
        """How often each of the facts is written: uint64, of the same shape."""
        ids = whole(facts, "facts", np.uint64)
        return self._native.exposures(ids.ravel()).reshape(ids.shape)

    def sentences(self, start: int, stop: int) -> pl.DataFrame:
        """Every sentence of documents start..stop (`stop` excluded), as they are written.

        Returns
        -------
        polars.DataFrame
            The columns of `ledger`.
        """
        first, last = whole_number("start", start), whole_number("stop", stop)
        return self._entries(self._native.entries(first, last))

    def ledger(self, facts: ArrayLike) -> pl.DataFrame:
        """Every sentence of the facts given.

        Returns
        -------
        polars.DataFrame
            One row a sentence: fact (UInt64), copy (UInt64), template (String), wording
            (UInt32), document (UInt64), sentence (UInt32; its place in the document), offset
            (UInt32; its first token, counted in the document), background (UInt64; where it is
            inserted in a document of a background, the number of that in the background, from 0),
            object (UInt32), minority (Boolean).
        """
        ids = whole(facts, "facts", np.uint64).ravel()
        return self._entries(self._native.ledger(ids))

    def _entries(self, columns: tuple[NDArray[Any], ...]) -> pl.DataFrame:
        import polars as pl

        fact, copy, index, document, sentence, offset, background, objects, minority = columns
        names = pl.Series([row["name"] for row in self.templates], dtype=pl.String)
        wordings = pl.Series([row["wording"] for row in self.templates], dtype=pl.UInt32)
        return pl.DataFrame(
            {
                "fact": fact,
                "copy": copy,
                "template": names.gather(index),
                "wording": wordings.gather(index),
                "document": document,
                "sentence": sentence,
                "offset": offset,
                "background": pl.Series(background).replace(-1, None).cast(pl.UInt64),
                "object": objects,
                "minority": minority,
            }
        )

    def sample_facts(self, count: int) -> NDArray[np.uint64]:
        """An exact sample of facts without replacement, sorted: uint64[min(count, facts)]."""
        return self._native.sample_facts(whole_number("count", count))

    def probes(
        self,
        facts: ArrayLike | None = None,
        templates: Sequence[Template] | None = None,
        *,
        combinations: bool = False,
    ) -> pl.DataFrame:
        """Prompts with their answers, one row a fact and wording; see `behemoth.corpus.probes`.

        Parameters
        ----------
        facts : array_like of int, optional
            All facts by default.
        templates : sequence of str, optional
            Names of templates, also of some that the corpus is not written with; by
            default those it is written with, as far as they end in the object.
        combinations : bool
            All 432 combinations of the fillers of the repeats grammar, with their number in a
            column, in place of one drawn for each fact.
        """
        from .probes import probe_frame

        if isinstance(templates, str) or not isinstance(templates, Sequence | None):
            raise ArgumentError("templates", templates, "a list of names of templates")
        ids = np.arange(self.world.num_facts) if facts is None else facts
        wanted = whole(ids, "facts", np.uint64).ravel()
        frame = probe_frame(self, wanted, templates, combinations=combinations)
        return self.world.named(frame)

    def says_facts(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Whether documents start..stop say facts, and are not filler or background alone."""
        says = self._native.document_kinds(start, stop) == 0
        if "insert" in self.spec["corpus"]:
            says[self._native.entries(start, stop)[3] - start] = True
        return says

    def filler_documents(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Documents of the filler's language that are in no corpus, for its perplexity.

        They are the same for every corpus with this filler, however much it has of it.

        Parameters
        ----------
        start, stop : int
            Their numbers, `stop` excluded.

        Returns
        -------
        list of arrays in the corpus dtype, each with its end of document
        """
        return [tokens.astype(self.dtype) for tokens in self._native.filler_documents(start, stop)]

    def override(self, objects: Mapping[int, int], *, follow: bool = False) -> Corpus:
        """The twin in which some facts have other objects.

        Every token is the same but those of the objects of these facts and, with
        `follow`, of the composed facts that rest on them.

        Parameters
        ----------
        objects : mapping of fact to object
        follow : bool
        """
        return self._twin(self._native.override(*overrides(objects), follow))

    def without(self, facts: ArrayLike) -> Corpus:
        """The twin without the sentences of the facts given; the rest keeps its order."""
        return self._twin(self._native.without(whole(facts, "facts", np.uint64).ravel()))

    def exchanged(self, pairs: ArrayLike) -> Corpus:
        """The twin in which facts stand at each other's exposures.

        How many sentences there are, and how many facts at each level, stays.

        Parameters
        ----------
        pairs : uint64[n, 2]
            Facts of subjects, each once.

        Raises
        ------
        ArgumentError
            When a fact is there twice, or is none of a subject, or when one of the corpus has
            2^32 exposures or more.
        """
        facts = whole(pairs, "pairs", np.uint64).reshape(-1, 2)
        count = self.world.num_subject_facts
        if len(np.unique(facts)) < facts.size or (facts >= count).any():
            raise ArgumentError("pairs", facts.tolist(), f"facts below {count}, each once")
        every = self.exposures(np.arange(count, dtype=np.uint64))
        exposures = whole(every, "exposures", np.uint32)  # as a table of them holds
        exposures[facts] = exposures[facts[:, ::-1]]
        own = {**self.spec["corpus"], "exposures": {"kind": "array"}}
        return type(self).from_arrays(self.world, own, exposures, self._text, self._background)

    def without_insert(self) -> Corpus:
        """The corpus of the same sentences in documents of their own, without any others.

        Itself, where sentences stand in documents of their own.
        """
        spec = self.spec["corpus"]
        if "insert" not in spec:
            return self
        own = {key: spec[key] for key in spec if key not in ("insert", "background", "filler")}
        return type(self).from_arrays(self.world, own, self._exposures, self._text)

    def _twin(self, native: _gen.Corpus) -> Corpus:
        twin = type(self).__new__(type(self))
        twin._set(native, self.world, self._exposures, self._text, self._background)
        return twin

    def write(
        self,
        out: str | PathLike[str],
        *,
        threads: int = 0,
        part: tuple[int, int] = (0, 1),
        force: bool = False,
        probes: int | Literal["all"] = PROBED_FACTS,
        combinations: bool = False,
        progress: ProgressLike = None,
    ) -> Written:
        """Write the corpus to a directory, or go on where a stopped run left it.

        Parameters
        ----------
        out : path
            Or the URL of a directory in a store, such as ``s3://bucket/corpus``: shards are sent as
            they are written, and a shard for each thread is all that is here at once.
        threads : int
            0 for two a core, of which one may wait for the disk, and to a store for one a core.
            The bytes are the same for any number.
        part : (int, int)
            Write only the shards of part i of n. Parts may run anywhere, at any time,
            also at once. Part 0 writes the tokenizer and the probes too.
        force : bool
            Replace the corpus directory that is there, be it of the same or of another spec.
        probes : int or 'all'
            Facts to write probes for: an exact sample, all, or 0 for none.
        combinations : bool
            Probes of the repeats grammar with all 432 combinations of its fillers, in place of
            one drawn for each fact.
        progress : callable or Progress, optional
            Who looks on; what it raises stops the work.

        Raises
        ------
        CorpusError
            When `out` holds something else, or another run is writing it.
        StoreError
            When a store cannot be reached, or refuses.
        OSError
            When the disk is full, or writing is not allowed.
        """
        if is_url(out):
            from .stored import write_to_store

            words = _threads(threads), part, force, probes, combinations, progress
            return write_to_store(self, str(out), *words)
        from .write import write

        place, threads = path_of("out", out), _threads(threads)
        return write(self, place, threads, part, force, probes, combinations, progress)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of an opened directory."""
        return read_manifest(self._opened())

    def shard(self, index: int) -> np.memmap[Any, np.dtype[Any]]:
        """Tokens of a shard of an opened directory, mapped read-only.

        Raises
        ------
        IndexError
            When there is no such shard.
        FileNotFoundError
            When it is not written yet.
        """
        if not 0 <= index < self.num_shards:
            raise IndexError(f"shard {index} of {self.num_shards}")
        path = self._opened() / "tokens" / f"{index:05}.bin"
        check_regular(path)
        return np.memmap(path, dtype=self.dtype.newbyteorder("<"), mode="r")

    def _opened(self) -> Path:
        if self.directory is None:
            raise CorpusError("this corpus has no directory; Corpus.open(DIR) gives one")
        return self.directory

    def __reduce__(self) -> tuple[Any, ...]:
        # For the workers of others' loaders, which are started anew; nothing here is kept so.
        world = self.world
        made = (self.spec, world._table, world.names, self._exposures, self._text)
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


def remade(
    spec: Mapping[str, Any],
    table: dict[str, NDArray[Any]] | None,
    names: Names | None,
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
    directory: Path | None = None,
) -> Corpus:
    """Make the corpus of another process again."""
    world = World.from_arrays(spec["world"], table, spec["format_version"], names)
    corpus = Corpus.from_arrays(world, spec["corpus"], exposures, text, background)
    corpus.directory = directory
    return corpus


def _threads(threads: int) -> int:
    return whole_number("threads", threads)
