"""Edit plans: the facts to change and their new objects, the training mixture, and the probes.

It knows worlds and corpora, but not models or methods: a plan is the same for all of them.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .compile import compile_plan as compile_plan, plan as plan
    from .edit_plan import EditPlan as EditPlan, PlanWarning as PlanWarning
    from .request import EditRequest as EditRequest

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {"compile": "compile_plan plan", "edit_plan": "EditPlan PlanWarning", "request": "EditRequest"},
    verb="plan",
)
