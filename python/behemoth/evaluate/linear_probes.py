"""Linear probes: whether the residual stream still encodes an old object that is not generated.

A linear map from the residual stream, where the answer begins, to the object is fitted on facts
that stay (Alain and Bengio, 2016, arXiv 1610.01644), by ridge regression on one-hot objects in
closed form, and tested on the facts that were to be forgotten. Facts of the same relation that
stay, and that are not fitted on, are the control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from behemoth.corpus.probes import probes_in
from behemoth.corpus.tokens import PADDING
from behemoth.delta.tiles import tiles
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.observe import outputs_of
from behemoth.plan.sampling import relation_pool
from behemoth.plan.unwritten import forgotten
from behemoth.recall.ragged import Ragged
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["LINEAR_PROBES", "PROBED_ROWS", "probe_objects", "residual_stream", "ridge_scores"]

LINEAR_PROBES: dict[str, Any] = {
    "layer": pl.UInt32,
    "relation": pl.UInt32,
    "fact": pl.UInt64,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "exposures": pl.UInt64,
    "forgotten": pl.Boolean,
    "object": pl.UInt32,
    "found": pl.UInt32,
    "match": pl.Boolean,
    "rank": pl.UInt32,
}
"""Columns of the frame that `probe_objects` returns."""
PROBED_ROWS = 1024
"""Usual number of prompts per pass."""


def probe_objects(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    *,
    facts: int = 4000,
    controls: int = 200,
    ridge: float = 1e-3,
    seed: int = 0,
    batch_size: int = PROBED_ROWS,
) -> pl.DataFrame:
    """Predict old objects from the residual stream.

    Parameters
    ----------
    model : PreTrainedModel
        The model to probe: ``with delta.apply(model)`` for an edited one.
    corpus : Corpus
    plan : EditPlan
        A plan whose group ``forget`` contains the facts to test.
    facts : int
        Maximum number of facts of a relation to fit on, apart from controls.
    controls : int
        Maximum number of facts of a relation that stay and are tested as well; at most a fifth of
        all facts that stay, the remaining ones are fitted on.
    ridge : float
        Weight of the squared norm of the map, relative to the mean eigenvalue (trace / d) of the
        Gram matrix of the centred states that are fitted on.
    seed : int
        Seed of the choice of facts that stay.
    batch_size : int
        Number of prompts per pass.

    Returns
    -------
    polars.DataFrame
        One row per layer and fact, columns as in `LINEAR_PROBES`. layer: number of blocks passed,
        from 1; forgotten: false for controls; found: the predicted object; match: whether it is the
        old one; rank: rank of the old one among all objects, 1 is best.

    Raises
    ------
    ArgumentError
        When too few facts of a relation stay to fit on: none do where the edits stand for a rule
        about it (`EditRequest.by_rule`), which changes the others as well.
    """
    probes = forgotten(plan)
    generator = np.random.default_rng(seed)
    # What follows from the edits changes, too; a rule changes all of a relation (or all but one of
    # its objects), also what is neither edited nor probed.
    gone = pl.concat([plan.edits["fact"], plan.probes.filter("must_change")["fact"]]).to_numpy()
    frames = []
    for (relation, template, wording), part in probes.group_by(
        "relation", "template", "wording", maintain_order=True
    ):
        count = 0 if plan.request.by_rule else facts + controls
        stay = _facts_that_stay(corpus, int(relation), gone, count, generator)
        tried = min(controls, len(stay) // 5)
        if len(stay) - tried < 2:
            raise ArgumentError(
                "plan",
                f"{len(stay)} facts of relation {relation} that stay",
                "2 or more facts that stay, to fit a probe on",
            )
        fitted = min(facts, len(stay) - tried)
        stay = stay[: fitted + tried]
        own = probes_in(corpus, stay, template, wording)
        wanted = pl.concat([own.select("prompt", "fact"), part.select("prompt", "fact")])
        states = residual_stream(model, Ragged.of_lists(wanted["prompt"]), batch_size=batch_size)
        world = corpus.world.facts_of(wanted["fact"].to_numpy())
        objects = world["object"].to_numpy().astype(np.int64)
        count = int(corpus.world.relation_table[int(relation)]["objects"])
        exposures = corpus.exposures(wanted["fact"].to_numpy())[fitted:]
        for layer in range(states.shape[1]):
            scores = ridge_scores(states[:, layer], objects[:fitted], count, ridge)
            true = objects[fitted:]
            value = scores[np.arange(len(true)), true]
            found = scores.argmax(1)
            frames.append(
                pl.DataFrame(
                    {
                        "layer": np.full(len(true), layer + 1),
                        "relation": np.full(len(true), relation),
                        "fact": wanted["fact"][fitted:],
                        "link": world["link"][fitted:],
                        "subject": world["subject"][fitted:],
                        "exposures": exposures,
                        "forgotten": np.arange(len(true)) >= tried,
                        "object": true,
                        "found": found,
                        "match": found == true,
                        "rank": (scores >= value[:, None]).sum(1),
                    },
                    schema_overrides=LINEAR_PROBES,
                )
            )
    return pl.concat(frames) if frames else pl.DataFrame(schema=LINEAR_PROBES)


def residual_stream(
    model: PreTrainedModel, prompts: Ragged, *, batch_size: int = PROBED_ROWS
) -> NDArray[np.float32]:
    """Return the residual stream at each prompt's last token, by block: float32 [n, L, d]."""
    architecture = Architecture.of(model)
    device = next(model.parameters()).device
    out = np.empty((len(prompts), architecture.layers, architecture.width), np.float32)
    blocks = {
        layer: model.get_submodule(architecture.block(layer))
        for layer in range(architecture.layers)
    }
    with outputs_of(blocks) as seen, evaluating(model), torch.no_grad():
        for tile in tiles([np.arange(len(prompts))], prompts.lengths, batch_size):
            rows = tile.ravel()
            ends = prompts.lengths[rows]
            tokens = torch.from_numpy(prompts.padded(rows, int(ends.max()), PADDING))
            model(input_ids=tokens.to(device), logits_to_keep=1)
            for layer, state in seen.items():
                # Counted from the right: context tokens may precede those of the prompt.
                place = torch.from_numpy(ends - 1 - int(ends.max()))
                last = state[torch.arange(len(rows)), place]
                out[rows, layer] = last.float().cpu().numpy()
    return out


