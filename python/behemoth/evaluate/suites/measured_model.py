"""What measures take: a model, its edit, its twin and their results, each computed once.

This file is longer than others because the one class is all that a measure may ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from behemoth.evaluate.aggregate import aggregate, has_rows, lacking, lost
from behemoth.evaluate.clusters import numbered_rows
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.geometry import geometry
from behemoth.evaluate.hints import ask_with_hints
from behemoth.evaluate.inverse import ask_inverse
from behemoth.evaluate.linear_probes import PROBED_ROWS, probe_objects
from behemoth.evaluate.membership import MEMBERSHIP_ROWS, membership, unwritten_pairs
from behemoth.evaluate.metrics import METRICS
from behemoth.evaluate.prompted import Prompted
from behemoth.evaluate.pruning import evaluate_pruned
from behemoth.evaluate.quantisation import evaluate_quantised
from behemoth.evaluate.scores import memorised
from behemoth.evaluate.source import (
    check_plan,
    check_shape,
    check_twin,
    deltas_made,
    open_source,
    warn_of_training,
)
from behemoth.evaluate.unedited import Unedited
from behemoth.plan.edit_plan import EditPlan
from behemoth.recall.facts import recall
from behemoth.support.errors import ArgumentError
from behemoth.train.model_source import ModelSource
from behemoth.train.run import Run

from .intervals import numbered_subjects, resampled_ratio
from .suite import Found, Measure, MissingError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import EditRecord

    from .parts import Parts

__all__ = ["CONTINUED", "MeasuredModel", "text_documents"]

CONTINUED = 64
"""Maximum number of Adam steps of continued training."""
_MADE = "edits that did not fail"  # where the plan has probes, but all are of edits that failed
_DOCUMENTS = 256  # maximum number of documents of running text


class MeasuredModel:
    """A model, with its edit if it has one, ready to be measured.

    Parameters
    ----------
    source : Path
        A training run, a model or an edit directory.
    run : Run or other ModelSource
        The run or model with its corpus.
    plan : EditPlan, optional
        The plan; None if no measure needs one.
    deltas : mapping of int or None to EditDelta
        Deltas of single edits by number, or None to that of the complete plan; empty for a run.
    load : callable
        Returns the model without the edit.
    edit : EditRecord, optional
        Record of the edit directory of the deltas.
    twin : MeasuredModel, optional
        A model that was trained without the facts of the plan, with the same probes.
    frame : polars.DataFrame, optional
        The frame of `evaluate_model` for these; computed if it is not given.
    continued : int
        Maximum number of Adam steps of continued training on the corpus.
    facts : array_like of int, optional
        Facts that `recall` queries, as it takes them; by default those of `behemoth.recall`.
    batch_size : int, optional
        Maximum number of rows per pass; by default that of each measure.
    in_trial : bool
        Whether it belongs to a trial of a study or of a tuning. Trials take only measures with
        `in_trials`, of the twin only those that need no edit, and of the unedited model those of
        `reference`.
    added : bool
        Whether a trial takes the other measures of its edits too.
    findings : Unedited, optional
        What is known of the model without the edit, from measuring other edits of it.
    together : bool, optional
        Without deltas: whether the edits that are compared with are made in one model; None if
        there are none.
    reference : MeasuredModel, optional
        Of a trial: the unedited model, measured once for all methods of its plan.

    Attributes
    ----------
    batch_size : int or None
        See above; it may be changed before a measure is taken.
    parts : Parts or None
        Where the rows of a sequence are kept while they are evaluated; None for nowhere.
    """

    def __init__(
        self,
        source: Path,
        run: ModelSource,
        plan: EditPlan | None,
        deltas: Mapping[int | None, EditDelta],
        load: Callable[[], PreTrainedModel],
        edit: EditRecord | None = None,
        twin: MeasuredModel | None = None,
        *,
        frame: pl.DataFrame | None = None,
        continued: int = CONTINUED,
        facts: ArrayLike | None = None,
        batch_size: int | None = None,
        in_trial: bool = False,
        added: bool = False,
        findings: Unedited | None = None,
        together: bool | None = None,
        reference: MeasuredModel | None = None,
    ) -> None:
        self.source, self.run, self._plan, self.deltas = source, run, plan, deltas
        self.edit, self.twin, self._load = edit, twin, load
        self.continued, self._facts, self.batch_size = continued, facts, batch_size
        self._frame, self._taken = frame, dict[str, Found]()
        self.in_trial, self.added, self.findings = in_trial, added, findings
        self._forgotten = Unedited() if findings is None else findings  # of the facts to forget
        self._together = None in deltas if deltas else together
        self._reference = reference
        self.parts: Parts | None = None

    @classmethod
    def open(
        cls,
        source: str | PathLike[str],
        plan: EditPlan | str | PathLike[str] | None,
        twin: str | PathLike[str] | None = None,
        *,
        corpus: str | PathLike[str] | Corpus | None = None,
        facts: int | Literal["all"] | None = None,
        device: torch.device | str | None = None,
    ) -> MeasuredModel:
        """Open a run, a model with its corpus or an edit, and optionally a twin.

        A twin is a run on a corpus of the same world without the facts that the plan edits, or with
        other objects for them; or an edit of the plan by an oracle. `facts` is the size of the
        exact sample of facts that `recall` queries.

        Raises
        ------
        ArgumentError
            When one of them is invalid, or they do not belong together.
        CorpusError
            When a record is damaged, or a file of the deltas or of the twin.
        """
        edit_plan = None if plan is None else EditPlan.of(plan)
        path, run, edit = open_source("source", source, corpus)
        if edit_plan is not None:
            check_plan(edit_plan, run, edit)
        deltas = {} if edit is None else deltas_made(edit)
        count = run.corpus.world.num_facts if facts == "all" else facts
        sample = None if count is None else run.corpus.sample_facts(count)
        other = None if twin is None else cls._of_twin(twin, run, edit_plan, deltas, sample, device)
        load = partial(run.load_model, device)
        return cls(path, run, edit_plan, deltas, load, edit, other, facts=sample)

    @classmethod
    def _of_twin(
        cls,
        twin: str | PathLike[str],
        run: ModelSource,
        plan: EditPlan | None,
        deltas: Mapping[int | None, EditDelta],
        facts: ArrayLike | None,
        device: torch.device | str | None,
    ) -> MeasuredModel:
        path, source, edit = open_source("twin", twin)
        check_twin(path, source, edit, run.corpus, plan)
        check_shape(path, source, run)
        if edit is None:  # one by `retrain` is trained as its run was
            warn_of_training(path, source, run, plan)
        together = None in deltas if deltas else None
        # Damage is refused here: the twin is loaded only by the first measure that needs it.
        source.check_files()
        if edit is not None:
            edit.deltas()

        def load() -> PreTrainedModel:
            model = source.load_model(device)
            if edit is not None:
                edit.deltas()[None].apply(model)
            return model

        return cls(path, run, plan, {}, load, facts=facts, together=together)

    @property
    def plan(self) -> EditPlan:
        """The plan whose probes are evaluated."""
        if self._plan is None:
            raise MissingError("a plan: --plan PLAN, whose probes are asked")
        return self._plan

    @cached_property
    def asked(self) -> EditPlan:
        """The plan with the probes that are asked: of edits in one model, those that all allow."""
        return self.plan.together(self.run.corpus) if self._together else self.plan

    @property
    def plan_hash(self) -> str | None:
        """Hash of the plan, or of the edit's plan; None for a run without a plan."""
        source = self._plan if self._plan is not None else self.edit
        return None if source is None else source.plan_hash

    @property
    def beside(self) -> MeasuredModel:
        """The twin, measured in the same way."""
        if self.twin is None:
            raise MissingError("a twin: --twin RUN, trained without the facts of the plan")
        return self.twin

    @property
    def wrong(self) -> bool:
        """Whether truth ratios are computed for objects of several tokens, which needs a grammar.

        Trials omit them: their cost would be that of all other objects of a relation.
        """
        return not self.in_trial and self.run.corpus.grammar is not None

    def lacks_truth_ratios(self) -> MissingError:
        """Return the error for measures that need truth ratios."""
        if self.in_trial and self.run.corpus.grammar is not None:
            return MissingError("truth ratios, which trials omit for objects of several tokens")
        return MissingError(
            "truth ratios of facts to forget: objects of one token, or of a grammar"
        )

    def take(self, measure: Measure) -> Found:
        """Take a measure, once: a twin is compared with several edits."""
        if measure.name not in self._taken:
            self._taken[measure.name] = measure.find(self)
        return self._taken[measure.name]

    @property
    def stage(self) -> str:
        """The stage of the frame that is measured."""
        return "after" if self.deltas else "before"

    def unedited(self) -> MissingError:
        """Return the error for measures that need an edit."""
        source = "a run as it was trained"
        if not isinstance(self.run, Run):
            source = "a model by itself, which does not say what an edit may have changed in it"
        return MissingError(f"an edit: this is {source}")

    def known_before(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of facts that the model knew before the edit."""
        # Without one, known is what the measured model itself still says: there no edit succeeds.
        if self._together is None:
            raise self.unedited()
        return rows.filter("known")

    @property
    def failed_edits(self) -> int:
        """Number of edits of the edit directory that failed; 0 without one."""
        return 0 if self.edit is None else self.edit.failed_edits

    @property
    def edit_hash(self) -> str | None:
        """See `SuiteResult`; None unless an edit directory is measured."""
        if self.edit is None:
            return None
        return self.edit.models_hash(self.run.directory, self.edit.keys)

    @property
    def delta(self) -> EditDelta:
        """The delta of the complete plan."""
        if not self.deltas:
            raise self.unedited()
        if None not in self.deltas:
            raise MissingError("one edit of the whole plan: this is an edit made with --single")
        return self.deltas[None]

    @property
    def change(self) -> EditDelta:
        """`delta`, or a delta without changes if nothing was edited."""
        from behemoth.delta.delta import EditDelta

        if self.deltas or self.in_trial:
            return self.delta
        return EditDelta({}, "none", {}, self.plan.plan_hash, 0)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model without the edit."""
        return self._load()

    @contextmanager
    def edited(self) -> Generator[PreTrainedModel]:
        """The model as it is measured: with the plan's edit applied, if there is one."""
        if not self.deltas:
            yield self.model
        else:
            with self.delta.apply(self.model):
                yield self.model

    @cached_property
    def before(self) -> MeasuredModel | None:
        """The unedited model with the same frame; None for a run. That of a trial is given."""
        if not self.deltas or self.in_trial:
            return self._reference
        return MeasuredModel(
            self.run.directory, self.run, self.plan, {}, lambda: self.model,
            frame=self.frame, batch_size=self.batch_size, together=self._together,
        )  # fmt: skip

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The frame of `evaluate_model`."""
        if self._frame is not None:
            return self._frame
        return evaluate_model(
            self.model,
            self.run.corpus,
            self.plan if self.deltas else self.asked,
            self.deltas,
            run=self.run.name,
            seed=self.run.seed,
            wrong=self.wrong,
            batch_size=self.batch_size,
            unedited=self.findings,
        )

    def rows_of(self, usual: int) -> int:
        """Return the number of rows per pass of a measure that usually has `usual` rows."""
        return usual if self.batch_size is None else min(usual, self.batch_size)

    @cached_property
    def sequence(self) -> pl.DataFrame:
        """The frame of `sequence_frame`, for edits made one after another."""
        from .sequence import sequence_frame

        return sequence_frame(self)

    @cached_property
    def named_frame(self) -> pl.DataFrame:
        """`frame` with columns of names, if the world has names."""
        return self.run.corpus.world.named(self.frame)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The rows of the stage that is measured."""
        return self.frame.filter(stage=self.stage)

    def metric(self, name: str, kept: str = "all", rows: pl.DataFrame | None = None) -> Found:
        """Return a metric of the frame: a mean over edits, not over rows (see `aggregate`)."""
        rows = self.rows if rows is None else rows
        own, metric = self.known_before(rows) if kept == "known" else rows, METRICS[name]
        if not has_rows(own, metric):
            asked = any(own.filter(part.condition).height for part in metric.parts)
            if name == "truth_ratio" and asked:
                raise self.lacks_truth_ratios()
            if any(lost(own, part) for part in metric.parts):
                raise MissingError(_MADE)
            # Of a whole, such as a score, each part is needed; those that are missing are named.
            sets = [sorted(part.groups) for part in lacking(own, metric)]
            if not metric.whole:
                sets = [sorted({group for groups in sets for group in groups})]
            named = " and of ".join(" or ".join(groups) for groups in sets)
            raise MissingError(f"probes of {named}, which the plan does not have")
        table = aggregate(rows, [name], by=("stage",), filters=(kept,), resampled="subjects")
        row = table.row(0, named=True)
        return Found(row["value"], row["low"], row["high"], row["clusters"], "subjects")

    def mean(self, rows: pl.DataFrame, value: pl.Expr, what: str, *, made: bool = False) -> Found:
        """Return the mean of a value over rows, resampled by subject.

        All rows count alike, whatever edit they belong to, unlike in `metric`. The object that a
        link fact is about is distinct from the subject of the same number.

        Parameters
        ----------
        rows : polars.DataFrame
        value : polars.Expr
        what : str
            What is missing if there are no rows.
        made : bool
            Whether rows of edits that failed do not count, at either stage.

        Raises
        ------
        MissingError
            If no rows count.
        """
        keys = [name for name in ("link", "subject") if name in rows.columns]
        count = pl.col("failure").is_null() if made else pl.lit(value=True)
        every = rows.select(*keys, value.cast(pl.Float64).alias("value"), count.alias("count"))
        every = every.drop_nulls(["subject", "value"])
        values = every.filter("count")
        if values.is_empty():
            raise MissingError(what if every.is_empty() else _MADE)
        cluster = numbered_rows(values, keys)
        sums = np.bincount(cluster, values["value"].to_numpy()).astype(np.float64)
        return resampled_ratio(sums, np.bincount(cluster), "subjects")

    def subjects_of(self, facts: pl.Series) -> NDArray[np.int64]:
        """Return the number of the subject of each fact among them, from 0: int64[facts]."""
        return numbered_subjects(self.run.corpus.world.facts_of(facts.to_numpy()))

    @cached_property
    def recall(self) -> pl.DataFrame:
        """The frame of `behemoth.recall` for a sample of all facts, in every wording, and link.

        link (Boolean) is true for facts about objects, whose subject is the number of an object.
        """
        corpus = self.run.corpus
        with self.edited() as model:
            found = recall(model, corpus, facts=self._facts, batch_size=self.rows_of(512))
        return found.with_columns(link=pl.col("relation") >= corpus.world.num_relations)

    @property
    def written_facts(self) -> float:
        """Estimated number of facts that are written at all, from the same sample."""
        facts = self.recall.unique("fact")["exposures"]
        return float((facts > 0).mean()) * self.run.corpus.world.num_facts  # type: ignore[operator]

    @cached_property
    def filler(self) -> list[NDArray[np.integer]]:
        """Documents in the filler's language, generated apart from the corpus."""
        if self.run.corpus.spec.get("corpus", {}).get("filler") is None:
            raise MissingError("a corpus with a filler (gen --filler)")
        return list(self.run.corpus.filler_documents(0, _DOCUMENTS))

    @cached_property
    def documents(self) -> list[NDArray[np.integer]]:
        """Documents of the corpus; see `text_documents`."""
        return text_documents(self.run.corpus)

    @cached_property
    def _pairs(self) -> pl.DataFrame:
        with _missing():
            return unwritten_pairs(self.run.corpus, self.plan)

    @cached_property
    def membership(self) -> pl.DataFrame:
        """Membership scores of facts to be forgotten, and of facts that are never written."""
        pairs = self._pairs
        with self.edited() as model:
            return membership(
                model, self.run.corpus, self.plan, pairs=pairs,
                batch_size=self.rows_of(MEMBERSHIP_ROWS),
            )  # fmt: skip

    @cached_property
    def geometry(self) -> pl.DataFrame:
        """Size and rank of the changes."""
        if not self.deltas:
            raise self.unedited()
        return geometry(self.deltas, self.model)

    @cached_property
    def rounded(self) -> pl.DataFrame:
        """Rows of facts to be forgotten, with rounded weights of the edited model, by bits."""
        return evaluate_quantised(
            self.model, self.run.corpus, self.plan, self.change, groups=("forget",), whole=False,
            batch_size=self.batch_size, unedited=self._forgotten,
        )  # fmt: skip

    @cached_property
    def pruned(self) -> pl.DataFrame:
        """Rows of facts to be forgotten, without the edited model's smallest weights, by share."""
        return evaluate_pruned(
            self.model, self.run.corpus, self.plan, self.change, groups=("forget",),
            batch_size=self.batch_size, unedited=self._forgotten,
        )  # fmt: skip

    @cached_property
    def hinted(self) -> pl.DataFrame:
        """Answers for the facts to forget after another fact of their subjects."""
        with _missing(), self.edited() as model:
            return ask_with_hints(model, self.run.corpus, self.asked, batch_size=self.rows_of(512))

    @cached_property
    def memorised(self) -> pl.DataFrame:
        """Facts to be forgotten, with the share of their answers' tokens that are memorised."""
        probes = self.asked.probes.filter(group="forget")
        with self.edited() as model:
            asked = Prompted.of_old(self.run.corpus, probes)
            share = memorised(model, asked, batch_size=self.rows_of(512))
        return probes.with_columns(pl.Series("memorised", share))

    @cached_property
    def inverse(self) -> pl.DataFrame:
        """Answers to the inverse questions of the edits."""
        with _missing():
            return ask_inverse(
                self.model, self.run.corpus, self.plan, self.deltas,
                together=self._together, batch_size=self.rows_of(512),
            )  # fmt: skip

    @cached_property
    def linear_probes(self) -> pl.DataFrame:
        """Objects that linear probes predict from the residual stream."""
        with _missing(), self.edited() as model:
            return probe_objects(
                model, self.run.corpus, self.plan, batch_size=self.rows_of(PROBED_ROWS)
            )


@contextmanager
def _missing() -> Generator[None]:
    """Report what a measure refuses as missing: what would be allowed."""
    try:
        yield
    except ArgumentError as error:
        raise MissingError(error.allowed) from None


def text_documents(corpus: Corpus) -> list[NDArray[np.integer]]:
    """Return the documents of a corpus on which running text is measured.

    They are its first ones or, of a corpus with a schedule, whose start lacks facts that are
    written later, evenly spaced ones.
    """
    count, there = min(_DOCUMENTS, corpus.num_documents), corpus.num_documents
    if "schedule" in corpus.spec["corpus"]:
        numbers = (document * there // count for document in range(count))
        tokens = np.concatenate([corpus.tokens(number, number + 1) for number in numbers])
    else:
        tokens = corpus.tokens(0, count)
    return np.split(tokens, np.flatnonzero(tokens == corpus.end_of_document)[:-1] + 1)
