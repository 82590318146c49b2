"""Gates: curves that a correct laboratory reproduces, each at a size that a CPU trains in a minute.

A gate says which models and trials it needs, and judges what they show by a rule that it states.
Its verdict comes from the numbers alone: where a small model cannot show a thing, the record says
so, with what was measured and the size at which it is expected.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .record import VERDICTS as VERDICTS, GateRecord as GateRecord, Seen as Seen
    from .registry import GATES as GATES, get_gates as get_gates
    from .run import GatesResult as GatesResult, run_gates as run_gates

_HOMES = {
    "record": "GateRecord Seen VERDICTS",
    "registry": "GATES get_gates",
    "run": "GatesResult run_gates",
}
__all__ = sorted(" ".join(_HOMES.values()).split())  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:  # PEP 562: nothing is loaded before it is used
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"behemoth.study.gates.{home}"), name)
    raise AttributeError(f"module 'behemoth.study.gates' has no attribute {name!r}")
