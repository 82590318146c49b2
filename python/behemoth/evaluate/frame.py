"""The evaluation frame: one row for each (edit, probe, stage), before any aggregation.

It contains both free generation and probabilities, since either alone is misleading: teacher
forcing reveals an answer's content and length, and a generation hides how close the runner-up is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.output import Origin, check_target
from behemoth.delta.stack import stack_deltas
from behemoth.plan.edit_plan import EditPlan
from behemoth.recall.sequence_rank import check_rank
from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.files import replacing
from behemoth.support.progress import Advance, ProgressLike, part_of, silent, task
from behemoth.train.memory_budget import require_weights

from .memory_budget import changes_bytes, fitting
from .prompted import Prompted, unwanted_words
from .ranking import Ranking
from .row_scores import Scores
from .scores import score, score_pair, score_stacked
from .source import check_plan, open_source
from .table import finish, laid_out

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import EditRecord
    from behemoth.train.model_source import ModelSource

    from .unedited import Unedited

__all__ = ["STACK", "STACK_BYTES", "evaluate", "evaluate_model", "evaluate_pair"]

STACK = 64
"""Maximum number of edited models in one pass."""
STACK_BYTES = 1 << 30
"""Maximum size of the changes of a stack."""


def evaluate(
    source: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    *,
    corpus: str | PathLike[str] | Corpus | None = None,
    rank: Literal["first", "sequence"] = "first",
    stack: int = STACK,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> pl.DataFrame:
    """Evaluate a run, or an edited model, on all probes of a plan.

    Parameters
    ----------
    source : path
        A training run or a model (stage ``before`` only), or an edit directory (both stages).
    plan : EditPlan or path
        The plan; for an edit, the one it was made with. Independent edits that were made together
        are not asked about facts that another of them changes or puts in doubt.
    corpus : path or Corpus, optional
        For a model that is not a training run: the corpus that the plan was made from, or its
        directory or spec.
    rank : {'first', 'sequence'}
        Score by which objects are ranked: that of the first token of their word, which needs no
        extra pass; or, with a grammar, of all tokens of their names, which needs more passes the
        less a model knows, for one edited model after another, and also yields the wrong objects'
        probability for names of several tokens.
    stack : int
        Maximum number of single edits in one pass.
    batch_size : int, optional
        Number of rows per pass; by default 512 on a CPU, as larger batches do not fit its caches,
        or fewer if memory is short, and 4,096 otherwise.
    device : optional
        Device of the model; by default a GPU if there is one.
    out : path, optional
        Parquet file to which the frame is also written; one of the same weights (of the model and
        of the edit) and the same plan is replaced.
    force : bool
        Replace a Parquet file that holds something else.
    memory : int, optional
        Memory that may be used on a CPU, in bytes, in addition to what the process already uses:
        rows and edits per pass are limited to what fits, and an evaluation that cannot fit is
        refused before it starts. By default the free memory of the machine or container.
    progress : callable or Progress, optional
        Receives progress; an exception that it raises stops the work.

    Returns
    -------
    polars.DataFrame
        One row for each (edit, probe, stage), columns as in `SCHEMA`:

        - run, plan, edit, method, world, seed, method_seed: origin of the row. Rows with the same
          (world, seed) come from the same model. edit is null for probes of a batch as a whole, and
          the single edit for single edits. failure: why there was no edit, if there was none.
        - stage: ``before`` or ``after`` the edit.
        - probe to exposures: the probe, as in the plan; exposures are those of the probe's fact,
          edit_exposures those of the edited one.
        - prompt_tokens: number of tokens of the prompt.
        - log_probability_old, _true, _new: natural logarithm, over all tokens, of the answer that
          was right before the edit, that is right after it, and of the edit's new object (null
          for other relations, and if it is the old answer of a fact that must not change); _wrong:
          of the mean probability of all objects of the relation except the old one (for words of
          several tokens only with ``rank="sequence"``, on probes of edited facts, to within a
          thousandth; else null).
        - rank: rank of the true object among those of its relation, by its first token or by its
          complete name; 1 is best, ties count against it; null for refusals.
        - generated: greedy, up to "." or the end; with a grammar up to the end, and no more tokens
          than one beyond the longest object. exact_match, old_match, new_match: whether it is
          exactly the true, old, new answer (no partial credit); with a grammar, whether that is the
          longest object that it begins with, and a word ends there. valid_object: whether it is an
          object of the relation. leaked: whether it contains the edit's new object although that is
          not the answer; null without such an object.
        - extraction_strength: of the old answer (Wang et al., 2024).
        - kl: KL(unedited || edited), nats, over the vocabulary where the object's word begins.
        - known: whether the unedited model generates the old answer to this prompt; edit_known:
          to some trained wording of the edited fact. A model by itself, which may have been edited
          elsewhere, is its own unedited model: kl is 0, and known what it knows now.
        - subject_name, relation_name: last columns, if the world has names.

    Raises
    ------
    ArgumentError
        When the plan is for another world or is not the edit's plan, there is no run, or `out` is a
        directory, a name that does not end in ``.parquet``, a file of one of behemoth's, or holds
        another result and `force` is not set.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, independent=True, repeats=2, probes=1)
    >>> edited = bh.edit("run", plan, "lora", "edit", settings={"steps": 2}, single=True)
    >>> frame = bh.evaluate(edited, plan, out="frame.parquet")
    >>> frame.filter(group="edited").select("edit", "stage").rows()
    [(0, 'before'), (1, 'before'), (0, 'after'), (1, 'after')]
    """
    force = flag("force", force)
    target = None if out is None else check_target(out)
    edit_plan = EditPlan.of(plan)
    _, run, edit = open_source("source", source, corpus)
    stack = whole_number("stack", stack, 1)
    if batch_size is not None:
        batch_size = whole_number("batch_size", batch_size, 1)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    check_plan(edit_plan, run, edit)
    check_rank(rank, run.corpus)
    require_weights(run.directory, device, memory, "source")
    deltas = {} if edit is None else edit.deltas()
    origin = None
    if target is not None:  # after the deltas, which refuse what is damaged
        origin = _origin(run, edit, edit_plan)
        origin.check(target, "another model, edit or plan", force=force)
    model = run.load_model(device)
    stack, batch_size = fitting(model, edit_plan.probes, deltas, stack, batch_size, memory)
    frame = evaluate_model(
        model,
        run.corpus,
        edit_plan,
        deltas,
        run=run.name,
        seed=run.seed,
        rank=rank,
        stack=stack,
        batch_size=batch_size,
        progress=progress,
    )
    frame = run.corpus.world.named(frame)
    if target is not None and origin is not None:
        with replacing(target) as temporary:
            frame.write_parquet(temporary, metadata=origin.metadata)
    return frame


def _origin(run: ModelSource, edit: EditRecord | None, plan: EditPlan) -> Origin:
    """Return the origin of the frame of a model or an edit: its weights and the plan."""
    if edit is None:
        weights = run.weights_digest()
    else:
        weights = edit.models_hash(run.directory, edit.keys)
    return Origin("an evaluation", (weights, plan.plan_hash))


def evaluate_model(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    deltas: Mapping[int | None, EditDelta],
    *,
    run: str = "",
    seed: int = 0,
    rank: Literal["first", "sequence"] = "first",
    wrong: bool = False,
    stack: int = STACK,
    batch_size: int | None = None,
    unedited: Unedited | None = None,
    progress: ProgressLike = None,
) -> pl.DataFrame:
    """Evaluate a model and deltas in memory, see `evaluate`.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edits; it is left unchanged.
    corpus : Corpus
    plan : EditPlan
    deltas : mapping of int or None to EditDelta
        Deltas of single edits by number, each evaluated on its own probes and those of the plan as
        a whole; or None to the delta of the complete plan, evaluated on all probes, of independent
        edits on those that hold together (`EditPlan.together`); or empty.
    run, seed
        Values of the columns of these names.
    wrong : bool
        Whether to compute log_probability_wrong for words of several tokens even if objects are
        ranked by their first token; only with a grammar.
    unedited : Unedited, optional
        What earlier evaluations found of this model without edits, and what this one finds: the
        same rows, in less time. It has no effect without deltas.
    rank, stack, batch_size, progress
        See `evaluate`.

    Returns
    -------
    polars.DataFrame
        See `evaluate`; without columns of names.
    """
    batch_size = _rows_per_pass(model) if batch_size is None else batch_size
    for name, value in (("stack", stack), ("batch_size", batch_size)):
        whole_number(name, value, 1)
    check_rank(rank, corpus)
    if wrong and corpus.grammar is None:
        raise ArgumentError("wrong", wrong, "false for a corpus without a grammar")
    asked = plan.together(corpus) if None in deltas else plan
    ranking, probes = None, asked.probes
    if wrong or rank == "sequence":
        ranking = Ranking(corpus, probes, batch_size, ranks=rank == "sequence")
    prompted = Prompted.of(corpus, probes, unwanted_words(asked, corpus))
    rows = _rows(probes, deltas)
    # Ranks by names may take minutes for one model, in which no model would be done.
    unit = "rows" if rank == "sequence" and len(rows) < 2 else "models"
    if not rows:
        before = score(model, prompted, batch_size=batch_size)
        every = np.arange(len(prompted))
        if ranking is not None:
            with task(progress, "evaluating", unit) as step:
                ranking.rank(model, prompted, every, before, every, step)
        table = laid_out(probes, prompted, every, before, before)
        frame = table.filter(stage="before").with_columns(
            failure=None, method=None, method_seed=None
        )
        return finish(frame, plan, corpus, run, seed)
    frames: list[pl.DataFrame] = []
    before = Scores.empty(len(prompted))  # of all probes, so once and not for each stack
    done = 0
    with task(progress, "evaluating", unit) as step:
        ranked = step if unit == "rows" else silent
        for edits in _stacks(list(rows), deltas, stack):
            own = {edit: rows[edit] for edit in edits}
            frames.append(
                _evaluate_stack(
                    model, prompted, probes, own, deltas, before, batch_size, ranking, unedited,
                    ranked,
                )
            )  # fmt: skip
            done += len(edits)
            if unit == "models":
                step(done, len(rows))
    return finish(pl.concat(frames), plan, corpus, run, seed)


def evaluate_pair(
    model: PreTrainedModel,
    edited: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    *,
    method: str,
    run: str = "",
    seed: int = 0,
    batch_size: int | None = None,
) -> pl.DataFrame:
    """Evaluate a model and another one that all edits of a plan have made of it, in memory.

    It is for edits that are no difference of weights, such as modules that another tool wraps. An
    edited model whose outputs depend on the other rows of a batch needs `batch_size` 1: then every
    prompt is passed by itself, without padding.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edits.
    edited : PreTrainedModel
        The model with them; it shares no module with `model`.
    corpus : Corpus
    plan : EditPlan
    method : str
        Value of the column method of the rows after the edits.
    run, seed
        Values of the columns of these names.
    batch_size : int, optional
        See `evaluate`.

    Returns
    -------
    polars.DataFrame
        See `evaluate`: rows of both stages, without columns of names. method_seed is null.

    Examples
    --------
    >>> import behemoth as bh
    >>> from behemoth.evaluate import evaluate_pair
    >>> plan = bh.plan("run", edits=2, repeats=2, probes=1)
    >>> run = bh.load("run")
    >>> edit = bh.edit("run", plan, "lora", "batch", settings={"steps": 2})
    >>> edited = bh.load(edit).load_model()
    >>> frame = evaluate_pair(run.load_model(), edited, run.corpus, plan, method="another tool's")
    >>> sorted(frame["stage"].unique())
    ['after', 'before']
    """
    batch_size = _rows_per_pass(model) if batch_size is None else batch_size
    whole_number("batch_size", batch_size, 1)
    asked = plan.together(corpus)
    prompted = Prompted.of(corpus, asked.probes, unwanted_words(asked, corpus))
    before, after = score_pair(model, edited, prompted, batch_size=batch_size)
    frame = laid_out(asked.probes, prompted, np.arange(len(prompted)), before, after)
    frame = frame.with_columns(failure=None, method=pl.lit(method), method_seed=None)
    return finish(frame, plan, corpus, run, seed)


def _rows_per_pass(model: PreTrainedModel) -> int:
    """Return the usual number of rows per pass: on a CPU more do not fit its caches."""
    return 512 if next(model.parameters()).device.type == "cpu" else 4096


def _rows(
    probes: pl.DataFrame, deltas: Mapping[int | None, EditDelta]
) -> dict[int | None, NDArray[np.intp]]:
    """Return the probes of each edited model, by the key of its delta, omitting empty ones."""
    if None in deltas:
        every = np.arange(probes.height)
        return {None: every} if len(every) else {}
    edit_column = probes["edit"]
    shared = np.flatnonzero(edit_column.is_null().to_numpy())
    owned = np.flatnonzero(edit_column.is_not_null().to_numpy())
    edits = edit_column.drop_nulls().to_numpy()
    order = np.argsort(edits, kind="stable")
    owned, edits = owned[order], edits[order]
    rows_of: dict[int | None, NDArray[np.intp]] = {}
    for key in deltas:
        assert key is not None
        first, last = np.searchsorted(edits, [key, key + 1])
        rows = np.concatenate([owned[first:last], shared])
        if len(rows):
            rows_of[key] = rows
    return rows_of


def _stacks(
    keys: Sequence[int | None], deltas: Mapping[int | None, EditDelta], limit: int
) -> list[list[int | None]]:
    """Cut the edits into stacks whose changes fit in memory."""
    stacks: list[list[int | None]] = []
    total = 0
    for key in keys:
        bytes_ = changes_bytes(deltas[key])
        if not stacks or len(stacks[-1]) == limit or total + bytes_ > STACK_BYTES:
            stacks.append([])
            total = 0
        stacks[-1].append(key)
        total += bytes_
    return stacks


def _evaluate_stack(
    model: PreTrainedModel,
    prompted: Prompted,
    probes: pl.DataFrame,
    rows: Mapping[int | None, NDArray[np.intp]],
    deltas: Mapping[int | None, EditDelta],
    before: Scores,
    batch_size: int,
    ranking: Ranking | None,
    unedited: Unedited | None,
    ranked: Advance,
) -> pl.DataFrame:
    """Return the rows of both stages; `before` is filled in for the probes of these edits.

    `ranked` is told how many rows of both stages have a rank by names, of a single model.
    """
    stack = [deltas[key] for key in rows]
    probe_rows = np.concatenate(list(rows.values()))
    ends = np.cumsum([len(edit_rows) for edit_rows in rows.values()])
    after = Scores.empty(len(probe_rows))
    places = np.split(np.arange(len(probe_rows)), ends[:-1])
    stacked = stack_deltas(model, stack)
    score_stacked(
        model, stacked, prompted, probe_rows, places, before, after, batch_size=batch_size,
        unedited=unedited,
    )  # fmt: skip
    if ranking is not None:
        every = np.unique(probe_rows)
        ranking.rank(model, prompted, every, before, every, part_of(ranked, 0, 2))
        for delta, place in zip(stack, places, strict=True):
            with delta.apply(model):
                ranking.rank(
                    model, prompted, probe_rows[place], after, place, part_of(ranked, 1, 2)
                )
    made = pl.DataFrame(
        [
            (key, delta.failure, delta.method, delta.seed)
            for key, delta in zip(rows, stack, strict=True)
        ],
        schema={
            "owner": pl.UInt32,
            "failure": pl.String,
            "method": pl.String,
            "method_seed": pl.Int64,
        },
        orient="row",
    )
    # All rows before the edits, then all after them.
    owner = np.tile(np.repeat(np.arange(len(stack)), np.diff(ends, prepend=0)), 2)
    frame = pl.concat(
        [laid_out(probes, prompted, probe_rows, before, after), made[owner]], how="horizontal"
    )
    return frame.with_columns(edit=pl.coalesce("owner", "edit")).drop("owner")
