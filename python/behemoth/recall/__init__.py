"""Recall of a model: free generation, and which facts of a corpus a model reproduces.

It knows corpora and any causal language model, but not how the model was trained or edited; only
`sources` opens runs and edits.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .facts import recall_by_group as recall_by_group
    from .generation import generate as generate
    from .sources import recall as recall

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {"facts": "recall_by_group", "generation": "generate", "sources": "recall"},
    verb="recall",
)
