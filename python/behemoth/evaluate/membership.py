"""Membership tests: whether a fact can still be recognised as part of the training data.

Members are the facts to be forgotten. Non-members are the same prompts with another object, which
was never written; or they are facts of the same world that are never written, with their own
prompts (`unwritten_pairs`), which is the setting of an attack. Only answer tokens are scored. An
area under the curve that is far from the retrained twin's, on either side, reveals the unlearning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from behemoth.corpus.templates import is_of
from behemoth.delta.tiles import tiles
from behemoth.model.modes import evaluating
from behemoth.plan.unwritten import forgotten, unwritten_pairs
from behemoth.recall.generation import decode_batch
from behemoth.recall.ragged import Ragged
from behemoth.support.errors import ArgumentError

from .mann_whitney import weighted_area

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["MEMBERSHIP_ROWS", "SCORES", "auc", "membership", "privacy", "unwritten_pairs"]

SCORES = ("loss", "min_k", "min_k_plus_plus")
"""Scores of the tests; larger values indicate members."""
MEMBERSHIP_ROWS = 2048
"""Usual number of rows per pass."""


def membership(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    *,
    pairs: pl.DataFrame | None = None,
    share: float = 0.2,
    seed: int = 0,
    batch_size: int = MEMBERSHIP_ROWS,
) -> pl.DataFrame:
    """Score members (facts to be forgotten) and non-members.

    Parameters
    ----------
    model : PreTrainedModel
        The model to test: ``with delta.apply(model)`` for an edited one.
    corpus : Corpus
    plan : EditPlan
        A plan whose group ``forget`` contains the members.
    pairs : polars.DataFrame, optional
        Members and non-members, as returned by `unwritten_pairs`; by default non-members are the
        members' prompts with other objects.
    share : float
        k of min-k%: the share of an answer's tokens, at least one, that counts.
    seed : int
        Seed of the objects of default non-members, which are the same for all models.
    batch_size : int
        Number of rows per pass.

    Returns
    -------
    polars.DataFrame
        fact (UInt64), member (Boolean) and three scores (Float64): loss, minus the mean
        negative log-likelihood (Yeom et al., 2018); min_k, the mean log-probability of the
        least likely tokens (Shi et al., 2024, arXiv 2310.16789); min_k_plus_plus, that of
        log-probabilities standardised over the vocabulary (Zhang et al., 2024, arXiv
        2404.02936, equation 3).
    """
    if not 0 < share <= 1:
        raise ArgumentError("share", share, "above 0 up to 1")
    if pairs is None:
        pairs = _counterfactual_pairs(corpus, plan, seed)
    prompts, answers = map(Ragged.of_lists, (pairs["prompt"], pairs["answer"]))
    values = _scores(model, prompts, answers, share, batch_size)
    return pairs.select("fact", "member").with_columns(
        *(pl.Series(name, values[name], pl.Float64) for name in SCORES)
    )


def _counterfactual_pairs(corpus: Corpus, plan: EditPlan, seed: int) -> pl.DataFrame:
    """Return the facts to be forgotten, and the same prompts with other objects."""
    probes = forgotten(plan)
    members = probes.select("fact", "prompt", answer="old_answer")
    others = _counterfactual(corpus, plan, probes, seed)
    answers = pl.Series(others, dtype=members.schema["answer"])
    return pl.concat(
        [
            members.with_columns(member=pl.lit(True)),
            members.with_columns(answer=answers, member=pl.lit(False)),
        ]
    )


def auc(frame: pl.DataFrame, score: str) -> float:
    """Return the chance that a member scores above a non-member, ties counting half (Mann-Whitney).

    NaN if any score is NaN: ranked, NaN scores would be ties, and look like perfect privacy.
    """
    if frame[score].is_nan().fill_null(True).any():
        return float("nan")
    values, member = frame[score].to_numpy(), frame["member"].to_numpy()
    return float(weighted_area(values, member, np.ones(len(values))))


def privacy(frame: pl.DataFrame, retrained: pl.DataFrame) -> pl.DataFrame:
    """Compare membership tests of a model with those of the retrained twin.

    Parameters
    ----------
    frame, retrained : polars.DataFrame
        Rows of `membership` for each.

    Returns
    -------
    polars.DataFrame
        One row per score: score, auc, auc_retrained, distance |auc - auc_retrained|, and
        privacy_leak 100 (auc_retrained - auc) / (1 - auc_retrained) as published (Shi et al.,
        2024, arXiv 2407.06460), null if the twin's AUC is 1.
    """
    rows: list[dict[str, Any]] = []
    for score in SCORES:
        own, twin = auc(frame, score), auc(retrained, score)
        rows.append(
            {
                "score": score,
                "auc": own,
                "auc_retrained": twin,
                "distance": abs(own - twin),
                "privacy_leak": None if twin == 1 else 100 * (twin - own) / (1 - twin),
            }
        )
    schema = {name: pl.Float64 for name in rows[0] if name != "score"}
    return pl.DataFrame(rows, schema={"score": pl.String, **schema})


def _counterfactual(
    corpus: Corpus, plan: EditPlan, probes: pl.DataFrame, seed: int
) -> list[list[int]]:
    """Return answers with another object, neither the old one nor the edit's new one."""
    from behemoth.plan.prompts import Prompts
    from behemoth.plan.structure import Structure

    structure = Structure(corpus.world)
    relations = probes["relation"].to_numpy()
    known = plan.edits.select("fact", "old_object", pl.col("new_object"))
    about = probes.select("fact").join(known, on="fact", how="left", maintain_order="left")
    old = about["old_object"].to_numpy().astype(np.int64)
    new = about["new_object"].cast(pl.Int64).fill_null(-1).to_numpy()
    count = structure.objects[relations]
    if (count < 3).any():
        raise ArgumentError(
            "plan",
            "a relation with 2 objects",
            "3 or more, as a fact that was never written needs one besides the old and the new",
        )
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, count - 1 - (new >= 0))
    # Skip the excluded objects, the smaller first.
    low = np.where(new >= 0, np.minimum(old, new), old)
    high = np.where(new >= 0, np.maximum(old, new), count)
    drawn += drawn >= low
    drawn += drawn >= high
    prompts = Prompts(corpus, structure, plan.request)
    question = is_of(probes["template"], "is_question")
    words = [
        prompts.words("answer", relations, drawn, question=asked).to_list()
        for asked in (False, True)
    ]
    return [words[int(asked)][row] for row, asked in enumerate(question)]


