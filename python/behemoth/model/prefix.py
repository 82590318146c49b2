"""Keys and values of the first tokens of rows, which the tokens after them attend to.

Tokens attend only to those before them: what is changed at a token changes nothing before it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

from transformers import Cache, GPTNeoXForCausalLM

__all__ = ["cache_argument", "cache_of", "unchanged"]

_NAMES = ("cache", "past_key_values")  # of the argument: since about transformers 5.20, and before


def cache_argument() -> str:
    """Return the name of the cache argument in the installed version of transformers."""
    known = signature(GPTNeoXForCausalLM.forward).parameters
    return next(name for name in _NAMES if name in known)


def cache_of(said: Mapping[str, Any]) -> Cache | None:
    """Return the cache that the named arguments of a call pass, or None."""
    return next((said[name] for name in _NAMES if said.get(name) is not None), None)


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
