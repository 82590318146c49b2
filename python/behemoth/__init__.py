"""Synthetic worlds of facts, written as token corpora of any size."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from ._gen import CorpusError as CorpusError, SpecError as SpecError
    from .corpus import Corpus as Corpus
    from .directory import gen as gen
    from .exchange import facts as facts, import_ as import_
    from .inspection import inspect as inspect, verify as verify
    from .spec import *
    from .world import World as World

_HOMES = {"_gen": "CorpusError SpecError", "corpus": "Corpus", "world": "World",
          "directory": "gen", "inspection": "inspect verify", "exchange": "facts import_",
          "spec": "Composed Constant Correlated Groups Independent Inverse OneToOne Questions Zipf ZipfExposures"}  # fmt: skip # noqa: E501
__all__ = sorted(" ".join(_HOMES.values()).split())  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:  # PEP 562: nothing is loaded before it is used
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"behemoth.{home}"), name)
    raise AttributeError(f"module 'behemoth' has no attribute {name!r}")
