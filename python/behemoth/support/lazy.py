"""Public names of a package that are loaded when they are used, and packages that are verbs.

A package and the verb that it is about have one name: ``behemoth.train`` holds `TrainConfig`, and
``behemoth.train(...)`` trains. Python sets a package as an attribute of the one around it when
anything in it is imported, so a function of that name would be there or not by what was imported
before. Such a package is therefore callable, and passes the call on to its verb.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .extras import needed

if TYPE_CHECKING:
    from inspect import Signature


def lazy(
    package: str, homes: Mapping[str, str], *, verb: str | None = None
) -> tuple[list[str], Callable[[], list[str]], Callable[[str], object]]:
    """Give a package its ``__all__``, ``__dir__`` and ``__getattr__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping
        Modules of the package, with the names that each brings, separated by spaces; the empty
        module brings packages. A name that is a module's, too, is never that module.
    verb : str, optional
        The function that the package is when it is called: one of the names, or of its own.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}
    public = sorted({*home_of, verb} if verb else home_of)

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with needed():
            if not home_of[name]:
                return import_module(f"{package}.{name}")
            return getattr(import_module(f"{package}.{home_of[name]}"), name)

    module = sys.modules[package]
    module.__dict__["__kept__"] = frozenset(name for name in public if home_of.get(name, "-"))
    module.__dict__["__verb__"] = verb
    module.__class__ = _Verb if verb else _Package
    return public, lambda: list(public), load


class _Package(ModuleType):
    """A package whose public names stay when a module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in self.__dict__["__kept__"]):
            super().__setattr__(name, value)


class _Verb(_Package):
    """A package that is called; what is asked about the call is answered by its verb."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _verb(self)(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature  # which takes a third of what `import behemoth` does

        return signature(_verb(self))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return _verb(self).__doc__


def _verb(package: ModuleType) -> Callable[..., Any]:
    return getattr(package, package.__dict__["__verb__"])
