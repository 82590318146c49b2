"""The last blocks of a model alone, for when the blocks before them are computed only once.

Shape letters: n rows, T positions, d residual stream.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from behemoth.model.architecture import Architecture

__all__ = ["Calls", "LastBlocks"]


@dataclass
class Calls:
    """The arguments that blocks were called with.

    Attributes
    ----------
    streams : list of float [n, T, d]
        The residual stream into the first block, if there is one.
    others : list of tuples of positional and keyword arguments
        The other arguments of each block: masks, angles, positions, and a cache. If the model is
        called without a mask, they depend only on the shape of a batch and on what is in the cache.
    """

    streams: list[Tensor] = field(default_factory=list)
    others: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)


class LastBlocks:
    """The blocks of a model from `first` on, and its last norm.

    Parameters
    ----------
    model : nn.Module
    first : int
        Number of the first block, from 0; the number of blocks for only the norm.
    """

    def __init__(self, model: nn.Module, first: int) -> None:
        architecture = Architecture.of(model)
        self._blocks = [
            model.get_submodule(architecture.block(layer))
            for layer in range(first, architecture.layers)
        ]
        self._norm = model.get_submodule(architecture.final_norm)

    @contextmanager
    def noting(self) -> Generator[Calls]:
        """Record the calls of these blocks in one forward pass of the complete model."""
        calls = Calls()

        def note(_: nn.Module, inputs: tuple[Any, ...], said: dict[str, Any]) -> None:
            named = {name: value for name, value in said.items() if name != "hidden_states"}
            calls.others.append((inputs[1:], named))
            if len(calls.others) == 1:
                calls.streams.append(inputs[0] if inputs else said["hidden_states"])

        with ExitStack() as hooks:
            for block in self._blocks:
                hooks.enter_context(block.register_forward_pre_hook(note, with_kwargs=True))
            yield calls

    def __call__(self, stream_ntd: Tensor, calls: Calls) -> Tensor:
        """Return the residual stream after the blocks, before the norm: [n, T, d].

        Parameters
        ----------
        stream_ntd : float [n, T, d]
            Input of the first block.
        calls : Calls
            Calls recorded with rows of the same length: with as many, or with one, whose arguments
            serve any number of rows. Blocks would add the keys and values of these tokens to a
            cache among the arguments: enter `unchanged(cache)` for each call.
        """
        for block, (others, named) in zip(self._blocks, calls.others, strict=True):
            stream_ntd = block(stream_ntd, *others, **named)
            stream_ntd = stream_ntd[0] if isinstance(stream_ntd, tuple) else stream_ntd
        return stream_ntd

    def normed(self, stream: Tensor) -> Tensor:
        """Return the stream [..., d] after the last norm, the input of the head."""
        return self._norm(stream)
