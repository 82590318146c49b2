"""Registry of methods by name: the built-in ones, and those of other packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from behemoth.support.errors import ArgumentError, check_keys
from behemoth.support.fields import made
from behemoth.support.text import error_text, listed_text

from .errors import MethodError
from .foreign_settings import is_foreign, own_name
from .guarded import NOT_FROZEN, is_frozen
from .protocol import EditMethod, MethodInfo

__all__ = ["OWN_METHODS", "check_concrete", "check_settings", "get_method", "ignored_methods",
           "info_if_loadable", "loadable_methods", "method_names", "method_type", "methods",
           "setting_names", "unknown_method"]  # fmt: skip

ENTRY_POINTS = "behemoth.methods"
_OWN = (
    "the name of a method (`behemoth methods` lists them), not a file or class: a method of your "
    f"own is found by an entry point of the group {ENTRY_POINTS} (docs/adding-a-method.md), and "
    "behemoth.edit accepts one as an object"
)

OWN_METHODS = {
    "ft": "FineTuning",
    "ft_l": "ConstrainedFineTuning",
    "ft_svd": "TruncatedFineTuning",
    "lora": "Lora",
    "rome": "Rome",
    "memit": "Memit",
    "emmet": "Emmet",
    "encore": "Encore",
    "alphaedit": "AlphaEdit",
    "ultraedit": "UltraEdit",
    "grace": "Grace",
    "wise": "Wise",
    "ike": "InContextEditing",
    "mend": "Mend",
    "grad_ascent": "GradientAscent",
    "grad_diff": "GradientDifference",
    "kl_min": "KLMinimisation",
    "npo": "NegativePreferenceOptimisation",
    "simnpo": "SimpleNegativePreferenceOptimisation",
    "dpo_refusal": "RefusalPreferenceOptimisation",
    "refusal": "RefusalTraining",
    "rmu": "RepresentationMisdirection",
    "undial": "SelfDistillation",
    "wga": "WeightedGradientAscent",
    "satimp": "SaturationAndImportance",
    "ceu": "CrossEntropyUnlearning",
    "pdu": "PrimalDualUnlearning",
    "task_vector": "TaskVector",
    "retrain": "Retraining",
}
"""The classes of the built-in methods by name, which is that of a module in `methods`."""


def method_names() -> list[str]:
    """Return the names of all methods, built-in ones first, then those of other packages.

    Examples
    --------
    >>> import behemoth as bh
    >>> bh.methods()[:5]
    ['ft', 'ft_l', 'ft_svd', 'lora', 'rome']
    """
    others = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return [*OWN_METHODS, *sorted(others - set(OWN_METHODS))]


def ignored_methods() -> list[tuple[str, str]]:
    """Return the methods of other packages whose names are taken, each with its distribution.

    The names are those of built-in methods, or of methods of packages that were found earlier.
    """
    taken, ignored = set(OWN_METHODS), list[tuple[str, str]]()
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in taken:
            ignored.append(
                (entry.name, "an unknown package" if entry.dist is None else entry.dist.name)
            )
        taken.add(entry.name)
    return ignored


methods = method_names
"""The name of this function in `behemoth`, as that of the command."""


def method_type(name: str) -> type[EditMethod]:
    """Return the class of a method.

    Raises
    ------
    ArgumentError
        For an unknown name; the message suggests the nearest ones, or how to register a method if
        the name looks like a file or a class.
    MethodError
        If the method is of another package and cannot be imported.
    """
    if not isinstance(name, str):
        raise ArgumentError("method", name, "the name of a method (`behemoth methods` lists them)")
    if name in OWN_METHODS:
        return getattr(import_module(f"{__package__}.methods.{name}"), OWN_METHODS[name])
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return _loaded(entry)
    if re.search(r"[/\\:]|\.py$", name):
        raise ArgumentError("method", name, _OWN)
    raise unknown_method("method", name, method_names())


def unknown_method(argument: str, name: str, names: Iterable[str]) -> ArgumentError:
    """Return the error for a method that is not in `names`; it suggests only what is mistyped.

    Names of methods are alike: AnyEdit and UltraEdit, or DPO and NPO, are different methods, and
    the one would be taken for advice in place of the other.
    """
    return ArgumentError.unknown(argument, name, names, cutoff=0.75)


def info_if_loadable(name: str) -> MethodInfo | None:
    """Return the description of a method; None if it is not installed here, or cannot be loaded.

    Deltas are read without the methods that made them.
    """
    try:
        info: object = method_type(name).info
    except (ArgumentError, AttributeError, MethodError):
        return None
    return info if isinstance(info, MethodInfo) else None


def _loaded(entry: EntryPoint) -> type[EditMethod]:
    """Return the class of an entry point; importing it runs code of another package."""
    try:
        return entry.load()
    except Exception as error:
        if getattr(error, "name", None) == "torch":  # which callers say how to install
            raise
        raise _unloadable(entry.name, error) from error


def _unloadable(name: str, error: Exception) -> MethodError:
    clear = isinstance(error, ArgumentError | AttributeError | ImportError)
    return MethodError(f"method {name} cannot be loaded: {error if clear else error_text(error)}")


def loadable_methods(
    names: Iterable[str], skipped: Callable[[str, str], object]
) -> Iterator[tuple[str, type[EditMethod], MethodInfo]]:
    """Yield those methods that can be loaded: name, class and description.

    A broken method of another package then does not take the others away.

    Parameters
    ----------
    names : iterable of str
        Some of `method_names`.
    skipped : callable
        Called with each name that cannot be loaded, and one line that says why.

    Raises
    ------
    ImportError
        If torch is not installed.
    """
    for name in names:
        try:
            kind = method_type(name)
            _check_class(name, kind)
        except MethodError as error:
            skipped(name, str(error))
        except ImportError as error:
            if getattr(error, "name", None) == "torch":
                raise
            skipped(name, str(_unloadable(name, error)))
        else:
            yield name, kind, kind.info


def _check_class(name: str, kind: Any) -> None:
    """Refuse what an entry point names if it is no class of a method.

    Without the decorator its annotations are no settings: all would run with those of its base.

    Raises
    ------
    MethodError
    """
    if not isinstance(kind, type):
        told = f"it is an object of {type(kind).__name__}, not a class"
        raise _unloadable(name, AttributeError(told))
    info = getattr(kind, "info", None)
    if not isinstance(info, MethodInfo):
        told = f"its info is a {type(info).__name__}, not a MethodInfo"
        told = told if hasattr(kind, "info") else "it has no `info`"
        raise _unloadable(name, AttributeError(told))
    if not is_frozen(kind):
        raise _unloadable(name, AttributeError(f"it is {NOT_FROZEN}"))
    if not callable(getattr(kind, "apply", None)):
        raise _unloadable(name, AttributeError("it has no `apply`"))
    check_concrete(name, kind)


def check_concrete(name: str, kind: type) -> None:
    """Refuse a class that lacks what its base class leaves to it, such as `objective`.

    Raises
    ------
    MethodError
    """
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        lacks = listed_text([f"`{method}`" for method in missing])
        raise _unloadable(name, AttributeError(f"it lacks {lacks}"))


def setting_names(name: str) -> list[str]:
    """Return the names of the settings of a method, in order.

    Raises
    ------
    ArgumentError, MethodError
        As for `method_type`.
    """
    kind: Any = method_type(name)
    # A class of another package may be no dataclass, and then has no settings.
    return [field.name for field in fields(kind) if field.init] if is_dataclass(kind) else []


def check_settings(settings: Mapping[str, object], name: str) -> None:
    """Refuse names that are not settings of a method.

    Raises
    ------
    ArgumentError
        For an unknown method or setting; the message lists the settings of the method, and suggests
        the one that other tools call so, or that is similar if none of them has a setting of this
        name.
    """
    known = setting_names(name)
    for key in map(str, settings):
        if key not in known and is_foreign(key):
            got, allowed = f"an unknown setting of {name}", ", ".join(known) or "none"
            raise ArgumentError(key, got, allowed, own_name(key, known))
    check_keys(settings, known, f"an unknown setting of {name}")


def get_method(
    name: str, settings: Mapping[str, object] | None = None, *, text: bool = False
) -> EditMethod:
    """Return a method with its settings.

    Parameters
    ----------
    name : str
        One of `method_names`.
    settings : mapping of str to value, optional
        Values for some of its fields, as `settings_of` returns them.
    text : bool
        If true, strings, as from a command line, are parsed by the field's type: lists as
        ``2,3``, None as ``none``.

    Raises
    ------
    ArgumentError
        For an unknown name or setting, or a value that the method does not allow.
    MethodError
        If the method is of another package, and cannot be imported or is no class of a method:
        no frozen dataclass, or one without an `objective`, for example.
    """
    kind = method_type(name)
    _check_class(name, kind)
    if not isinstance(settings, Mapping | None):
        own = type(settings)  # a frame would fill the screen
        got = settings if own.__module__ == "builtins" else f"an object of {own.__name__}"
        raise ArgumentError("settings", got, "a mapping of names to values")
    check_settings(settings or {}, name)
    try:
        return made(kind, settings or {}, text=text)
    except ArgumentError:
        raise
    except ValueError as error:  # from a method of another package
        raise ArgumentError(
            "settings", dict(settings or {}), f"what {name} takes: {error}"
        ) from error
