"""Calls of methods: errors name the method, and deltas are checked before anything uses them.

A method may be of another package. What it raises or returns must not reach the user as an error
of the code that called it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.extras import MissingExtraError, needed
from behemoth.support.progress import Advance
from behemoth.support.text import error_text, listed_text, plural_text
from behemoth.train.errors import TrainError

from .errors import MethodError

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan

    from .protocol import EditContext, EditMethod

__all__ = ["NOT_FROZEN", "apply_method", "check_deltas", "check_is_method", "is_frozen",
           "naming_method", "one_for_each"]  # fmt: skip

_METHOD = (
    "a method, or the name of one; a method is an object of a frozen dataclass with `info`, a "
    "MethodInfo, and `apply` (docs/adding-a-method.md)"
)
NOT_FROZEN = "no frozen dataclass (`@dataclass(frozen=True)` above its class)"
# These state what is wrong, or which file, and callers tell them apart.
_KEPT = (ArgumentError, CorpusError, MethodError, MissingExtraError, OSError, TrainError)


def is_frozen(kind: type) -> bool:
    """Return whether a class is a frozen dataclass, as those of methods are.

    A subclass of one is not by itself: without the decorator its annotations are no settings, and
    the defaults that it states are not used.
    """
    frozen: Any = vars(kind).get("__dataclass_params__")
    return frozen is not None and frozen.frozen


def check_is_method(method: object) -> None:
    """Refuse an object that is no method, and say what it lacks.

    Raises
    ------
    ArgumentError
    """
    from .protocol import MethodInfo

    if isinstance(method, type):
        name = method.__name__
        raise ArgumentError("method", f"the class {name}", f"a method, such as {name}(), or a name")
    kind, lacking = type(method), list[str]()
    if not is_frozen(kind):
        lacking.append(f"is {NOT_FROZEN}")
    if not isinstance(getattr(method, "info", None), MethodInfo):
        lacking.append("has no `info` that is a MethodInfo")
    if not callable(getattr(method, "apply", None)):
        lacking.append("has no `apply`")
    if lacking:
        plain = kind.__module__ == "builtins"  # None, a number: what they lack is no news
        got = method if plain else f"an object of {kind.__name__}, which {listed_text(lacking)}"
        raise ArgumentError("method", got, _METHOD)


def apply_method(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> list[EditDelta]:
    """Return the deltas of `EditMethod.apply`: one for each plan, and each fits the model.

    Raises
    ------
    MethodError
        If the method raises an exception (see `naming_method`), returns another number of deltas
        than plans, or a delta that does not fit the model.
    """
    heard = _Heard(context.progress)
    with naming_method(method, heard):
        found = method.apply(model, plans, replace(context, progress=heard))
        deltas = one_for_each(method, plans, found)
    check_deltas(method, model, deltas)
    return deltas


class _Heard:
    """A progress that remembers its own error, which is not one of the method that reports."""

    def __init__(self, progress: Advance) -> None:
        self._progress = progress
        self.error: Exception | None = None

    def __call__(self, done: int, total: int, details: object = None, /) -> None:
        try:
            self._progress(done, total, details)
        except Exception as error:
            self.error = error
            raise


@contextmanager
def naming_method(method: EditMethod, heard: _Heard | None = None) -> Generator[None]:
    """Raise exceptions of the block as those of a method.

    Refusals, errors of files and of memory, and those of the caller's progress are raised as they
    are.

    Raises
    ------
    MethodError
        With the method, and the type and text of the exception, which is its cause.
    """
    from behemoth.model.device import is_out_of_memory

    try:
        with needed():
            yield
    except _KEPT:
        raise
    except Exception as error:
        if is_out_of_memory(error) or (heard is not None and error is heard.error):
            raise
        # torch appends its own trace to the message.
        text = error_text(error).partition(" Exception raised from ")[0].removesuffix(":")
        raise MethodError(f"method {method.info.name} failed: {text}") from error


def one_for_each(method: EditMethod, plans: Sequence[EditPlan], found: Any) -> list[Any]:
    """Return what a method returned for plans as a list; refuse another number of deltas.

    Raises
    ------
    MethodError
    """
    name = method.info.name
    if not isinstance(found, Iterable):
        kind = type(found).__name__
        raise MethodError(f"method {name} returned {kind} in place of a list of deltas")
    deltas = list(found)
    if len(deltas) != len(plans):
        counts = f"{plural_text(len(deltas), 'delta')} for {plural_text(len(plans), 'plan')}"
        raise MethodError(f"method {name} returned {counts}")
    return deltas


def check_deltas(method: EditMethod, model: nn.Module, deltas: Sequence[Any]) -> None:
    """Refuse deltas of a method that cannot be applied to the model that they were made for.

    Raises
    ------
    MethodError
        For an object of another class, and for a parameter or module that the model lacks, or has
        in another shape.
    """
    from behemoth.delta.delta import Dense, EditDelta, LowRank
    from behemoth.delta.module import ModuleChange

    name = method.info.name
    for delta in deltas:
        if not isinstance(delta, EditDelta):
            kind = type(delta).__name__
            raise MethodError(f"method {name} returned {kind} in place of an EditDelta")
        for key, change in delta.changes.items():
            if not isinstance(change, Dense | LowRank | ModuleChange):
                kind = type(change).__name__
                raise MethodError(
                    f"method {name} returned {kind} in place of the change of {key}: Dense or "
                    "LowRank, or a change of a module"
                )
        try:
            delta.places_in(model)
        except ArgumentError as error:
            raise MethodError(
                f"method {name} returned a delta that does not fit the model: {error}"
            ) from error
