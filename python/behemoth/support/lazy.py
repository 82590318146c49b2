"""Public names of a package that are loaded when they are used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from .extras import needed


def lazy(
    package: str, homes: Mapping[str, str]
) -> tuple[list[str], Callable[[], list[str]], Callable[[str], object]]:
    """Give a package its ``__all__``, ``__dir__`` and ``__getattr__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping
        Modules of the package, with the names that each brings, separated by spaces.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with needed():
            return getattr(import_module(f"{package}.{home_of[name]}"), name)

    return sorted(home_of), lambda: sorted(home_of), load
