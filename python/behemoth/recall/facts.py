"""Which facts of a corpus a model recalls: one row per probe.

A probe is right if the greedy continuation of its prompt, up to the period or the end of the
document, is the object's word and nothing else (for a question: the marker and the word). There
is no partial credit. Only the fillers that the repeats grammar writes after an object (copies of
the filler before its marker) are removed before the comparison. With a text grammar a sentence may
continue after its object in many ways; there a probe is right if the longest object name that the
continuation begins with is that of the right object, and its last word ends there ("Colombooters"
is not "Colombo"), unless the grammar writes letters right after objects itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray

from behemoth.corpus.arrays import fact_numbers
from behemoth.corpus.corpus import Corpus
from behemoth.model.modes import evaluating
from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError

from .generation import Decoded, decode, device_of
from .judging import (
    BEYOND_ANSWER,
    among_objects,
    copied_fillers,
    matches,
    rank_among,
    said_answers,
    token_log_probabilities,
)
from .ragged import Ragged
from .sequence_rank import check_rank, sequence_ranks
from .words import text_of, words_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@runtime_checkable
class KnownModel(Protocol):
    """A model with the corpus whose facts it knows, such as a run."""

    @property
    def corpus(self) -> Corpus:
        """The corpus."""
        ...

    def load_model(self, device: torch.device | str | None = None) -> PreTrainedModel:
        """Load the model, by default on a GPU if available."""
        ...


DEFAULT_FACTS = 10_000
_KEPT = ("fact", "subject", "relation", "object", "template", "wording", "held_out", "seen",
         "exposures")  # fmt: skip
SCHEMA = {
    "fact": pl.UInt64,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "object": pl.UInt32,
    "template": pl.String,
    "wording": pl.UInt32,
    "held_out": pl.Boolean,
    "seen": pl.Boolean,
    "exposures": pl.UInt64,
    "prompt_tokens": pl.UInt32,
    "log_probability": pl.Float64,
    "rank": pl.UInt32,
    "generated": pl.String,
    "exact_match": pl.Boolean,
    "valid_object": pl.Boolean,
}


def recall(
    model: PreTrainedModel | KnownModel,
    corpus: Corpus | None = None,
    *,
    facts: ArrayLike | None = None,
    templates: Sequence[str] | None = None,
    held_out: bool = True,
    unseen: bool = True,
    rank: Literal["first", "sequence"] = "first",
    batch_size: int = 512,
    device: torch.device | str | None = None,
) -> pl.DataFrame:
    """Query a model for the objects of facts, in every wording.

    Parameters, rows and errors are those of `behemoth.recall`, which also opens paths. Without
    `unseen`, questions about subjects that the corpus asks no questions about are left out.
    """
    model, corpus = _model_and_corpus(model, corpus, device)
    place = device_of(model)
    held_out = flag("held_out", held_out)
    batch_size = whole_number("batch_size", batch_size, 1)
    check_rank(rank, corpus)
    size = int(model.config.vocab_size)
    if size < corpus.vocabulary_size:
        raise ArgumentError(
            "model",
            f"a vocabulary of {size} tokens",
            f"at least the {corpus.vocabulary_size} of the corpus",
        )
    if facts is None:
        ids = corpus.sample_facts(DEFAULT_FACTS)
    else:
        ids = fact_numbers(facts, corpus.world.num_facts)
    probes = corpus.probes(ids, templates)  # type: ignore[arg-type]
    if not held_out:
        probes = probes.filter(~pl.col("held_out"))
    if not unseen:
        probes = probes.filter(pl.col("seen").fill_null(True))
    if probes.is_empty():
        return corpus.world.named(pl.DataFrame(schema=SCHEMA))
    prompts, answers = map(Ragged.of_lists, (probes["prompt"], probes["answer"]))
    judge = _Judge(corpus, probes, prompts, answers)
    for batch in decode(
        model,
        prompts,
        answers,
        most=int(judge.most.max()),
        stop=judge.words.stop,
        batch_size=batch_size,
        device=place,
    ):
        judge.add(batch)
    if rank == "sequence":
        with evaluating(model), torch.no_grad():
            judge.rank = sequence_ranks(
                model,
                corpus,
                prompts,
                probes["relation"].to_numpy(),
                probes["object"].to_numpy(),
                judge.log_probability,
                batch_size=batch_size,
                device=place,
            )
    columns: dict[str, Any] = {
        **{name: probes[name] for name in _KEPT},
        "prompt_tokens": prompts.lengths,
        "log_probability": judge.log_probability,
        "rank": judge.rank,
        "generated": judge.generated,
        "exact_match": judge.exact_match,
        "valid_object": judge.valid_object,
    }
    return corpus.world.named(pl.DataFrame(columns, schema_overrides=SCHEMA))


def _model_and_corpus(
    model: Any, corpus: Any, device: torch.device | str | None
) -> tuple[PreTrainedModel, Corpus]:
    known = isinstance(model, KnownModel)
    if not (known or isinstance(model, torch.nn.Module)):
        raise ArgumentError("model", model, "a model or a run, such as behemoth.load(RUN)")
    if corpus is None and known:
        corpus = model.corpus
    if not isinstance(corpus, Corpus):
        raise ArgumentError("corpus", corpus, "a Corpus, such as behemoth.load(RUN).corpus")
    if known:
        return model.load_model(device), corpus
    given: Any = model
    device_of(given, device)  # refuses another one than the model's
    return given, corpus


def recall_by_group(frame: pl.DataFrame, by: str | Sequence[str] = "exposures") -> pl.DataFrame:
    """Average the rows of `recall` over groups of probes.

    Parameters
    ----------
    frame : polars.DataFrame
    by : str or sequence of str
        Columns to group by, such as ``exposures``, ``template``, ``held_out`` or ``seen``.

    Returns
    -------
    polars.DataFrame
        One row per group, sorted: the columns of `by`, n (UInt32), recall (Float64; share of
        exact matches), valid_object (Float64; share) and log_probability (Float64; mean).

    Raises
    ------
    ArgumentError
        When `frame` is no polars.DataFrame.
    """
    if not isinstance(frame, pl.DataFrame):
        kind = type(frame)
        got = f"a {kind.__module__.split('.')[0]}.{kind.__name__}"
        raise ArgumentError("frame", got, "a polars.DataFrame, as recall returns it")
    names = [by] if isinstance(by, str) else list(by)
    return (
        frame.group_by(names, maintain_order=True)
        .agg(
            pl.len().cast(pl.UInt32).alias("n"),
            pl.col("exact_match").mean().alias("recall"),
            pl.col("valid_object").cast(pl.Float64).mean(),
            pl.col("log_probability").mean(),
        )
        .sort(names)
    )


class _Judge:
    """Compares generated answers with the true ones, batch by batch."""

    def __init__(
        self, corpus: Corpus, probes: pl.DataFrame, prompts: Ragged, answers: Ragged
    ) -> None:
        rows = len(probes)
        self.log_probability = np.empty(rows, np.float64)
        self.rank = np.empty(rows, np.uint32)
        self.exact_match = np.empty(rows, np.bool_)
        self.valid_object = np.empty(rows, np.bool_)
        self.generated: list[str] = [""] * rows
        self._answers = answers
        self._text = text_of(corpus)
        self.words = words_of(corpus)
        self._relation = probes["relation"].to_numpy()
        self._marked = self.words.marked(answers.lengths, self._relation)
        self._filler = copied_fillers(prompts, probes["template"])
        longest = np.maximum(answers.lengths, self.words.most(self._relation))
        self.most = longest + BEYOND_ANSWER

    def add(self, batch: Decoded) -> None:
        """Score one batch."""
        rows, tokens = batch.rows, batch.tokens
        answers = self._answers.padded(rows, batch.logits.shape[1], 0)
        self._score(batch, answers)
        said, made, finished = said_answers(
            batch, self.most[rows], self._filler[rows], self._relation[rows], self.words
        )
        self.exact_match[rows] = finished & matches(tokens, made, self._answers, rows)
        self.valid_object[rows] = finished & self.words.valid(
            tokens, made, self._marked[rows], answers[:, 0], self._relation[rows]
        )
        for row, line, length in zip(rows, tokens.tolist(), said.tolist(), strict=True):
            self.generated[row] = self._text(line[:length])

    def _score(self, batch: Decoded, answers: NDArray[np.int64]) -> None:
        logits, rows = batch.logits, batch.rows
        each = token_log_probabilities(logits, answers, self._answers.lengths[rows])
        self.log_probability[rows] = each.sum(1).cpu().numpy()
        marked = self._marked[rows]
        first = answers[np.arange(len(rows)), marked]
        at_word = logits[torch.arange(len(rows)), torch.from_numpy(marked)]
        for _, chosen, leading, among in among_objects(at_word, self._relation[rows], self.words):
            self.rank[rows[chosen]] = rank_among(among, leading, first[chosen])
