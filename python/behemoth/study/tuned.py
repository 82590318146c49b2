"""Methods of a study whose settings were tuned on a world that the study reports on."""

from __future__ import annotations

from collections.abc import Sequence

from behemoth.train.run import world_id

from .file.expand import Expansion

__all__ = ["tuned_here", "tuned_text"]


def tuned_here(expansion: Expansion) -> list[str]:
    """Return the labels of methods that were tuned on a world in which they have trials.

    Exposures may differ, since the facts of equal worlds are equal. Tunings of earlier versions,
    whose files do not name their world, are not recognised.
    """
    worlds: dict[str, str] = {}
    found: dict[str, None] = {}
    for trial in expansion.trials:
        tuning = trial.choice.tuning
        if tuning is None or tuning.world_id is None:
            continue
        if trial.model not in worlds:
            worlds[trial.model] = world_id(expansion.models[trial.model].corpus.make())
        if worlds[trial.model] == tuning.world_id:
            found[trial.choice.label] = None
    return list(found)


def tuned_text(labels: Sequence[str]) -> str:
    """Return the warning about these labels."""
    return (
        f"tuned on a world of this study: {', '.join(labels)}; facts of the tuning may be "
        "among those reported, unless `tune --apart` excluded them"
    )
