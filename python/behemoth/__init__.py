"""Synthetic worlds of facts, written as token corpora of any size."""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .corpus import (
        Corpus as Corpus,
        World as World,
        facts as facts,
        gen as gen,
        import_ as import_,
        inspect as inspect,
        verify as verify,
    )
    from .corpus.spec import *
    from .support.errors import ArgumentError as ArgumentError, CorpusError as CorpusError

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "corpus": "Composed Constant Corpus Correlated Groups Independent Inverse OneToOne "
        "Questions World Zipf ZipfExposures facts gen import_ inspect verify",
        "support.errors": "ArgumentError CorpusError",
    },
)
