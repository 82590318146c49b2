"""All gates, by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

from behemoth.support.errors import ArgumentError

from .capacity import Capacity
from .damage import Damage
from .dilution import Dilution
from .dose import Doses
from .forgetting import Forgetting
from .inversion import Inversion
from .paraphrases import Paraphrases
from .plateau import Plateau
from .rank_and_part import RankAndPart
from .recall_threshold import RecallThreshold
from .record import Gate
from .timing import Timing
from .two_hop import TwoHop

__all__ = ["GATES", "get_gates"]

GATES: tuple[Gate, ...] = (
    RecallThreshold(),
    Capacity(),
    Plateau(),
    Paraphrases(),
    Inversion(),
    Forgetting(),
    Doses(),
    Damage(),
    RankAndPart(),
    Dilution(),
    Timing(),
    TwoHop(),
)
"""All gates in the order of their numbers, at the size for two CPU cores."""


def get_gates(numbers: int | Sequence[int] | None = None) -> list[Gate]:
    """Return gates by number, or by numbers, in this order; all by default.

    Raises
    ------
    ArgumentError
        If a number is not that of a gate, or occurs twice.

    Examples
    --------
    >>> [gate.number for gate in get_gates([7, 1])]
    [7, 1]
    """
    known = {gate.number: gate for gate in GATES}
    if numbers is None:
        return list(GATES)
    given = numbers if isinstance(numbers, Iterable) else (numbers,)
    chosen: dict[int, Gate] = {}
    for number in given:
        is_whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not is_whole or int(number) not in known:
            raise ArgumentError("gate", number, f"numbers of gates, {min(known)} to {max(known)}")
        if number in chosen:
            raise ArgumentError("gate", number, "each number once")
        chosen[int(number)] = known[int(number)]
    return list(chosen.values())
