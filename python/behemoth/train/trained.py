"""Trained parameters, and how weights follow from them: the weights, copies, or factors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from behemoth.model.architecture import Architecture

from .config import TrainConfig
from .optimiser import load_optimiser, make_optimiser, optimiser_tensors

__all__ = ["LowRank", "Masters", "Trained", "trained"]

_VALUE = "value"


def trained(model: nn.Module, config: TrainConfig) -> Trained:
    """Return the trained parameters of a model that the settings select.

    Parameters
    ----------
    model : nn.Module
        Model before the first step, on its device.
    config : TrainConfig
    """
    if config.lora_rank is not None:
        return LowRank(model, config)
    if next(model.parameters()).dtype != torch.float32:
        return Masters(model, config)
    return Trained(model, config)


class Trained:
    """All parameters of a model, trained directly.

    Attributes
    ----------
    optimiser : AdamW
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self._own = self._parameters(model, config)
        self.optimiser = make_optimiser(self._own, config)

    def _parameters(self, model: nn.Module, config: TrainConfig) -> dict[str, nn.Parameter]:
        """Return the parameters that the optimiser steps, by name."""
        return dict(model.named_parameters())

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters that the optimiser steps; their gradients are clipped."""
        return list(self._own.values())

    @property
    def adds(self) -> bool:
        """Whether `gather` is called for each part of a batch, to accumulate in float32.

        Weights in a shorter type would accumulate their gradients in that type.
        """
        return False

    def gather(self) -> None:
        """Move the gradients from the model's weights, and add them to those moved before."""

    def write(self) -> None:
        """Update the model's weights from the parameters."""

    def tensors(self, *, kept: bool = True) -> dict[str, Tensor]:
        """Return the tensors that training needs to go on, without the model's weights.

        See `optimiser_tensors` for `kept`.
        """
        return optimiser_tensors(self._own, self.optimiser, kept=kept)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the output of `tensors`; the model has its weights already."""
        load_optimiser(self._own, self.optimiser, tensors)


class _Following(Trained):
    """Parameters outside the model, whose values are saved with the optimiser's state."""

    _weights: dict[str, nn.Parameter]

    @property
    def adds(self) -> bool:
        """See `Trained.adds`."""
        return next(iter(self._weights.values())).dtype != torch.float32

    def _add(self, name: str, gradient: Tensor) -> None:
        own = self._own[name]
        own.grad = gradient if own.grad is None else own.grad + gradient

    def tensors(self, *, kept: bool = True) -> dict[str, Tensor]:
        """See `Trained.tensors`."""
        values = {f"{name}.{_VALUE}": own.detach() for name, own in self._own.items()}
        return {**super().tensors(kept=kept), **values} if kept else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Trained.load`."""
        with torch.no_grad():
            for name, own in self._own.items():
                own.copy_(tensors[f"{name}.{_VALUE}"])
        super().load(tensors)


class Masters(_Following):
    """Copies in float32 of weights in a shorter type; the weights are the rounded copies.

    In bfloat16 alone most updates would be lost: a weight changes by 1/256 of itself or not at all
    (Micikevicius et al., 2018, arXiv 1710.03740, section 3.1).
    """

    def _parameters(self, model: nn.Module, config: TrainConfig) -> dict[str, nn.Parameter]:
        self._weights = dict(model.named_parameters())
        return {name: nn.Parameter(own.detach().float()) for name, own in self._weights.items()}

    def gather(self) -> None:
        """See `Trained.gather`."""
        for name, weight in self._weights.items():
            if weight.grad is not None:
                self._add(name, weight.grad.float())
                weight.grad = None

    @torch.no_grad()
    def write(self) -> None:
        """See `Trained.write`."""
        for name, weight in self._weights.items():
            weight.copy_(self._own[name])


class LowRank(_Following):
    """W + (alpha / r) B A for the linear modules of all blocks (Hu et al., 2021, arXiv 2106.09685).

    The model holds the sum, so code that computes with its weights is independent of the factors.
    Their gradients follow from the gradient G of the sum: (alpha / r) G A^T for B, and
    (alpha / r) B^T G for A. The other parameters are not trained.
    """

    def _parameters(self, model: nn.Module, config: TrainConfig) -> dict[str, nn.Parameter]:
        assert config.lora_rank is not None
        rank = config.lora_rank
        self._scale = (rank if config.lora_alpha is None else config.lora_alpha) / rank
        architecture = Architecture.of(model)
        names = [f"{module}.weight" for module in architecture.linear_modules("both")]
        self._turned = architecture.transposed
        model.requires_grad_(False)
        self._weights = {name: model.get_parameter(name) for name in names}
        self._before = {name: weight.detach().clone() for name, weight in self._weights.items()}
        generator = torch.Generator().manual_seed(config.seed)
        found: dict[str, nn.Parameter] = {}
        for name, weight in self._weights.items():
            weight.requires_grad_()
            out, inputs = weight.shape[::-1] if self._turned else weight.shape
            bound = inputs**-0.5  # Kaiming's, with a = sqrt 5
            right = torch.rand(rank, inputs, generator=generator) * (2 * bound) - bound
            found[f"{name}.left"] = nn.Parameter(torch.zeros(out, rank, device=weight.device))
            found[f"{name}.right"] = nn.Parameter(right.to(weight.device))
        return found

    @torch.no_grad()
    def gather(self) -> None:
        """See `Trained.gather`."""
        for name, weight in self._weights.items():
            left_or, right_ri = self._own[f"{name}.left"], self._own[f"{name}.right"]
            if weight.grad is None:
                continue
            gradient_oi = (weight.grad.T if self._turned else weight.grad).float()
            self._add(f"{name}.left", self._scale * gradient_oi @ right_ri.T)
            self._add(f"{name}.right", self._scale * left_or.T @ gradient_oi)
            weight.grad = None

    @torch.no_grad()
    def write(self) -> None:
        """See `Trained.write`."""
        for name, weight in self._weights.items():
            change_oi = self._scale * self._own[f"{name}.left"] @ self._own[f"{name}.right"]
            change = change_oi.T if self._turned else change_oi
            weight.copy_(self._before[name].float() + change)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Trained.load`; the weights W are those of the start, which do not change."""
        super().load(tensors)
        self.write()
