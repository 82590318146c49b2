"""Entries of a growing codebook: their keys, radii, values and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behemoth.delta.module import Codebook

from .growing import GrowingRows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Entries"]

# A radius that ends at a key has to include it despite rounding.
_SLACK = 1e-6
# Upper bound of the relative rounding error of a term in a float64 sum of products.
_ROUNDED = 1e-15


class Entries:
    """A growing codebook, with the answer token of each entry.

    Its tensors are replaced and never written to, so that deltas may share them.
    """

    def __init__(
        self,
        keys: Tensor | None = None,
        values: Tensor | None = None,
        radii: Tensor | None = None,
        answers: Sequence[int] = (),
    ) -> None:
        self.values, self.radii = values, radii
        self.answers = list(answers)
        self._keys = None if keys is None else GrowingRows(keys)
        self._squares = None if keys is None else GrowingRows(keys.square().sum(1))

    def __len__(self) -> int:
        return len(self.answers)

    def copy(self) -> Entries:
        """Return a codebook with the same entries that grows separately."""
        other = Entries(None, self.values, self.radii, self.answers)
        other._keys, other._squares = self._keys, self._squares
        return other

    @property
    def keys(self) -> Tensor | None:
        """The keys of the entries: float64 [n, i]; None without entries."""
        return None if self._keys is None else self._keys.rows

    def codebook(self) -> Codebook:
        """Return the entries as a change of the module."""
        assert self.keys is not None and self.values is not None and self.radii is not None
        return Codebook(self.keys, self.values, self.radii)

    def nearest(self, keys_mi: Tensor) -> list[tuple[int, float]]:
        """Return the nearest active entry to each key, and the distance.

        Parameters
        ----------
        keys_mi : float64 [m, i]
        """
        assert self._keys is not None and self._squares is not None and self.radii is not None
        known_ni, known_n = self._keys.rows, self._squares.rows
        # One product for all entries reads each only once; for those that rounding may have put in
        # the wrong order, the exact distance is computed.
        sums_mn = known_n + keys_mi.square().sum(1, keepdim=True)
        squares_mn = sums_mn - 2 * keys_mi @ known_ni.T
        slack_mn = _ROUNDED * known_ni.shape[1] * sums_mn
        least_m1 = (squares_mn + slack_mn).amin(1, keepdim=True)
        found = []
        for key, near in zip(keys_mi, squares_mn - slack_mn <= least_m1, strict=True):
            [places] = near.nonzero(as_tuple=True)
            if not len(places):  # of a key that is not finite, which is near to nothing
                found.append((0, float("inf")))
                continue
            distances = (known_ni[places] - key).norm(dim=1)
            best = int(distances.argmin())
            found.append((int(places[best]), float(distances[best])))
        return found

    def serving(self, keys_mi: Tensor) -> Tensor:
        """Return the entry whose value each key is given, as in `Codebook`, or -1: int64 [m].

        Parameters
        ----------
        keys_mi : float64 [m, i]
        """
        import torch

        assert self.radii is not None
        near = self.nearest(keys_mi)
        places = torch.tensor([place for place, _ in near], device=keys_mi.device)
        distances = keys_mi.new_tensor([distance for _, distance in near])
        return torch.where(distances <= self.radii[places], places, -1)

    def take(self, key: Tensor, answer: int, value: Tensor, epsilon: float) -> None:
        """Add a key and its answer, as a new entry or by changing the nearest one.

        Parameters
        ----------
        key : float64 [i]
        answer : int
            Token to predict there.
        value : float [o]
            Initial value of a new entry.
        epsilon : float
            Radius of an entry that is far from all others.
        """
        if not self.answers:
            self._add(key, answer, value, epsilon)
            return
        assert self.radii is not None
        [(place, distance)] = self.nearest(key[None])
        radius = float(self.radii[place])
        if distance > epsilon + radius:
            self._add(key, answer, value, epsilon)
        elif self.answers[place] == answer:
            self._set_radius(place, max(radius, distance * (1 + _SLACK)))
        elif distance <= _SLACK * float(key.norm()):
            self.answers[place] = answer  # the same prompt again: its latest answer counts
        else:
            self._set_radius(place, distance / 2 * (1 - _SLACK))
            self._add(key, answer, value, distance / 2)

    def set_values(self, places: Sequence[int], values: Tensor) -> None:
        """Replace the values of entries by others [n, o]."""
        import torch

        assert self.values is not None
        index = torch.tensor(places, device=self.values.device)
        self.values = self.values.index_copy(0, index, values)

    def _set_radius(self, place: int, radius: float) -> None:
        assert self.radii is not None
        self.radii = self.radii.clone()
        self.radii[place] = radius

    def _add(self, key: Tensor, answer: int, value: Tensor, radius: float) -> None:
        import torch

        own, square = key.new_tensor([radius]), key.square().sum()[None]
        if self._keys is None or self._squares is None or self.values is None or self.radii is None:
            self._keys, self._squares = GrowingRows(key[None]), GrowingRows(square)
            self.values, self.radii = value[None], own
        else:
            self._keys = self._keys.with_more(key[None])
            self._squares = self._squares.with_more(square)
            self.values = torch.cat([self.values, value[None]])
            self.radii = torch.cat([self.radii, own])
        self.answers.append(answer)
