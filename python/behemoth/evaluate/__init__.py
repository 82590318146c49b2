"""Evaluation of edits against exact ground truth, and aggregation of the results.

It knows runs, plans and deltas, but not studies. Some functions share their names with modules; the
package exports the function.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .aggregate import aggregate as aggregate
    from .ask import ask as ask
    from .continued import continue_training as continue_training
    from .damage import damage as damage, damaged as damaged
    from .dose import doses as doses, ed50 as ed50, shortfall as shortfall
    from .forget_quality import forget_quality as forget_quality
    from .frame import (
        evaluate as evaluate,
        evaluate_model as evaluate_model,
        evaluate_pair as evaluate_pair,
    )
    from .geometry import geometry as geometry
    from .hints import ask_with_hints as ask_with_hints
    from .linear_probes import probe_objects as probe_objects
    from .membership import membership as membership, privacy as privacy
    from .metrics import METRICS as METRICS
    from .pruning import evaluate_pruned as evaluate_pruned, prune as prune
    from .quantisation import evaluate_quantised as evaluate_quantised, quantise as quantise
    from .relearning import relearn as relearn
    from .suites.compare import compare as compare
    from .suites.run import SUITES as SUITES, evaluate_suite as evaluate_suite
    from .suites.suite import SuiteResult as SuiteResult
    from .trace import Traced as Traced, trace as trace, trace_model as trace_model

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "aggregate": "aggregate",
        "ask": "ask",
        "continued": "continue_training",
        "damage": "damage damaged",
        "dose": "doses ed50 shortfall",
        "frame": "evaluate evaluate_model evaluate_pair",
        "geometry": "geometry",
        "hints": "ask_with_hints",
        "linear_probes": "probe_objects",
        "membership": "membership privacy",
        "metrics": "METRICS",
        "pruning": "evaluate_pruned prune",
        "quantisation": "evaluate_quantised quantise",
        "relearning": "relearn",
        "suites.compare": "compare",
        "suites.run": "SUITES evaluate_suite",
        "suites.suite": "SuiteResult",
        "trace": "Traced trace trace_model",
        "forget_quality": "forget_quality",
    },
    verb="evaluate",
)
