"""Synthetic worlds of facts, models trained on them, and edits of what the models know.

This module exports the public classes and functions of the package; each is loaded on first use.
The packages `train`, `plan`, `edit`, `tune`, `evaluate`, `study`, `recall`, `export` and `report`
are also functions: ``bh.train(...)`` trains, and ``bh.train.TrainConfig`` holds its settings.
"""

from typing import TYPE_CHECKING

from behemoth.corpus import __all__ as _corpus
from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .corpus import (
        Background as Background,
        Corpus as Corpus,
        Filler as Filler,
        Grammar as Grammar,
        Insert as Insert,
        Scheduled as Scheduled,
        World as World,
        check_grammar as check_grammar,
        encode_documents as encode_documents,
        facts as facts,
        finish_corpus as finish_corpus,
        gen as gen,
        import_ as import_,
        train_tokenizer as train_tokenizer,
    )
    from .corpus.spec import *
    from .delta import EditDelta as EditDelta
    from .edit import EditRecord as EditRecord, edit as edit, get_method as get_method
    from .edit.registry import methods as methods
    from .evaluate import (
        SuiteResult as SuiteResult,
        ask as ask,
        compare as compare,
        evaluate as evaluate,
        evaluate_suite as evaluate_suite,
        trace as trace,
    )
    from .export import export as export
    from .inspection import inspect as inspect
    from .loading import load as load
    from .plan import EditPlan as EditPlan, EditRequest as EditRequest, plan as plan
    from .recall import recall as recall
    from .report import write_report as report  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from .store import StoreError as StoreError, pull as pull, push as push
    from .study import Results as Results, Study as Study, study as study
    from .support.bars import bars as bars
    from .support.digests import unchecked as unchecked
    from .support.errors import ArgumentError as ArgumentError, CorpusError as CorpusError
    from .support.version import __version__ as __version__
    from .train import (
        Run as Run,
        TrainConfig as TrainConfig,
        TrainResult as TrainResult,
        default_config as default_config,
        train as train,
    )
    from .tune import tune as tune
    from .verification import verify as verify
    from .zoo import Zoo as Zoo, make_zoo as make_zoo

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "": "edit evaluate export plan recall report study train tune",
        "corpus": " ".join(_corpus),
        "delta": "EditDelta",
        "edit": "EditRecord get_method",
        "edit.registry": "methods",
        "evaluate": "SuiteResult ask compare evaluate_suite trace",
        "inspection": "inspect",
        "loading": "load",
        "plan": "EditPlan EditRequest",
        "store": "StoreError pull push",
        "study": "Results Study",
        "support.bars": "bars",
        "support.digests": "unchecked",
        "support.errors": "ArgumentError CorpusError",
        "support.version": "__version__",
        "train": "Run TrainConfig TrainResult default_config",
        "verification": "verify",
        "zoo": "Zoo make_zoo",
    },
    meant={"generate": "gen", "open": "load"},
)
