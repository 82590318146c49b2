"""Corpora, plans and edited models in the formats of other tools: one module for each format.

It knows corpora, plans and edits, and the formats that other tools publish, but none of their
packages.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .formats import (
        BRIDGES as BRIDGES,
        FORMATS as FORMATS,
        MODELS as MODELS,
        get_format as get_format,
    )
    from .inspection import inspect_export as inspect_export, verify_export as verify_export
    from .run import Exported as Exported, export as export

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "formats": "BRIDGES FORMATS MODELS get_format",
        "inspection": "inspect_export verify_export",
        "run": "Exported export",
    },
    verb="export",
)
