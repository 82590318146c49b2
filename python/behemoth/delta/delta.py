"""The result of an edit: changes to named parameters that can be applied, reverted and saved.

A change is the difference that is *added* to a parameter: dense, or the product of two thin
matrices. Changes that weights cannot express are changes of a module (`module.py`), under the
module's name. A delta does not depend on the method that made it, so all later code (evaluation,
stacking, sequences, geometry) treats all methods alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from behemoth.model.precision import widened
from behemoth.support.calls import made_by
from behemoth.support.checks import as_found, path_of
from behemoth.support.digests import FILES, check, digests, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import write_bytes, write_tensors

from .fit import check_shapes
from .kinds import KINDS
from .module import ModuleChange, is_last, seat, unseat
from .spectra import dense_spectra, product_spectra, ranks

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "AppliedDelta",
    "Change",
    "Dense",
    "EditDelta",
    "LowRank",
    "ParameterChange",
    "add_changes",
    "check_tied",
    "modules_of",
    "parameters_of",
    "tied_names",
]

# The deltas applied to a parameter, the last one last: an attribute of the parameter, since only
# the parameter is available wherever a second delta is applied to it.
_IN = "_behemoth_applied"

RECORD, _TENSORS = "delta.json", "delta.safetensors"


@dataclass(frozen=True, eq=False)
class Dense:
    """A full-rank change: float tensor of the parameter's shape."""

    change: Tensor

    def __repr__(self) -> str:
        return f"Dense({list(self.change.shape)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return tuple(self.change.shape)

    def to_dense(self) -> Tensor:
        """Return the change, in the parameter's shape."""
        return self.change

    @property
    def rank(self) -> int:
        """Upper bound of the rank: the smaller side of a matrix, 1 for a vector."""
        return min(self.change.shape) if self.change.ndim == 2 else 1


