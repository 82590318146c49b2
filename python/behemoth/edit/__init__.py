"""Editing and unlearning: requests, plans, methods and what they change."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .compiler import compile_plan as compile_plan
    from .export import export_litgpt as export_litgpt
    from .plan import EditPlan as EditPlan
    from .request import EditRequest as EditRequest

_HOMES = {
    "request": "EditRequest",
    "compiler": "compile_plan",
    "plan": "EditPlan",
    "export": "export_litgpt",
}
__all__ = sorted(" ".join(_HOMES.values()).split())  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:  # PEP 562: nothing is loaded before it is used
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"behemoth.edit.{home}"), name)
    raise AttributeError(f"module 'behemoth.edit' has no attribute {name!r}")
