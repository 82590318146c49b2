"""Public names of a package that are loaded on first use, and packages that can be called.

A package and its verb share one name: ``behemoth.train`` contains `TrainConfig`, and
``behemoth.train(...)`` trains. Python sets a subpackage as an attribute of its parent when
anything in it is imported, so whether a function of the same name is visible would depend on what
was imported before. The package itself is therefore callable, and passes the call on to its verb.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import nearest
from .extras import needed

if TYPE_CHECKING:
    from inspect import Signature


def lazy(
    package: str,
    homes: Mapping[str, str],
    *,
    verb: str | None = None,
    meant: Mapping[str, str] | None = None,
) -> tuple[list[str], Callable[[], list[str]], Callable[[str], object]]:
    """Return ``__all__``, ``__dir__`` and ``__getattr__`` for a package.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    homes : mapping
        Modules of the package, with the names each one defines, separated by spaces; the empty
        key lists subpackages. A name that is also a module's never refers to that module.
    verb : str, optional
        Name of the function that a call of the package runs: one of the names in `homes`, or one
        that the package itself defines.
    meant : mapping, optional
        Names that others use, with the name of this package that the error for them suggests; for
        all other unknown names it is the most similar one.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}
    public = sorted({*home_of, verb} if verb else home_of)

    def load(name: str) -> object:
        if name not in home_of:
            # Python itself and many tools ask for names with underscores.
            near = (
                None if name.startswith("_") else (meant or {}).get(name) or nearest(name, public)
            )
            hint = f" (did you mean {near}?)" if near else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
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
    """A callable package; the call, its signature and its docstring are those of its verb.

    The docstring begins with the parameters, since `help` shows no signature of a package.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _verb(self)(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature  # needs a third as long as `import behemoth`

        return signature(_verb(self))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        from inspect import Signature, cleandoc

        shown = self.__signature__
        plain = [own.replace(annotation=Signature.empty) for own in shown.parameters.values()]
        call = shown.replace(parameters=plain, return_annotation=Signature.empty)
        return f"{_verb(self).__name__}{call}\n\n{cleandoc(_verb(self).__doc__ or '')}"


def _verb(package: ModuleType) -> Callable[..., Any]:
    return getattr(package, package.__dict__["__verb__"])
