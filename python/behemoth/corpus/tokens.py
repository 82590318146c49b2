"""Token ids that every vocabulary of templates begins with; defined only here in Python.

The engine defines the same ids, whatever the world; a test compares the two. The words of a grammar
have the same end and padding.
"""

__all__ = ["END_OF_DOCUMENT", "PADDING", "PERIOD"]

END_OF_DOCUMENT = 0
"""Ends every document."""

PADDING = 1
"""Fills rows of unequal length, where nothing looks: an external tokenizer may have a word there.

No corpus without such a tokenizer contains it.
"""

PERIOD = 2
"""Ends a sentence."""
