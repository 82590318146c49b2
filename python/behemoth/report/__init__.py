"""The report of a study: one HTML file that opens with no network, and its charts as files."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same name again, for type checkers and editors
    from .write import write_report as write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> object:  # PEP 562: altair is loaded when it is used
    if name == "write_report":
        return import_module("behemoth.report.write").write_report
    raise AttributeError(f"module 'behemoth.report' has no attribute {name!r}")
