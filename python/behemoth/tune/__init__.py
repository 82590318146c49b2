"""Tuning: settings of a method, chosen on facts that nothing else looks at.

It knows methods, plans and the measures that a score is made of, and nothing of studies.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .choose import Tuned as Tuned, tune as tune

__all__, __dir__, __getattr__ = lazy(__name__, {"choose": "Tuned tune"}, verb="tune")
