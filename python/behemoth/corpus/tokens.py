"""Token ids that every word vocabulary has; the only place in Python that defines them.

The engine's vocabulary begins with them, whatever the world; a test compares the two.
"""

__all__ = ["END_OF_DOCUMENT", "PADDING", "PERIOD"]

END_OF_DOCUMENT = 0
"""Ends every document."""

PADDING = 1
"""Fills rows of unequal length; no corpus contains it."""

PERIOD = 2
"""Ends a sentence."""
