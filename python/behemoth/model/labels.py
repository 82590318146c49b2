"""Labels: the expected token at each position, or none."""

__all__ = ["IGNORED"]

IGNORED = -100
"""Label of a position without loss, as in torch and transformers."""
