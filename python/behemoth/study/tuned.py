"""Methods of a study whose settings were tuned on a world that the study reports on."""

from __future__ import annotations

from collections.abc import Sequence

from behemoth.train.run import world_id, world_seed

from .file.expand import Expansion

__all__ = ["tuned_here", "tuned_text"]


def tuned_here(expansion: Expansion) -> list[str]:
    """Return the labels of methods that were tuned on a world in which they have trials.

    Exposures and sizes may differ: the facts of equal worlds are equal, and those of one seed share
    what their sizes do not change. Tunings of earlier versions may name no seed, or no world: they
    are recognised by what they name.
    """
    worlds: dict[str, tuple[str, int | None]] = {}
    found: dict[str, None] = {}
    for trial in expansion.trials:
        tuning = trial.choice.tuning
        if tuning is None or tuning.world_id is None:
            continue
        if trial.model not in worlds:
            corpus = expansion.models[trial.model].corpus.make()
            worlds[trial.model] = world_id(corpus), world_seed(corpus)
        known, seed = worlds[trial.model]
        if known == tuning.world_id or (seed is not None and seed == tuning.world_seed):
            found[trial.choice.label] = None
    return list(found)


def tuned_text(labels: Sequence[str]) -> str:
    """Return the warning about these labels."""
    return (
        f"tuned on a world of this study, or on one of the same seed: {', '.join(labels)}; facts "
        "of the tuning may be among those reported, unless `tune --apart` excluded them"
    )
