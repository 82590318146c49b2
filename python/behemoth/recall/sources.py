"""Recall of any source of a model: a run or an edit, also by its path, or a model with a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import torch
from numpy.typing import ArrayLike

from behemoth.corpus.corpus import Corpus
from behemoth.edit.record import EditRecord
from behemoth.support.errors import ArgumentError

from . import facts as of_facts
from .facts import KnownModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["recall"]


def recall(
    model: str | PathLike[str] | PreTrainedModel | KnownModel | EditRecord,
    corpus: Corpus | None = None,
    *,
    facts: ArrayLike | None = None,
    templates: Sequence[str] | None = None,
    held_out: bool = True,
    rank: Literal["first", "sequence"] = "first",
    batch_size: int = 512,
    device: torch.device | str | None = None,
) -> pl.DataFrame:
    """Query a model for the objects of facts, in every wording.

    Parameters
    ----------
    model : path, Run, EditRecord or PreTrainedModel
        A run or an edit, or the directory of one; or, with a corpus, a model. Its vocabulary is at
        least as large as that of `corpus`. It is evaluated without dropout and returned to its
        previous mode.
    corpus : Corpus, optional
        Corpus of the facts; by default that of the run, or of the run that was edited.
    facts : array_like of int, optional
        Facts to query, or a frame with them in a column ``fact``. By default all if there are up to
        10,000, otherwise an exact sample of 10,000.
    templates : sequence of str, optional
        Names of templates; by default all that the corpus is written with and that end in the
        object.
    held_out : bool
        Whether to include held-out wordings of the templates.
    rank : {'first', 'sequence'}
        Score by which objects are ranked: that of the first token of their word, which needs no
        extra pass; or, with a grammar, of all tokens of their names, which needs more passes the
        less the model knows.
    batch_size : int
        Number of probes per pass.
    device : optional
        Device to load the model of a run or an edit on, by default a GPU if available. A given
        model stays on its own.

    Returns
    -------
    polars.DataFrame
        One row per probe, wording by wording: fact (UInt64), subject (UInt64), relation (UInt32),
        object (UInt32), template (String), wording (UInt32), held_out (Boolean), seen (Boolean,
        null for statements), exposures (UInt64), prompt_tokens (UInt32),
        log_probability (Float64; natural logarithm, of all tokens of the answer),
        rank (UInt32; 1 is best: the place of the true object among all objects of its relation, by
        the first token of their words or by their complete names; ties count against it),
        generated (String; without the token that stopped it: token names, or decoded text with a
        grammar), exact_match (Boolean) and valid_object (Boolean; the output is a word of some
        object of the relation). If the world has names, also subject_name, relation_name and
        object_name (String).

    Raises
    ------
    ArgumentError
        When the model's vocabulary is too small, a model has no corpus, a fact or template does not
        exist, `rank` is 'sequence' without a grammar, or a given model is on another device.

    Examples
    --------
    >>> import behemoth as bh
    >>> found = bh.recall("run")
    >>> found.columns[:4], found.height
    (['fact', 'subject', 'relation', 'object'], 80)
    """
    given: Any = model
    if isinstance(model, str | PathLike):
        from behemoth.evaluate.source import open_source

        _, run, record = open_source("model", model, corpus)
        given = run if record is None else record
    corpus = _corpus_of(given, corpus)
    return of_facts.recall(
        given,
        corpus,
        facts=facts,
        templates=templates,
        held_out=held_out,
        rank=rank,
        batch_size=batch_size,
        device=device,
    )


def _corpus_of(model: Any, corpus: Corpus | None) -> Corpus | None:
    """Return the argument `corpus`, by default that of the run that was edited.

    Raises
    ------
    ArgumentError
        For single edits, which make a model each.
    """
    if not isinstance(model, EditRecord):
        return corpus
    if model.single:
        allowed = "one model: EditRecord.load_model(edit=N), with a corpus"
        raise ArgumentError("model", f"{model.directory}, single edits", allowed)
    return model.open_run().corpus if corpus is None else corpus
