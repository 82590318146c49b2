"""Training of a byte-level BPE tokenizer on the text of a grammar, without a download.

Text is split before each space and each punctuation mark, as GPT-2's tokenizer does, and merges
never cross a split: so the tokens of a sentence are the tokens of its pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from os import PathLike
from threading import Event

from behemoth._gen import SPECIAL_WORDS
from behemoth.support.checks import (
    check_directory,
    check_permission,
    check_unclaimed,
    path_of,
    whole_number,
)
from behemoth.support.errors import ArgumentError
from behemoth.support.extras import needed
from behemoth.support.files import names_in
from behemoth.support.kinds import held
from behemoth.support.locks import sole
from behemoth.support.progress import ProgressLike, task

from .grammar import Grammar
from .text_tokenizer import TextTokenizer
from .tokenizer import FILES, hub_files, write_tokenizer

END, PADDING, UNKNOWN = SPECIAL_WORDS
_SMALLEST = 256 + 3  # every byte, and the special tokens
_LARGEST = 10**6  # tokenizers allocates memory for all ids, and aborts if there is not enough
_LAST = "tokenizer.json"
_BATCH = 1_000  # documents made at a time
_AGAIN = 0.1  # seconds until it is asked again whether a signal has arrived


def train_tokenizer(
    grammar: Grammar | str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    vocabulary: int = 4096,
    documents: int = 20_000,
    seed: int = 0,
    progress: ProgressLike = None,
) -> TextTokenizer:
    """Train a byte-level BPE tokenizer on documents of a grammar.

    Parameters
    ----------
    grammar : Grammar, str or path
    out : path, optional
        Directory to write its files to.
    vocabulary : int
        Number of token ids, 259 to 1,000,000; it has fewer if the documents have no more.
    documents : int
        Number of documents to train on.
    seed : int
        Seed of the world of these documents.
    progress : callable or Progress, optional
        Receiver of progress reports.

    Raises
    ------
    ArgumentError
    CorpusError
        When another process is writing to `out`.
    """
    vocabulary = whole_number("vocabulary", vocabulary)
    if not _SMALLEST <= vocabulary <= _LARGEST:
        raise ArgumentError("vocabulary", vocabulary, f"{_SMALLEST} to {_LARGEST:,}")
    documents, seed = whole_number("documents", documents, 1), whole_number("seed", seed)
    place = None if out is None else path_of("out", out)
    if place is not None:
        allowed = "a directory of its own"
        check_directory("out", place, allowed)
        check_unclaimed("out", place, allowed)
        if place.is_dir() and (others := names_in(place) - set(FILES)):
            raise ArgumentError("out", held(place, min(others)), allowed)
        check_permission(place)
    with nullcontext() if place is None else sole(place, f"writing to {place}"):
        files = _trained(grammar, vocabulary, documents, seed, progress)
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            # By the last file it is a tokenizer, which the same command would refuse.
            try:
                write_tokenizer(
                    place, dict(sorted(files.items(), key=lambda item: item[0] == _LAST))
                )
            except BaseException:
                (place / _LAST).unlink(missing_ok=True)
                raise
    return TextTokenizer(files, END)


def _trained(
    grammar: Grammar | str | PathLike[str],
    vocabulary: int,
    documents: int,
    seed: int,
    progress: ProgressLike,
) -> dict[str, bytes]:
    """Return the files of the tokenizer, by name."""
    from .corpus import Corpus

    with needed():
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    subjects = made.subjects_up_to(documents)
    exposures = -(-documents // subjects)
    corpus = Corpus(
        made.world(subjects, seed=seed), exposures=exposures, order="bios", grammar=made
    )
    count = min(documents, corpus.num_documents)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PADDING, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stopped = Event()
    with task(progress, "reading", "documents") as step:

        def texts() -> Iterator[list[str]]:
            for first in range(0, count, _BATCH):
                if stopped.is_set():
                    return
                last = min(first + _BATCH, count)
                yield corpus.texts(first, last)
                step(last, count)

        # In a thread of its own: Python handles signals in the main thread only, which would not be
        # in Python until the end. What follows the last text takes a tenth of a second.
        with ThreadPoolExecutor(1) as pool:
            training = pool.submit(tokenizer.train_from_iterator, texts(), trainer)
            try:
                # In short, since a signal that polars handles does not wake what waits for long.
                while not training.done():
                    wait([training], timeout=_AGAIN)
                training.result()
            except BaseException:
                stopped.set()
                raise
    special = {"eos_token": END, "pad_token": PADDING, "unk_token": UNKNOWN}
    return hub_files((tokenizer.to_str(pretty=True) + "\n").encode(), special, "left")
