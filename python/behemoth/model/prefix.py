"""Keys and values of the first tokens of rows, which the tokens after them attend to.

Tokens attend only to those before them: what is changed at a token changes nothing before it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from transformers import Cache, GPTNeoXForCausalLM

__all__ = ["cache_argument", "unchanged"]


def cache_argument() -> str:
    """Return the name of the cache argument: `cache` since about transformers 5.20."""
    names = signature(GPTNeoXForCausalLM.forward).parameters
    return "cache" if "cache" in names else "past_key_values"


@contextmanager
def unchanged(cache: Cache | None) -> Generator[None]:
    """Restore the content of a dynamic cache on leaving, whatever a model added to it.

    Its layers replace their tensors by longer ones and change none in place, so this copies none,
    and gradients of what was computed inside stay valid.
    """
    before: list[dict[str, Any]] = [] if cache is None else [dict(vars(x)) for x in cache.layers]
    try:
        yield
    finally:
        if cache is not None:
            for layer, content in zip(cache.layers, before, strict=True):
                vars(layer).update(content)
