"""Worlds of facts and the corpora that state them: specs, tokens, directories, probes, tables.

It knows the engine, numpy and polars, but not models: training, editing and evaluation build on it.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .background import Background as Background
    from .corpus import Corpus as Corpus
    from .encoding import encode_documents as encode_documents
    from .finish import finish_corpus as finish_corpus
    from .grammar import Grammar as Grammar
    from .grammar_check import check_grammar as check_grammar
    from .inspection import inspect as inspect, verify as verify
    from .mixture import Filler as Filler, Insert as Insert, Scheduled as Scheduled
    from .spec import *
    from .tables import facts as facts, import_ as import_
    from .tokenizer_training import train_tokenizer as train_tokenizer
    from .world import World as World
    from .write import gen as gen

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "background": "Background",
        "corpus": "Corpus",
        "encoding": "encode_documents",
        "finish": "finish_corpus",
        "grammar": "Grammar",
        "grammar_check": "check_grammar",
        "inspection": "inspect verify",
        "mixture": "Filler Insert Scheduled",
        "spec": "Composed Constant Correlated Documents Groups Independent Inverse OneToOne "
        "Questions Zipf ZipfExposures",
        "tables": "facts import_",
        "tokenizer_training": "train_tokenizer",
        "world": "World",
        "write": "gen",
    },
)
