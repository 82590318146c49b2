"""Methods of a study whose settings were tuned on a world that the study reports on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behemoth.train.run import world_id

if TYPE_CHECKING:
    from .file.spec import Study

__all__ = ["tuned_here"]


def tuned_here(study: Study) -> list[str]:
    """Return the labels of methods that were tuned on a world in which they have trials.

    Exposures may differ, since the facts of equal worlds are equal. Tunings of earlier versions,
    whose files do not name their world, are not recognised.
    """
    # Expanding a study takes time, and most studies have no tuned method.
    if all(choice.tuning is None or choice.tuning.world_id is None for choice in study.methods):
        return []
    expansion = study.expand()
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
