"""Memory budget of an export of edited models: whether one fits, before anything is written.

Exports of corpora hold a part of a shard at a time, and those of plans the plan's text: neither
grows with the corpus or holds a model, so neither is estimated (docs/reliability.md).
"""

from __future__ import annotations

from behemoth.evaluate.memory_budget import FIXED, changes_bytes
from behemoth.train.memory_budget import loaded_bytes, require_weights

from .edited import EditedModels

__all__ = ["export_bytes", "require_export"]


def export_bytes(models: EditedModels) -> int:
    """Estimate what an export needs beside the model and the file it is loaded from, in bytes.

    A model is loaded once for all edits, and one delta is applied at a time. The bytes of the file
    that is written are made from the weights.

    Parameters
    ----------
    models : EditedModels
    """
    changes = changes_bytes(models.delta(next(iter(models.deltas))))
    return FIXED + changes + loaded_bytes(models.run.directory)


def require_export(models: EditedModels, memory: int | None = None) -> None:
    """Refuse an export that is estimated to need more memory than is available.

    Parameters
    ----------
    models : EditedModels
    memory : int, optional
        Bytes that may be used; by default what the machine or the container has free.

    Raises
    ------
    ArgumentError
        If it does not fit.
    """
    beside = export_bytes(models)
    place = models.run.directory
    require_weights(place, "cpu", memory, "directory", beside=beside, work="export")
