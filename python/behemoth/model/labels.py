"""Labels: the token that is to come at each place, or none."""

__all__ = ["IGNORED"]

IGNORED = -100
"""A label without loss, as torch and transformers have it."""
