"""Editing and unlearning: requests, plans, methods and what they change."""

from typing import TYPE_CHECKING

from behemoth.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .apply import edit as edit, read_edit as read_edit
    from .compiler import compile_plan as compile_plan
    from .delta import EditDelta as EditDelta
    from .export import export_litgpt as export_litgpt
    from .plan import EditPlan as EditPlan
    from .protocol import EditContext as EditContext, EditMethod as EditMethod
    from .registry import get_method as get_method, method_names as method_names
    from .request import EditRequest as EditRequest
    from .sequence import edit_in_sequence as edit_in_sequence

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "apply": "edit read_edit",
        "compiler": "compile_plan",
        "delta": "EditDelta",
        "export": "export_litgpt",
        "plan": "EditPlan",
        "protocol": "EditContext EditMethod",
        "registry": "get_method method_names",
        "request": "EditRequest",
        "sequence": "edit_in_sequence",
    },
)
