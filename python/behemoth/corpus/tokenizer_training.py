"""Training of a byte-level BPE tokenizer on the text of a grammar, without a download.

Text is split before each space and each punctuation mark, as GPT-2's tokenizer does, and merges
never cross a split: so the tokens of a sentence are the tokens of its pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

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
from behemoth.support.progress import ProgressLike, task

from .grammar import Grammar
from .text_tokenizer import TextTokenizer
from .tokenizer import hub_files, write_tokenizer

END, PADDING, UNKNOWN = SPECIAL_WORDS
_SMALLEST = 256 + 3  # every byte, and the special tokens
_LARGEST = 10**6  # tokenizers allocates memory for all ids, and aborts if there is not enough
_BATCH = 1_000  # documents made at a time


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
        Number of token ids, 259 to 1,000,000.
    documents : int
        Number of documents to train on.
    seed : int
        Seed of the world of these documents.
    progress : callable or Progress, optional
        Receiver of progress reports.

    Raises
    ------
    ArgumentError
    """
    from .corpus import Corpus

    vocabulary = whole_number("vocabulary", vocabulary)
    if not _SMALLEST <= vocabulary <= _LARGEST:
        raise ArgumentError("vocabulary", vocabulary, f"{_SMALLEST} to {_LARGEST:,}")
    documents, seed = whole_number("documents", documents, 1), whole_number("seed", seed)
    place = None if out is None else path_of("out", out)
    if place is not None:
        allowed = "a directory of its own"
        check_directory("out", place, allowed)
        check_unclaimed("out", place, allowed)
        check_permission(place)
    with needed():
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    subjects = min(made.facts["names"], documents)
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
    with task(progress, "reading", "documents") as step:

        def texts() -> Iterator[list[str]]:
            for first in range(0, count, _BATCH):
                last = min(first + _BATCH, count)
                yield corpus.texts(first, last)
                step(last, count)

        tokenizer.train_from_iterator(texts(), trainer)
    special = {"eos_token": END, "pad_token": PADDING, "unk_token": UNKNOWN}
    files = hub_files((tokenizer.to_str(pretty=True) + "\n").encode(), special, "left")
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
        write_tokenizer(place, files)
    return TextTokenizer(files, END)
