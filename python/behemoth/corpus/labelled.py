"""A corpus as tokens with their labels and positions, made in one call of the engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from behemoth import _gen

from .corpus import Corpus


def labelled_filler(corpus: Corpus) -> Callable[..., Any]:
    """Return `_gen.fill_labelled` of a corpus."""
    return partial(_gen.fill_labelled, corpus._native)
