"""Changes of modules that no weights can say: what a module gives is looked up, or added on a side.

Such a change is a function of what goes into the module and what comes out of it, token by token,
so that it is the same in padded batches, behind prefixes and with cached keys and values. What a
module reads before everything else is another kind (`context.py`), and has the same contract.
The tensors of several edits are stacked along a leading axis, each edit with a memory of its own.

Shape letters: K edits, n entries, i inputs, o outputs, t tokens of an edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

__all__ = ["Answering", "Codebook", "ModuleChange", "SideMemory", "seat", "seated", "unseat"]

_DISTANCES = 1 << 24  # between tokens and keys, that are worked out at once
# The changes of a module that are in a model, the last one last: it alone is in effect.
_IN = "_behemoth_changes"


@dataclass(frozen=True, eq=False)
class ModuleChange(ABC):
    """What a module does that its weights do not say; all fields are tensors.

    Of two changes of one kind and module the later one is taken, and not their sum: it holds what
    was to be kept of the earlier one.
    """

    def parts(self) -> dict[str, Tensor]:
        """Its tensors by name, as files keep them."""
        return dict(vars(self))

    def dense(self) -> Tensor | None:
        """The change of the module's weight [o, i] that it amounts to, where it is one."""
        return None

    @classmethod
    @abstractmethod
    def stacked(cls, each: Sequence[Any]) -> Self:
        """Several as one, with a leading axis K on every tensor; none for an edit without one."""

    @abstractmethod
    def check(self, name: str, module: nn.Module) -> None:
        """Refuse a module that it does not fit.

        Raises
        ------
        ArgumentError
            With the module.
        """

    @abstractmethod
    def attach(self, module: nn.Module) -> list[RemovableHandle]:
        """Put a stacked change into a module, whose rows are grouped by edit; until removed."""

    def some(self, edits: Sequence[int]) -> Self:
        """Copies of the tensors of some edits of a stacked change, in that order."""
        return type(self)(**{name: part[list(edits)] for name, part in self.parts().items()})

    def alone(self) -> Self:
        """A stack of itself, which shares its tensors."""
        return type(self)(**{name: part.unsqueeze(0) for name, part in self.parts().items()})

    def like(self, tensor: Tensor) -> Self:
        """Its tensors where another one is; types stay."""
        return type(self)(**{name: part.to(tensor.device) for name, part in self.parts().items()})


