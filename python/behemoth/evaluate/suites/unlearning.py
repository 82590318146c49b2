"""What unlearning papers report, compared with the twin that never saw the facts.

Three questions: are the facts forgotten, is the rest retained, and can the unlearning be detected
or undone. If there is a twin, its own number is reported beside: forgetting more than the twin,
which never knew the facts, is no better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from behemoth.evaluate.clusters import interval, proper
from behemoth.evaluate.continued import continue_training
from behemoth.evaluate.damage import BYSTANDERS
from behemoth.evaluate.forget_quality import fact_scores, forget_quality
from behemoth.evaluate.membership import SCORES, auc, privacy
from behemoth.evaluate.metrics import PARAPHRASED
from behemoth.evaluate.relearning import relearn
from behemoth.evaluate.text_losses import document_losses, model_divergences, perplexity
from behemoth.evaluate.twin import ROWS, parameter_distance, twin_divergences
from behemoth.support.errors import ArgumentError

from .frame_measure import of_frame
from .intervals import auc_samples, distance_samples, resampled_ratio
from .measured_model import MeasuredModel
from .suite import Found, Measure, MissingError, Suite

__all__ = ["SUITE"]

_LEAKS = (1, 8, 64)
_BITS = (8, 4)
_PRUNED = (0.1, 0.3)
_HALF = 0.5  # share of the facts whose return is measured
_RETAINED = (*BYSTANDERS, "retain")
_RELEARNING = tuple(range(41))
_CONTINUED = (*range(9), 12, 16, 24, 32, 48)


def _probability() -> pl.Expr:
    return pl.col("log_probability_old").exp()


def _forgotten(value: pl.Expr) -> Callable[[MeasuredModel], Found]:
    def find(measured: MeasuredModel) -> Found:
        return measured.mean(
            measured.rows.filter(group="forget"), value, "facts to forget in the plan"
        )

    return find


def _says_old(measured: MeasuredModel, groups: Sequence[str]) -> Found:
    rows = measured.rows.filter(pl.col("group").is_in(groups))
    return measured.mean(rows, pl.col("old_match"), f"probes of {' or '.join(groups)} in the plan")


_FORGETTING = (
    Measure(
        "forget_probability",
        "p(old answer), over all of its tokens",
        _forgotten(_probability()),
        beside=True,
        before=True,
    ),
    of_frame("forget_recall", beside=True),
    of_frame("extraction_strength", beside=True),
    Measure(
        "exact_memorisation",
        "share of the tokens of the old answer that are the likeliest after the right ones before "
        "them (Tirumala et al., 2022, arXiv 2205.10770)",
        lambda measured: measured.mean(
            measured.memorised, pl.col("memorised"), "facts to forget in the plan"
        ),
        beside=True,
        in_trials=False,
        before=True,
    ),
    *(
        Measure(
            f"leak_at_{k}",
            f"exact probability that one of {k} samples at temperature 1 is the old answer, "
            "1 - (1 - p)^k",
            _forgotten(1 - (1 - _probability()).pow(k)),
            beside=True,
            before=True,
        )
        for k in _LEAKS
    ),
    of_frame("truth_ratio", beside=True),
    Measure(
        "forget_recall_held_out",
        "free generation gives the old answer in wordings that were never trained",
        lambda measured: _says_old(measured, ("edited_held_out",)),
        beside=True,
        before=True,
    ),
    Measure(
        "forget_recall_paraphrase",
        "the same in wordings that the edit was not trained on",
        lambda measured: _says_old(measured, PARAPHRASED),
        beside=True,
        before=True,
    ),
    Measure(
        "forget_recall_question",
        "the same in answer to questions",
        lambda measured: _says_old(measured, ("edited_question",)),
        beside=True,
        before=True,
    ),
)


def _perplexity(documents: str) -> Callable[[MeasuredModel], Found]:
    def find(measured: MeasuredModel) -> Found:
        texts = getattr(measured, documents)
        with measured.edited() as model:
            losses, counts = document_losses(model, texts)
        mean = resampled_ratio(losses, counts, "documents")
        low, high = (None if x is None else float(np.exp(x)) for x in (mean.low, mean.high))
        return Found(perplexity(losses, counts), low, high, mean.count, "documents")

    return find


def _retained(measured: MeasuredModel, group: str, value: pl.Expr) -> Found:
    """Return the mean of a value over a group that must not change, of edits that did not fail."""
    rows = measured.rows.filter(group=group, must_change=False)
    return measured.mean(rows, value, "probes of this group", made=True)


_UTILITY = (
    *(
        Measure(
            f"retain_{group}",
            f"free generation gives the right answer where nothing must change: {group}",
            lambda measured, group=group: _retained(measured, group, pl.col("exact_match")),
            beside=True,
            before=True,
        )
        for group in _RETAINED
    ),
    *(
        Measure(
            f"retain_probability_{group}",
            f"p(right answer), over all of its tokens, where nothing must change: {group}",
            lambda measured, group=group: _retained(
                measured, group, pl.col("log_probability_true").exp()
            ),
            beside=True,
            before=True,
            in_trials=False,
        )
        for group in _RETAINED
    ),
    of_frame("model_utility", beside=True),
    Measure(
        "perplexity_corpus",
        "perplexity per token of the corpus",
        _perplexity("documents"),
        version=2,  # of a study's twin, which version 1 asked for its own corpus
        beside=True,
        before=True,
    ),
    Measure(
        "perplexity_filler",
        "perplexity per token of filler text that is not in the corpus",
        _perplexity("filler"),
        beside=True,
        before=True,
    ),
)


def _forget_quality(measured: MeasuredModel) -> tuple[Found, Found]:
    frame, twins = measured.frame, measured.beside.frame
    try:
        quality = forget_quality(frame, twins)
    except ArgumentError:
        raise measured.lacks_truth_ratios() from None
    both = fact_scores(frame).join(fact_scores(twins), on="fact").sort("fact")
    one, other = (both[name].to_numpy() for name in ("value", "value_right"))
    p_value = Found(quality.p_value, count=quality.facts, over="facts")
    if np.isnan(one).any() or np.isnan(other).any():
        return p_value, Found(quality.statistic, count=quality.facts, over="facts")
    subjects = measured.subjects_of(both["fact"])
    low, high = proper(*interval(distance_samples(one, other, subjects), 0.95))
    if low is not None:
        low = min(low, quality.statistic)  # resampling adds distance
    return p_value, Found(quality.statistic, low, high, int(subjects.max()) + 1, "subjects")


def _auc(measured: MeasuredModel, frame: pl.DataFrame, score: str) -> Found:
    value, subjects = auc(frame, score), measured.subjects_of(frame["fact"])
    low = high = None
    if not np.isnan(value):
        low, high = proper(*interval(auc_samples(frame, score, subjects), 0.95))
    return Found(value, low, high, int(subjects.max()) + 1, "subjects")


def _privacy(measured: MeasuredModel, score: str) -> Found:
    model, twin = measured.membership, measured.beside.membership
    row = privacy(model, twin).row(by_predicate=pl.col("score") == score, named=True)
    subjects = measured.subjects_of(model["fact"])
    low = high = None
    if not np.isnan(row["distance"]):
        # Pairs of the two are the same, and so are the samples. The interval is that of the signed
        # difference, folded: samples of a distance that is 0 are all above 0.
        samples = [auc_samples(frame, score, subjects) for frame in (model, twin)]
        ends = interval(samples[0] - samples[1], 0.95)
        near = 0.0 if ends[0] <= 0 <= ends[1] else min(map(abs, ends))
        low, high = proper(near, max(map(abs, ends)))
    return Found(row["distance"], low, high, int(subjects.max()) + 1, "subjects")


def _reference(measured: MeasuredModel) -> Found:
    model, twin = measured.membership, measured.beside.membership
    return _auc(measured, model.with_columns(loss=model["loss"] - twin["loss"]), "loss")


_PRIVACY = (
    Measure(
        "forget_quality",
        "p-value of a KS test between the truth ratios of model and twin (arXiv 2401.06121)",
        lambda measured: _forget_quality(measured)[0],
    ),
    Measure(
        "forget_distance",
        "the statistic of that test: maximum distance of the distribution functions",
        lambda measured: _forget_quality(measured)[1],
    ),
    *(
        Measure(
            f"membership_{score}",
            "AUC of distinguishing the facts from facts of the same world that are never "
            f"written, by {score}",
            lambda measured, score=score: _auc(measured, measured.membership, score),
            beside=True,
            before=True,
        )
        for score in SCORES
    ),
    *(
        Measure(
            f"privacy_{score}",
            f"|AUC - AUC of the twin| of membership by {score}",
            lambda measured, score=score: _privacy(measured, score),
        )
        for score in SCORES
    ),
    Measure(
        "membership_reference",
        "the same AUC by the loss minus the twin's: an attack that knows the twin's loss",
        _reference,
    ),
)


def _relearning(measured: MeasuredModel) -> Found:
    try:
        frame = relearn(
            measured.model, measured.run.corpus, measured.plan, measured.change,
            steps=_RELEARNING, until=_HALF, batch_size=measured.rows_of(512),
        )  # fmt: skip
    except ArgumentError as error:
        raise MissingError(f"a plan with {error.allowed} facts to forget") from None
    return _half_back(frame.filter(~pl.col("taught")))


def _continued(measured: MeasuredModel) -> Found:
    corpus, plan, last = measured.run.corpus, measured.plan, measured.continued
    steps = (*(step for step in _CONTINUED if step < last), last)
    try:
        frame = continue_training(
            measured.model, corpus, plan, measured.change, steps=steps, until=_HALF,
            batch_size=measured.rows_of(512),
        )  # fmt: skip
    except ArgumentError:
        raise MissingError("facts to forget, and documents that do not say them") from None
    return _half_back(frame)


def _half_back(frame: pl.DataFrame) -> Found:
    """Return the first recorded step after which half of the facts are generated again."""
    shares = frame.group_by("step", maintain_order=True).agg(pl.col("old_match").mean())
    back = shares.filter(pl.col("old_match") >= _HALF)["step"]
    # Infinity if the last recorded step does not suffice.
    steps = float("inf") if back.is_empty() else float(back.min())  # type: ignore[arg-type]
    return Found(steps, count=frame["fact"].n_unique(), over="facts")


def _still_said(measured: MeasuredModel, forgotten: pl.DataFrame) -> Found:
    """Return forget_recall of other rows of the facts to forget, resampled by all subjects."""
    others = measured.rows.filter(pl.col("group") != "forget")
    rows = forgotten.with_columns(
        pl.lit(measured.rows[name][0]).cast(measured.rows.schema[name]).alias(name)
        for name in ("run", "seed", "stage")
    )
    return measured.metric("forget_recall", rows=pl.concat([others, rows]))


def _linear(measured: MeasuredModel, forgotten: bool) -> Found:
    if measured.linear_probes.is_empty():
        raise MissingError("facts to forget in the plan")
    stay = measured.linear_probes.filter(forgotten=False)
    if stay.is_empty():  # a fifth of them is tested, the others are fitted on
        raise MissingError("5 facts that stay of one of the relations to forget in")
    # The layer is chosen on every other fact that stays, and the control uses the rest: when it was
    # chosen on the reported facts, forgotten facts scored below their control by chance.
    number = pl.col("fact").rank("dense") % 2
    best = (
        stay.filter(number == 1).group_by("layer", maintain_order=True).agg(pl.col("match").mean())
    )
    layer = best.sort("match", "layer")["layer"][-1]
    rows = measured.linear_probes.filter(forgotten=forgotten, layer=layer)
    if not forgotten:
        rows = rows.filter(number == 0)
        if rows.is_empty():
            raise MissingError("10 facts that stay of one of the relations to forget in")
    return measured.mean(rows, pl.col("match"), "facts to forget in the plan")


_ROBUSTNESS = (
    Measure(
        "relearning_steps",
        "Adam steps on half of the facts until half of the others are generated again "
        "(arXiv 2410.08827)",
        _relearning,
        beside=True,
    ),
    *(
        Measure(
            f"recall_{bits}_bit",
            f"forget_recall with weights rounded to {bits} bits",
            lambda measured, bits=bits: _still_said(
                measured, measured.rounded.filter(bits=bits).drop("bits")
            ),
            beside=True,
        )
        for bits in _BITS
    ),
    *(
        Measure(
            f"recall_pruned_{share * 100:.0f}",
            f"forget_recall without the smallest {share:.0%} of the weights of each linear map "
            "(arXiv 1506.02626)",
            lambda measured, share=share: _still_said(
                measured, measured.pruned.filter(share=share).drop("share")
            ),
            beside=True,
        )
        for share in _PRUNED
    ),
    Measure(
        "forget_recall_hint",
        "free generation gives the old answer after another fact of the subject (arXiv 2402.16835)",
        lambda measured: measured.mean(measured.hinted, pl.col("old_match"), "facts to forget"),
        version=2,  # 1: in text without the end of the sentence, and without a space after it
        beside=True,
    ),
    Measure(
        "continued_steps",
        "Adam steps on other documents of the corpus until half of the facts are generated "
        "again (arXiv 2406.13356)",
        _continued,
        beside=True,
    ),
    Measure(
        "linear_probe",
        "share of old objects that a linear map reads from the residual stream, at the layer "
        "where it reads most of the retained ones",
        lambda measured: _linear(measured, True),
        version=2,
        beside=True,
    ),
    Measure(
        "linear_probe_control",
        "the same for retained facts",
        lambda measured: _linear(measured, False),
        version=2,
    ),
)


def _against_twin(measured: MeasuredModel, groups: Sequence[str]) -> Found:
    probes = measured.asked.probes.filter(pl.col("group").is_in(groups))
    if probes.is_empty():
        raise MissingError("probes of these groups in the plan")
    with measured.edited() as model:
        divergence = twin_divergences(
            measured.beside.model, model, probes["prompt"], batch_size=measured.rows_of(ROWS)
        )
    rows = probes.select("link", "subject").with_columns(kl=pl.Series(divergence))
    return measured.mean(rows, pl.col("kl"), "probes of these groups in the plan")


def _text_against_twin(measured: MeasuredModel) -> Found:
    with measured.edited() as model:
        sums, counts = model_divergences(measured.beside.model, model, measured.documents)
    return resampled_ratio(sums, counts, "documents")


def _parameters(measured: MeasuredModel) -> Found:
    if measured.delta.of_modules and not measured.delta.of_parameters:
        raise MissingError("an edit that changes weights")
    before = parameter_distance(measured.model, measured.beside.model)
    with measured.edited() as model:
        after = parameter_distance(model, measured.beside.model)
    if before == 0:
        raise MissingError("a twin that differs from the run")
    return Found(after / before)


_TWIN = (
    *(
        Measure(
            f"kl_twin_{name}",
            f"KL(twin || model), nats, where answers begin: {name}",
            lambda measured, groups=groups: _against_twin(measured, groups),
        )
        for name, groups in (("forget", ("forget",)), ("retain", _RETAINED))
    ),
    Measure(
        "kl_twin_text",
        "KL(twin || model), nats per token of the corpus",
        _text_against_twin,
        in_trials=False,
    ),
    Measure(
        "parameters_twin",
        "distance to the twin's parameters, relative to that of the unedited model",
        _parameters,
    ),
)


SUITE = Suite(
    "unlearning",
    "unlearning: forgetting, utility, privacy, robustness, the twin",
    lambda _: (*_FORGETTING, *_UTILITY, *_PRIVACY, *_ROBUSTNESS, *_TWIN),
)
