"""Editing and unlearning: methods that apply a plan to a run, singly, stacked or in sequence.

It knows plans, deltas and models, but not how the outcome is evaluated.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .apply import Edited as Edited, edit as edit
    from .contract import Promise as Promise, check_method as check_method
    from .errors import MethodError as MethodError
    from .protocol import EditContext as EditContext, EditMethod as EditMethod
    from .record import EditRecord as EditRecord, read_edit as read_edit
    from .registry import get_method as get_method, method_names as method_names
    from .settings import TunedSettings as TunedSettings, tuned_settings as tuned_settings

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "apply": "Edited edit",
        "contract": "Promise check_method",
        "errors": "MethodError",
        "protocol": "EditContext EditMethod",
        "record": "EditRecord read_edit",
        "registry": "get_method method_names",
        "settings": "TunedSettings tuned_settings",
    },
    verb="edit",
)