def _scores(
    model: PreTrainedModel, prompts: Ragged, answers: Ragged, share: float, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    found = {name: np.full(len(prompts), np.nan) for name in SCORES}
    if not len(prompts):
        return found
    widths = prompts.lengths + answers.lengths - 1
    device = next(model.parameters()).device
    every = [np.arange(len(prompts))]
    with evaluating(model), torch.no_grad():
        for tile in tiles(every, widths, batch_size):
            rows = tile.ravel()
            decoded = decode_batch(model, prompts, answers, rows, 1, frozenset(), device)
            lengths = answers.lengths[rows]
            width = decoded.logits.shape[1]
            token = torch.from_numpy(answers.padded(rows, width, 0)).to(device)
            logs = decoded.logits.double().log_softmax(2)
            own = logs.gather(2, token[..., None])[..., 0]
            chances = logs.exp()
            mean = (chances * logs).sum(2)
            spread = ((chances * logs.square()).sum(2) - mean.square()).clamp_min(1e-12).sqrt()
            standard = ((own - mean) / spread).cpu().numpy()
            inside = np.arange(width) < lengths[:, None]
            least = np.maximum(1, (share * lengths).astype(np.int64))
            own = own.cpu().numpy()
            found["loss"][rows] = np.where(inside, own, 0.0).sum(1) / lengths
            found["min_k"][rows] = _least(own, inside, least)
            found["min_k_plus_plus"][rows] = _least(standard, inside, least)
    return found


def _least(
    values: NDArray[np.float64], inside: NDArray[np.bool_], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean of each row's `count` smallest values."""
    ordered = np.sort(np.where(inside, values, np.inf), axis=1)
    taken = np.arange(values.shape[1]) < count[:, None]
    return np.where(taken, ordered, 0.0).sum(1) / count
