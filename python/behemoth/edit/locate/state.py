"""State of locate-and-edit methods between layers of an edit, and between edits of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from behemoth.delta.delta import Change

if TYPE_CHECKING:
    from torch import Tensor

    from .covariance import Covariance

__all__ = ["MOST_KEYS", "EditorState", "Worked"]

MOST_KEYS = 2
"""Maximum number of keys of earlier edits that are kept as they are, for each component of one."""


@dataclass
class EditorState:
    """State of a sequence: covariances of the unedited model, and keys of the edits since.

    Attributes
    ----------
    covariances : mapping of layer to Covariance
        Covariances of the unedited model.
    earlier_mf : dict of layer to float64 [m, f]
        Keys of the edits of a sequence so far. Beyond 2 f keys they are replaced by f rows with the
        same sum of k k^T, which is all that an edit needs of them, so that neither the memory nor
        the time of an edit grows with the sequence.
    """

    covariances: Mapping[int, Covariance]
    earlier_mf: dict[int, Tensor] = field(default_factory=dict)

    def remember(self, keys_nf: Mapping[int, Tensor]) -> None:
        """Add the keys of an edit that succeeded."""
        import torch

        for layer, keys in keys_nf.items():
            old = self.earlier_mf.get(layer)
            own = keys if old is None else torch.cat([old, keys])
            if len(own) > MOST_KEYS * own.shape[1]:
                own = torch.linalg.qr(own, mode="r").R  # R^T R = K^T K
            self.earlier_mf[layer] = own


@dataclass
class Worked:
    """The result of one plan so far.

    Attributes
    ----------
    changes : dict of str to Change
    keys_nf : dict of layer to float64 [n, f]
        Keys of the sites that have not failed.
    failures : list of str or None
        The reason of a failure, by site.
    traces : list of list of dict
        Rows of the search, by site (`Targets`).
    edits : list of tuple of int
        Numbers of the edits, by site.
    """

    changes: dict[str, Change]
    keys_nf: dict[int, Tensor]
    failures: list[str | None]
    traces: list[list[dict[str, Any]]]
    edits: list[tuple[int, ...]]

    def failure(self) -> str | None:
        """Return the first reason if all edits failed, else None.

        An edit fails with any of its sites: without one of its tokens an answer is not given.
        """
        going = set[int]().union(*self.edits) - {edit for edit, _ in self._failed()}
        return None if going else next(filter(None, self.failures), None)

    def trace(self) -> list[dict[str, Any]]:
        """Return a row for each edit and step, then one for each site of an edit that failed.

        An edit of several sites, one for each token of its answer, has the mean of these in each
        column; a site whose search has ended is as it was then.
        """
        by_edit: dict[int, list[list[dict[str, Any]]]] = {}
        for rows in filter(None, self.traces):
            by_edit.setdefault(rows[0]["edit"], []).append(rows)
        steps = [
            _mean([rows[min(step, len(rows) - 1)] for rows in own]) | {"step": step}
            for own in by_edit.values()
            for step in range(max(map(len, own)))
        ]
        return steps + [{"edit": edit, "failure": failure} for edit, failure in self._failed()]

    def _failed(self) -> list[tuple[int, str]]:
        return [
            (edit, failure)
            for failure, edits in zip(self.failures, self.edits, strict=True)
            if failure is not None
            for edit in edits
        ]


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of each column over the rows that have it."""
    columns = {name: [row[name] for row in rows if name in row] for row in rows for name in row}
    own = {name: sum(values) / len(values) for name, values in columns.items()}
    return own | {"edit": rows[0]["edit"]}