@dataclass(frozen=True, eq=False)
class LowRank:
    """A change of rank at most r: ``left @ right``, left of shape [out, r], right [r, in]."""

    left: Tensor
    right: Tensor

    def __repr__(self) -> str:
        return f"LowRank({[self.left.shape[0], self.right.shape[1]]}, rank {self.rank})"

    def __post_init__(self) -> None:
        if self.left.ndim != 2 or self.right.ndim != 2 or self.left.shape[1] != self.right.shape[0]:
            raise ArgumentError(
                "left, right",
                f"shapes {tuple(self.left.shape)} and {tuple(self.right.shape)}",
                "[out, r] and [r, in]",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter, [out, in]."""
        return self.left.shape[0], self.right.shape[1]

    def to_dense(self) -> Tensor:
        """Return the product, in the parameter's shape [out, in]."""
        return self.left @ self.right

    def transposed(self) -> LowRank:
        """Return the same change of the transposed matrix."""
        return LowRank(self.right.T, self.left.T)

    @property
    def rank(self) -> int:
        """Upper bound of the rank, r."""
        return self.left.shape[1]


ParameterChange = Dense | LowRank
Change = ParameterChange | ModuleChange


def add_changes(first: Mapping[str, Change], second: Mapping[str, Change]) -> dict[str, Change]:
    """Return the sum of two deltas' changes; low-rank changes have their factors concatenated.

    Of two changes of a module the second is used; it contains what remains of the first.
    """
    import torch

    total = dict(first)
    for name, change in second.items():
        old = total.get(name)
        if old is None or isinstance(old, ModuleChange) or isinstance(change, ModuleChange):
            total[name] = change
        elif isinstance(old, LowRank) and isinstance(change, LowRank):
            total[name] = LowRank(
                torch.cat([old.left, change.left], 1), torch.cat([old.right, change.right])
            )
        else:
            total[name] = Dense(old.to_dense() + change.to_dense())
    return total


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return parameters by name; a parameter that modules share has an entry for each name."""
    return dict(model.named_parameters(remove_duplicate=False))


def tied_names(parameters: Mapping[str, nn.Parameter]) -> dict[str, list[str]]:
    """Return for each name all names of its parameter, in the model's order."""
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    return {name: names[id(parameter)] for name, parameter in parameters.items()}


def modules_of(model: nn.Module, changes: Mapping[str, ModuleChange]) -> dict[str, nn.Module]:
    """Return the modules that changes are for, by name.

    Raises
    ------
    ArgumentError
        For a module that the model lacks, or has in another shape.
    """
    modules = dict(model.named_modules())
    for name, change in changes.items():
        if name not in modules:
            raise ArgumentError(
                "model", f"one without {name}", "a model with the modules of the edit"
            )
        change.check(name, modules[name])
    return {name: modules[name] for name in changes}


def check_tied(parameters: Mapping[str, nn.Parameter], names: Iterable[str]) -> None:
    """Refuse changes of one parameter under two of its names.

    Raises
    ------
    ArgumentError
        With both names.
    """
    seen: dict[int, str] = {}
    for name in names:
        if name not in parameters:
            continue
        other = seen.setdefault(id(parameters[name]), name)
        if other != name:
            raise ArgumentError(
                "changes", f"{other} and {name}, which are tied", "a change of one of them"
            )


@made_by("bh.load(PATH) of an edit, whose deltas() returns them, or of one delta")
@dataclass(frozen=True, eq=False)
class EditDelta:
    """The changes that one plan made to the model, and a record of how they were made.

    Attributes
    ----------
    changes : mapping of name to Dense, LowRank, Codebook, SideMemory or Context
        Dense and LowRank are added to the parameters of these names; the others are changes of
        the modules of these names. Empty if the edit failed.
    method : str
        Name of the method that made the delta.
    settings : dict
        The method's configuration, as plain values.
    plan_hash : str
        Hash of the plan that the delta carries out.
    seed : int
        Seed of the method's draws.
    failure : str, optional
        The reason for a failed edit; None if the edit succeeded.
    trace : list of dict, optional
        Measurements by step: ``step``, ``loss``, and of gradient methods the columns of
        `behemoth.edit.gradient.step_log.SCORES`, for edits with an old answer.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=1, repeats=2, probes=1)
    >>> edited = bh.edit("run", plan, method="rome", out="edit", settings={"steps": 2})
    >>> delta = bh.load(edited).deltas()[None]
    >>> model = bh.load("run").load_model("cpu")
    >>> with delta.apply(model):
    ...     pass  # the edited model is used here; after that it is restored bit by bit
    """

    changes: Mapping[str, Change]
    method: str
    settings: Mapping[str, Any]
    plan_hash: str
    seed: int
    failure: str | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = (len(self.of_parameters), "parameters"), (len(self.of_modules), "modules")
        what = ", ".join(f"{count} {of}" for count, of in counts if count or of == "parameters")
        return f"EditDelta({self.method}, {f'failed: {self.failure}' if self.failure else what})"

    @property
    def of_parameters(self) -> dict[str, ParameterChange]:
        """The changes that are added to parameters."""
        return {
            name: change
            for name, change in self.changes.items()
            if not isinstance(change, ModuleChange)
        }

    @property
    def of_modules(self) -> dict[str, ModuleChange]:
        """The changes of modules."""
        return {
            name: change
            for name, change in self.changes.items()
            if isinstance(change, ModuleChange)
        }

    def apply(self, model: nn.Module) -> AppliedDelta:
        """Add the changes to the model's parameters in place, and attach those of modules.

        Returns
        -------
        AppliedDelta
            Reverts bit by bit with `revert`, or at the end of a ``with`` block. If an error stops
            the work, such as memory that is short, the model is as it was.

        Raises
        ------
        ArgumentError
            For a parameter or module that the model lacks, or has in another shape, and for
            changes of one parameter under two names.
        """
        import torch

        given: Any = model
        if not isinstance(given, torch.nn.Module):
            raise ArgumentError("model", given, "a model; Run.load_model gives that of a run")
        parameters, modules = self.places_in(model)
        # Subtracting a change would leave rounding errors: copies of the originals are kept.
        originals = {name: own.detach().clone() for name, own in parameters.items()}
        applied = AppliedDelta(parameters, originals, modules)
        try:
            with torch.no_grad():
                for name, change in self.of_parameters.items():
                    parameter = parameters[name]
                    wide = widened(parameter)
                    # In the parameter's own type.
                    parameter.copy_(wide + change.to_dense().to(wide))
            for name, module in modules.items():
                applied.marks[name] = seat(module, self.of_modules[name])
        except BaseException:  # a delta that is applied in part would stay: nobody could revert it
            applied.revert()
            raise
        return applied

    def places_in(self, model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Module]]:
        """Return the parameters and modules that the changes are for; refuse as `apply` does."""
        parameters, changes = parameters_of(model), self.of_parameters
        check_tied(parameters, changes)
        modules = modules_of(model, self.of_modules)
        check_shapes(parameters, changes)
        return {name: parameters[name] for name in changes}, modules

    def geometry(self) -> list[dict[str, Any]]:
        """Return norm, rank and spectrum of every change.

        Returns
        -------
        list of dict
            One per change: ``parameter``, ``norm`` (Frobenius), ``rank`` (numerical: number of
            singular values above 1e-6 of the largest), ``effective_rank`` (exponential of the
            entropy of the normalised singular values; Roy and Vetterli, 2007) and ``spectrum``
            (singular values, largest first). The last three are those of matrices, and None for
            a bias or another vector. A change of a module has the module's name as ``parameter``;
            its values are None unless it amounts to a change of the module's weight, as a side
            memory does.
        """
        rows: list[dict[str, Any]] = []
        none = dict.fromkeys(("norm", "rank", "effective_rank", "spectrum"))
        for name, change in self.changes.items():
            weight = change.dense() if isinstance(change, ModuleChange) else change
            row = {"parameter": name, **none}
            rows.append(row)
            if weight is None:
                continue
            if isinstance(weight, LowRank):
                [values] = product_spectra(weight.left[None], weight.right[None])
            else:
                dense = weight.change if isinstance(weight, Dense) else weight
                [values] = dense_spectra(dense[None])
            row["norm"] = float(values.norm())
            if len(weight.shape) == 2:
                row["rank"], row["effective_rank"] = ranks(values)
                row["spectrum"] = values.tolist()
        return rows

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write ``delta.safetensors`` and, last, ``delta.json``; return the directory's path."""
        place = path_of("directory", directory)
        tensors: dict[str, Tensor] = {}
        for name, change in self.changes.items():
            parts = {"": change.change} if isinstance(change, Dense) else vars(change)
            for part, tensor in parts.items():
                tensors[f"{name}:{part}" if part else name] = tensor
        write_tensors(place / _TENSORS, tensors)
        # The state saved beside a sum of edits belongs to the delta, so it gets a digest too.
        beside = [path.name for path in place.glob("*.safetensors")]
        meta = {
            FILES: digests(place, beside),
            "method": self.method,
            "settings": dict(self.settings),
            "plan_hash": self.plan_hash,
            "seed": self.seed,
            "failure": self.failure,
            "trace": self.trace,
        }
        text = json.dumps(sealed(meta), indent=2) + "\n"
        write_bytes(place / RECORD, text.encode())
        return place

    @classmethod
    def load(cls, directory: str | PathLike[str]) -> EditDelta:
        """Read what `save` wrote.

        Raises
        ------
        ArgumentError
            If the directory contains no delta.
        CorpusError
            If the delta is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        place, meta = _record_of(directory)
        check(place, meta.pop(FILES, None), _TENSORS)
        try:
            tensors = load_file(place / _TENSORS)
        except (OSError, SafetensorError):
            raise CorpusError(f"{place / _TENSORS}: the delta is damaged") from None
        parts: dict[str, dict[str, Tensor]] = {}
        try:
            for key, tensor in tensors.items():
                name, _, part = key.partition(":")
                parts.setdefault(name, {})[part] = tensor
            changes = {name: _change(own) for name, own in parts.items()}
            return cls(changes, **meta)
        except (KeyError, TypeError, ValueError):
            raise CorpusError(f"{place / RECORD}: the delta is damaged") from None

    @classmethod
    def load_record(cls, directory: str | PathLike[str]) -> EditDelta:
        """Read what `save` wrote without the changes: settings, failure and trace.

        Raises
        ------
        ArgumentError
            If the directory contains no delta.
        CorpusError
            If the record is damaged; the changes are not looked at.
        """
        place, meta = _record_of(directory)
        meta.pop(FILES, None)
        try:
            return cls({}, **meta)
        except TypeError:
            raise CorpusError(f"{place / RECORD}: the delta is damaged") from None


def _record_of(directory: str | PathLike[str]) -> tuple[Path, dict[str, Any]]:
    """Return the path of a delta and the contents of its record."""
    allowed = "the directory of a delta (one that contains delta.json)"
    place = path_of("directory", directory, allowed)
    if not (place / RECORD).is_file():
        raise ArgumentError("directory", as_found(directory), allowed)
    return place, read_sealed(place / RECORD, "a delta")


def _change(parts: dict[str, Tensor]) -> Change:
    """Return a change from its tensors by name; raise KeyError if no kind has these names."""
    if parts.keys() == {""}:
        return Dense(parts[""])
    if parts.keys() == {"left", "right"}:
        return LowRank(**parts)
    kinds = {frozenset(field.name for field in fields(kind)): kind for kind in KINDS}
    return kinds[frozenset(parts)](**parts)


@dataclass
class AppliedDelta:
    """A delta applied to a model, which it can restore bit by bit.

    If several deltas are applied to one parameter, the last one has to be reverted first: each
    restores the values that it found, which include the earlier deltas and not the later ones.
    """

    parameters: Mapping[str, nn.Parameter]
    originals: dict[str, Tensor]
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    marks: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mark = object()
        for name in self.originals:
            parameter = self.parameters[name]
            setattr(parameter, _IN, [*getattr(parameter, _IN, []), self._mark])

    def revert(self) -> None:
        """Restore the original parameters bit by bit; a second call does nothing.

        Raises
        ------
        ArgumentError
            If another delta was applied to one of the parameters or modules since, and has not
            been reverted; nothing is changed then.
        """
        import torch

        under = [
            *(n for n in self.originals if getattr(self.parameters[n], _IN)[-1] is not self._mark),
            *(n for n, mark in self.marks.items() if not is_last(self.modules[n], mark)),
        ]
        if under:
            raise ArgumentError(
                "revert",
                f"a delta of {under[0]} below a later one",
                "the delta that was applied last",
            )
        with torch.no_grad():
            for name, original in self.originals.items():
                self.parameters[name].copy_(original)
        for name in self.originals:
            parameter = self.parameters[name]
            below = getattr(parameter, _IN)[:-1]
            if below:
                setattr(parameter, _IN, below)
            else:
                delattr(parameter, _IN)
        for name, mark in self.marks.items():
            unseat(self.modules[name], mark)
        self.originals, self.marks = {}, {}

    def __enter__(self) -> AppliedDelta:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.revert()
