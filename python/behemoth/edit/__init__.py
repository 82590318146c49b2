"""Editing and unlearning: requests, plans, methods and what they change."""

from typing import TYPE_CHECKING

from behemoth.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .compiler import compile_plan as compile_plan
    from .export import export_litgpt as export_litgpt
    from .plan import EditPlan as EditPlan
    from .request import EditRequest as EditRequest

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "request": "EditRequest",
        "compiler": "compile_plan",
        "plan": "EditPlan",
        "export": "export_litgpt",
    },
)
