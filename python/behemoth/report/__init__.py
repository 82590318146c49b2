"""The report of a study: one HTML file that needs no network, and its charts as files.

It knows the analysis of a study and how to draw it, and computes no statistics of its own.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same name again, for type checkers and editors
    from .write import write_report as write_report

__all__, __dir__, __getattr__ = lazy(__name__, {"write": "write_report"}, verb="write_report")