def _facts_that_stay(
    corpus: Corpus,
    relation: int,
    gone: NDArray[np.uint64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.uint64]:
    """Return up to `count` written facts of a relation that do not change, in random order."""
    return relation_pool(corpus, relation).first(
        corpus, int(generator.integers(2**31)), "linear probes", count,
        lambda found: (found.exposures > 0) & ~np.isin(found.fact, gone),
    ).fact  # fmt: skip


def ridge_scores(
    states: NDArray[np.float32],
    objects: NDArray[np.int64],
    count: int,
    ridge: float,
) -> NDArray[np.float64]:
    """Fit a linear map to one-hot objects by ridge regression, and score the remaining rows.

    Parameters
    ----------
    states : float [n, d]
        States, of which the first are fitted on.
    objects : int64 [fitted]
        Objects of the rows to fit on.
    count : int
        Number of objects.
    ridge : float
        Weight of the squared norm of the map, relative to the mean eigenvalue (trace / d) of the
        Gram matrix of the centred states that are fitted on.

    Returns
    -------
    float64 [n - fitted, count]
        Scores; 0 for objects that no row is fitted on.
    """
    fitted = len(objects)
    x = states.astype(np.float64)
    mean = x[:fitted].mean(0)
    x = x - mean
    # Objects that no row is fitted on get no weights: a relation may have 67,200 objects.
    there, own = np.unique(objects, return_inverse=True)
    offset = np.bincount(own) / fitted
    # Products with one-hot objects are sums over their rows; of all rows, which are centred, it is
    # 0, so that the products need not be centred.
    order = np.argsort(own, kind="stable")
    sums = np.add.reduceat(x[order], np.searchsorted(own[order], np.arange(len(there))))
    gram = x[:fitted].T @ x[:fitted]
    scale = ridge * np.trace(gram) / len(gram) + 1e-12
    weights = np.linalg.solve(gram + scale * np.eye(len(gram)), sums.T)
    scores = np.zeros((len(x) - fitted, count))
    scores[:, there] = x[fitted:] @ weights + offset
    return scores
