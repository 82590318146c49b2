"""The last blocks of a model by themselves, where what comes before them is worked out once.

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
    """What blocks were called with.

    Attributes
    ----------
    streams : list of float [n, T, d]
        The residual stream into the first of them, if there is any.
    others : list of tuples of positional and keyword arguments
        All else, by block: masks, angles, positions. They are of a batch's shape, and not of its
        tokens, where a model is called without a mask.
    """

    streams: list[Tensor] = field(default_factory=list)
    others: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)


class LastBlocks:
    """The blocks of a model from one on, and its last norm.

    Parameters
    ----------
    model : nn.Module
    first : int
        From 0; as many as there are blocks, for the norm alone.
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
        """Note the calls of one forward of the whole model."""
        calls = Calls()

        def note(_: nn.Module, inputs: tuple[Any, ...], said: dict[str, Any]) -> None:
            named = {name: value for name, value in said.items() if name != "hidden_states"}
            calls.others.append((inputs[1:], named))
            if len(calls.others) == 1:
                calls.streams.append(inputs[0] if inputs else said["hidden_states"])

        with ExitStack() as hooks:
            for block in self._blocks:
                handle = block.register_forward_pre_hook(note, with_kwargs=True)
                hooks.callback(handle.remove)
            yield calls

    def __call__(self, stream_ntd: Tensor, calls: Calls) -> Tensor:
        """The residual stream behind them, before the norm: [n, T, d].

        Parameters
        ----------
        stream_ntd : float [n, T, d]
            What goes into the first of them.
        calls : Calls
            Of a batch of the same shape.
        """
        for block, (others, named) in zip(self._blocks, calls.others, strict=True):
            stream_ntd = block(stream_ntd, *others, **named)
            stream_ntd = stream_ntd[0] if isinstance(stream_ntd, tuple) else stream_ntd
        return stream_ntd

    def normed(self, stream: Tensor) -> Tensor:
        """The stream [..., d] as the head takes it."""
        return self._norm(stream)
