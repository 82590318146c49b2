"""Gates: curves that a correct laboratory reproduces, each at a size that a CPU trains in a minute.

A gate says which models and trials it needs, and judges what they show by a rule that it states.
Its verdict comes from the numbers alone: where a small model cannot show a thing, the record says
so, with what was measured and the size at which it is expected.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .record import VERDICTS as VERDICTS, GateRecord as GateRecord, Seen as Seen
    from .registry import GATES as GATES, get_gates as get_gates
    from .run import GatesResult as GatesResult, run_gates as run_gates

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "record": "GateRecord Seen VERDICTS",
        "registry": "GATES get_gates",
        "run": "GatesResult run_gates",
    },
)
