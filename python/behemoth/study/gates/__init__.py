"""Gates: known results, each tested at a size that a CPU can run.

A gate specifies the models and trials it needs, measures them one (world, initialisation) at a
time, and judges intervals over these by a fixed rule. Its verdict follows from the numbers alone:
an effect that a small model does not show is reported as not reproduced, and as not decidable only
if the interval includes the effect that would count.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .conditions import VERDICTS as VERDICTS, Condition as Condition, Held as Held
    from .record import Gate as Gate, GateRecord as GateRecord
    from .registry import GATES as GATES, get_gates as get_gates
    from .run import GatesResult as GatesResult, run_gates as run_gates

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "conditions": "Condition Held VERDICTS",
        "record": "Gate GateRecord",
        "registry": "GATES get_gates",
        "run": "GatesResult run_gates",
    },
)
