"""Changes of modules that weights cannot express: outputs looked up in or added from a memory.

Each is a function of a module's input and output, token by token, so that it is the same in padded
batches, after prefixes and with cached keys and values. Tokens that a model reads before every
input are another kind (`context.py`) with the same contract. The tensors of several edits are
stacked along a leading axis, so that each edit has its own memory.

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

# Distances between tokens and keys that are computed at a time: 8 MB in double precision, which
# estimates of memory need not count.
_DISTANCES = 1 << 20
# The changes applied to a module, the last one last; of each kind only the last is in effect.
_IN = "_behemoth_changes"


@dataclass(frozen=True, eq=False)
class ModuleChange(ABC):
    """A change of a module's behaviour that is not a change of its weights; all fields are tensors.

    Two changes of one kind in one module are not summed; the later one is used, and contains what
    is to be kept of the earlier one.
    """

    def parts(self) -> dict[str, Tensor]:
        """Return its tensors by name, as files store them."""
        return dict(vars(self))

    def dense(self) -> Tensor | None:
        """Return the equivalent change of the module's weight [o, i], or None if there is none."""
        return None

    @classmethod
    @abstractmethod
    def stacked(cls, each: Sequence[Any]) -> Self:
        """Stack changes along a leading axis K of every tensor; None is an edit without one."""

    @abstractmethod
    def check(self, name: str, module: nn.Module) -> None:
        """Refuse a module that the change does not fit.

        Raises
        ------
        ArgumentError
            The message names the module.
        """

    @abstractmethod
    def attach(self, module: nn.Module) -> list[RemovableHandle]:
        """Attach a stacked change to a module, whose rows are grouped by edit; return the hooks."""

    def some(self, edits: Sequence[int]) -> Self:
        """Return a stacked change with copies of the tensors of some edits, in that order."""
        return type(self)(**{name: part[list(edits)] for name, part in self.parts().items()})

    def alone(self) -> Self:
        """Return a stack of one edit that shares these tensors."""
        return type(self)(**{name: part.unsqueeze(0) for name, part in self.parts().items()})

    def like(self, tensor: Tensor) -> Self:
        """Return the change on the device of a tensor; dtypes stay the same."""
        return type(self)(**{name: part.to(tensor.device) for name, part in self.parts().items()})


@dataclass(frozen=True, eq=False)
class Answering(ModuleChange):
    """A change that replaces a linear module's output, token by token."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """Number of outputs and of inputs of the module that it is for."""

    @abstractmethod
    def respond(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the output of K edited modules; the change is stacked.

        Parameters
        ----------
        x : float [K * b, ..., i]
            Input of the module, with rows grouped by edit.
        output : float [K * b, ..., o]
            Output of the unedited module.
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
    """A codebook: the output at a token within the radius of its nearest key is that key's value.

    Hartvigsen et al., 2023 (arXiv 2211.11031, equation 1), looked up at every token.

    Attributes
    ----------
    keys : float64 [n, i]
        In double precision: distances by matrix products are small differences of large numbers.
    values : float [n, o]
    radii : float64 [n]
        Euclidean; below 0 for an entry that is never used.
    """

    keys: Tensor
    values: Tensor
    radii: Tensor

    def __repr__(self) -> str:
        return f"Codebook({self.keys.shape[-2]} entries)"

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of outputs and of inputs of the module."""
        return self.values.shape[-1], self.keys.shape[-1]

    @classmethod
    def stacked(cls, each: Sequence[Self | None]) -> Self:
        """Pad with entries that are never used."""
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
        """See `Answering.respond`."""
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
                parts.append(distances.masked_fill_(idle, torch.inf).min(-1))
                del distances  # before the next are computed
            nearest = torch.cat([part.indices for part in parts], 1)
            distance = torch.cat([part.values for part in parts], 1)
            within = distance <= self.radii.gather(1, nearest)
        places = nearest[..., None].expand(-1, -1, self.values.shape[-1])
        found = self.values.gather(1, places).to(output.dtype)
        return torch.where(within[..., None], found, y_kto).reshape(output.shape)


@dataclass(frozen=True, eq=False)
class SideMemory(Answering):
    """A side copy of a weight, used at tokens where its output differs by more than a threshold.

    Wang et al., 2024 (arXiv 2405.14768, equations 2 and 3): the output at a token x is that of
    W + change if |change x| is above the threshold, and that of W otherwise.

    Attributes
    ----------
    change : float [o, i]
        The side copy minus the weight.
    threshold : float []
    """

    change: Tensor
    threshold: Tensor

    def __repr__(self) -> str:
        return f"SideMemory({list(self.change.shape[-2:])})"

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of outputs and of inputs of the module."""
        return self.change.shape[-2], self.change.shape[-1]

    def dense(self) -> Tensor:
        """Return the side copy minus the weight, whichever tokens use it."""
        return self.change

    @classmethod
    def stacked(cls, each: Sequence[Self | None]) -> Self:
        """Stack memories; an edit without one has a threshold that is never exceeded."""
        import torch

        like = next(one for one in each if one is not None)
        nothing, never = torch.zeros_like(like.change), torch.full_like(like.threshold, torch.inf)
        return cls(
            torch.stack([nothing if one is None else one.change for one in each]),
            torch.stack([never if one is None else one.threshold for one in each]),
        )

    def respond(self, x: Tensor, output: Tensor) -> Tensor:
        """See `Answering.respond`."""
        import torch

        count = len(self.threshold)
        x_kti = x.reshape(count, -1, x.shape[-1])
        added_kto = torch.bmm(x_kti, self.change.to(x.dtype).mT)
        used_kt1 = added_kto.norm(dim=-1, keepdim=True) > self.threshold[:, None, None]
        added = torch.where(used_kt1, added_kto, 0.0).reshape(output.shape)
        return output + added.to(output.dtype)


class _Seat:
    """A change in a module, with its hooks while it is the last of its kind."""

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
    """Attach a change to a module in place of others of its kind; return a mark for `unseat`."""
    seats: list[_Seat] = getattr(module, _IN, [])
    mine = _Seat(change.like(next(module.parameters())).alone())
    mine.rise(module)
    for other in seats:  # once nothing can fail
        if type(other.change) is type(change):
            other.rest()
    setattr(module, _IN, [*seats, mine])
    return mine


def seated(module: nn.Module) -> list[ModuleChange]:
    """Return the changes in a module, each a stack of one, the last one last."""
    return [seat.change for seat in getattr(module, _IN, ())]


def is_last(module: nn.Module, mark: object) -> bool:
    """Return whether no other change was attached to the module since."""
    return getattr(module, _IN)[-1] is mark


def unseat(module: nn.Module, mark: object) -> None:
    """Remove the last change; the previous one of its kind takes effect again, in its old order."""
    *seats, mine = getattr(module, _IN)
    assert mine is mark
    mine.rest()
    last: dict[type[ModuleChange], _Seat] = {type(seat.change): seat for seat in seats}
    below = last.get(type(mine.change))
    if below is not None:
        # Hooks run in the order of registration, so later ones are removed and registered again.
        behind = [seat for seat in seats[seats.index(below) + 1 :] if seat.handles]
        for seat in behind:
            seat.rest()
        for seat in (below, *behind):
            seat.rise(module)
    if seats:
        setattr(module, _IN, seats)
    else:
        delattr(module, _IN)
