"""Numbers of a configuration with which no model can be trained.

transformers checks the types of settings, not their values: with a NaN or a rotary share of 7 it
makes a model, which fails in training for a reason that names no setting, or learns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from behemoth.support.errors import ArgumentError

__all__ = ["check_numbers"]

_ABOVE_0 = frozenset(
    {
        "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "initializer_range", "rope_theta",
        "rotary_emb_base", "rope_local_base_freq", "query_pre_attn_scalar",
        "attn_logit_softcapping", "final_logit_softcapping",
    }
)  # fmt: skip
_SHARES = frozenset({"rotary_pct", "partial_rotary_factor"})


def check_numbers(config: Mapping[str, Any], name: str) -> None:
    """Refuse numbers of a configuration that are NaN, infinite, or outside their range.

    Parameters
    ----------
    config : mapping
        Content of a ``config.json``. Values that are no numbers are left to transformers.
    name : str
        Name of the argument in errors.

    Raises
    ------
    ArgumentError
    """
    for path, key, value in _numbers(config, name):
        if key in _SHARES and not 0 <= value <= 1:
            raise ArgumentError(path, value, "a number from 0 to 1")
        if key in _ABOVE_0 and not value > 0:
            raise ArgumentError(path, value, "a number above 0")
        if isinstance(value, float) and not isfinite(value):
            raise ArgumentError(path, value, "a finite number")


def _numbers(config: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, float]]:
    """Yield the path, the key and the value of each number, also of those in tables and lists."""
    left: list[tuple[str, str, Any]] = [(name, "", config)]
    while left:  # a file may be nested more deeply than Python calls
        path, key, value = left.pop()
        if isinstance(value, Mapping):
            left += [(f"{path}.{own}", str(own), each) for own, each in value.items()]
        elif isinstance(value, list | tuple):
            left += [(path, key, each) for each in value]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, key, value
