"""Synthetic worlds of facts, written as token corpora of any size."""

from typing import TYPE_CHECKING

from behemoth.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from ._gen import CorpusError as CorpusError, SpecError as SpecError
    from .corpus import Corpus as Corpus
    from .directory import gen as gen
    from .exchange import facts as facts, import_ as import_
    from .inspection import inspect as inspect, verify as verify
    from .spec import *
    from .world import World as World

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "_gen": "CorpusError SpecError",
        "corpus": "Corpus",
        "directory": "gen",
        "exchange": "facts import_",
        "inspection": "inspect verify",
        "spec": "Composed Constant Correlated Groups Independent Inverse OneToOne Questions Zipf "
        "ZipfExposures",
        "world": "World",
    },
)
