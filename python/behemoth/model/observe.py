"""Inputs and outputs of modules, kept while a model runs.

Modules are observed by hooks, so a model's own forward pass stays the one that is called.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn

__all__ = ["inputs_of", "outputs_of", "watching", "with_offsets"]

Key = TypeVar("Key", bound=Hashable)


@contextmanager
def watching(module: nn.Module) -> Generator[dict[str, Tensor]]:
    """Keep a module's last ``input`` and ``output`` while entered."""
    seen: dict[str, Tensor] = {}

    def keep(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen["input"] = inputs[0]
        seen["output"] = _first(output)

    with module.register_forward_hook(keep):
        yield seen


@contextmanager
def inputs_of(module: nn.Module) -> Generator[list[Tensor]]:
    """Keep the input of each call of a module, in order, while entered."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    with module.register_forward_pre_hook(keep):
        yield seen


@contextmanager
def outputs_of(modules: Mapping[Key, nn.Module]) -> Generator[dict[Key, Tensor]]:
    """Keep the last output of each module, by its key, while entered."""
    seen: dict[Key, Tensor] = {}
    with ExitStack() as hooks:
        for key, module in modules.items():

            def keep(_: nn.Module, __: Any, output: Any, key: Key = key) -> None:
                seen[key] = _first(output)

            hooks.enter_context(module.register_forward_hook(keep))
        yield seen


@contextmanager
def with_offsets(
    model: nn.Module, names: Sequence[str]
) -> Generator[dict[str, tuple[Tensor, Tensor]]]:
    """Keep inputs of modules, and add zeros to their outputs for gradients with respect to them.

    Yields
    ------
    dict of str to (float [n, T, i], float [n, T, o])
        By name of the module: its last input, without a gradient, and the zeros that were added to
        the output, with one.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with ExitStack() as hooks:
        for name in names:

            def keep(_: Any, inputs: Any, output: Tensor, name: str = name) -> Tensor:
                offset = output.new_zeros(output.shape, requires_grad=True)
                seen[name] = (inputs[0].detach(), offset)
                return output + offset

            hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        yield seen


def _first(output: Any) -> Tensor:
    """Return the output of a module, or the first of several: in some versions of a block."""
    return output[0] if isinstance(output, tuple) else output