@dataclass(frozen=True, eq=False)
class Answering(ModuleChange):
    """What a linear module gives in place of its own output, token by token."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """Outputs and inputs of the module that it is for."""

    @abstractmethod
    def respond(self, x: Tensor, output: Tensor) -> Tensor:
        """The output of K edited modules, of a stacked change.

        Parameters
        ----------
        x : float [K * b, ..., i]
            Rows grouped by edit.
        output : float [K * b, ..., o]
            What the module itself gives.
        """

    def attach(self, module: nn.Module) -> list[RemovableHandle]:
        """See `ModuleChange.attach`."""

        def answer(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            return self.respond(inputs[0], output)

        return [module.register_forward_hook(answer)]

    def check(self, name: str, module: nn.Module) -> None:
        """See `ModuleChange.check`."""
        from behemoth.model.modules import is_linear, is_transposed

        if not is_linear(module):
            kind = type(module).__name__
            raise ArgumentError("model", f"{name}, a {kind}", "a linear module there")
        shape = tuple(module.get_parameter("weight").shape)
        if is_transposed(module):
            shape = shape[::-1]
        if shape != self.sizes:
            raise ArgumentError("model", f"{name} of shape {shape}", str(self.sizes))


@dataclass(frozen=True, eq=False)
class Codebook(Answering):
    """Answers to inputs: a token within the radius of the nearest key gets that key's value.

    Hartvigsen et al., 2023 (arXiv 2211.11031, equation 1), asked by every token.

    Attributes
    ----------
    keys : float64 [n, i]
        By matrix products, small differences of large numbers are left of a distance.
    values : float [n, o]
    radii : float64 [n]
        Euclidean; below 0 for an entry that answers nothing.
    """

    keys: Tensor
    values: Tensor
    radii: Tensor

    def __repr__(self) -> str:
        return f"Codebook({self.keys.shape[-2]} entries)"

    @property
    def sizes(self) -> tuple[int, int]:
        """Outputs and inputs of the module."""
        return self.values.shape[-1], self.keys.shape[-1]

    @classmethod
    def stacked(cls, each: Sequence[Self | None]) -> Self:
        """Fill up with entries that answer nothing."""
        like = next(one for one in each if one is not None)
        most = max(len(one.radii) for one in each if one is not None)
        keys = like.keys.new_zeros(len(each), most, like.keys.shape[1])
        values = like.values.new_zeros(len(each), most, like.values.shape[1])
        radii = like.radii.new_full((len(each), most), -1.0)
        for place, one in enumerate(each):
            if one is not None:
                count = len(one.radii)
                keys[place, :count] = one.keys
                values[place, :count] = one.values
                radii[place, :count] = one.radii
        return cls(keys, values, radii)

    def respond(self, x: Tensor, output: Tensor) -> Tensor:
        """See `ModuleChange.respond`."""
        import torch

        count, entries = self.radii.shape
        x_kti = x.reshape(count, -1, x.shape[-1])
        y_kto = output.reshape(count, -1, output.shape[-1])
        parts = []
        step = max(1, _DISTANCES // (count * entries))
        with torch.no_grad():
            idle = (self.radii < 0)[:, None]
            for first in range(0, x_kti.shape[1], step):
                distances = torch.cdist(x_kti[:, first : first + step].double(), self.keys)
                parts.append(distances.masked_fill(idle, torch.inf).min(-1))
            nearest = torch.cat([part.indices for part in parts], 1)
            distance = torch.cat([part.values for part in parts], 1)
            within = distance <= self.radii.gather(1, nearest)
        places = nearest[..., None].expand(-1, -1, self.values.shape[-1])
        found = self.values.gather(1, places).to(output.dtype)
        return torch.where(within[..., None], found, y_kto).reshape(output.shape)


@dataclass(frozen=True, eq=False)
class SideMemory(Answering):
    """A second weight, used by the tokens for which it makes more than a little difference.

    Wang et al., 2024 (arXiv 2405.14768, equations 2 and 3): W + change answers a token x where
    |change x| is above the threshold, and W elsewhere.

    Attributes
    ----------
    change : float [o, i]
        The side copy less the weight.
    threshold : float []
    """

    change: Tensor
    threshold: Tensor

    def __repr__(self) -> str:
        return f"SideMemory({list(self.change.shape[-2:])})"

    @property
    def sizes(self) -> tuple[int, int]:
        """Outputs and inputs of the module."""
        return self.change.shape[-2], self.change.shape[-1]

    def dense(self) -> Tensor:
        """What the side copy has beyond the weight, whichever tokens use it."""
        return self.change

    @classmethod
    def stacked(cls, each: Sequence[Self | None]) -> Self:
        """An edit without a memory never uses it."""
        import torch

        like = next(one for one in each if one is not None)
        nothing, never = torch.zeros_like(like.change), torch.full_like(like.threshold, torch.inf)
        return cls(
            torch.stack([nothing if one is None else one.change for one in each]),
            torch.stack([never if one is None else one.threshold for one in each]),
        )

    def respond(self, x: Tensor, output: Tensor) -> Tensor:
        """See `ModuleChange.respond`."""
        import torch

        count = len(self.threshold)
        x_kti = x.reshape(count, -1, x.shape[-1])
        added_kto = torch.bmm(x_kti, self.change.to(x.dtype).mT)
        used_kt1 = added_kto.norm(dim=-1, keepdim=True) > self.threshold[:, None, None]
        added = torch.where(used_kt1, added_kto, 0.0).reshape(output.shape)
        return output + added.to(output.dtype)


class _Seat:
    """A change that is in a module, and its hooks while it is the last one."""

    def __init__(self, change: ModuleChange) -> None:
        self.change = change
        self.handles: list[RemovableHandle] = []

    def rise(self, module: nn.Module) -> None:
        self.handles = self.change.attach(module)

    def rest(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []


def seat(module: nn.Module, change: ModuleChange) -> object:
    """Put a change into a module, in place of those of its kind that are in; gives its mark."""
    seats: list[_Seat] = getattr(module, _IN, [])
    for other in seats:
        if type(other.change) is type(change):
            other.rest()
    mine = _Seat(change.like(next(module.parameters())).alone())
    mine.rise(module)
    setattr(module, _IN, [*seats, mine])
    return mine


def seated(module: nn.Module) -> list[ModuleChange]:
    """The changes that are in a module, each a stack of one, the last one last."""
    return [seat.change for seat in getattr(module, _IN, ())]


def is_last(module: nn.Module, mark: object) -> bool:
    """Whether no other change came into the module since."""
    return getattr(module, _IN)[-1] is mark


def unseat(module: nn.Module, mark: object) -> None:
    """Take the last change out; the one of its kind below it is in effect again, in its place."""
    *seats, mine = getattr(module, _IN)
    assert mine is mark
    mine.rest()
    last: dict[type[ModuleChange], _Seat] = {type(seat.change): seat for seat in seats}
    below = last.get(type(mine.change))
    if below is not None:
        # Hooks run in the order in which they were put in, so that those behind it come out too.
        behind = [seat for seat in seats[seats.index(below) + 1 :] if seat.handles]
        for seat in behind:
            seat.rest()
        for seat in (below, *behind):
            seat.rise(module)
    if seats:
        setattr(module, _IN, seats)
    else:
        delattr(module, _IN)
