"""Token ids that every vocabulary has: the one place that says them in Python.

The engine's vocabulary begins with them, whatever the world; a test holds the two together.
"""

__all__ = ["END_OF_DOCUMENT", "PADDING", "PERIOD"]

END_OF_DOCUMENT = 0
"""Ends every document."""

PADDING = 1
"""Stands in no corpus: fills rows of unequal length."""

PERIOD = 2
"""Ends a sentence."""
