"""One update of the weights: gradients of batches are accumulated, clipped and applied.

The order of updates and of everything between them is left to `loop`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from behemoth.model.labels import IGNORED
from behemoth.model.loss import training_loss
from behemoth.model.plain_loss import PlainLoss

from .config import TrainConfig
from .data import Batch
from .device import Machine
from .sharding import shard_model, whole
from .trained import trained

__all__ = ["Updater"]


class Updater:
    """Updates a model with its own optimiser.

    Parameters
    ----------
    model : PreTrainedModel
        Model on the machine's device.
    config : TrainConfig
    machine : Machine
    compiled : bool
    """

    def __init__(
        self, model: PreTrainedModel, config: TrainConfig, machine: Machine, *, compiled: bool
    ) -> None:
        self.config, self.machine = config, machine
        if machine.shares(config):
            # Calls the model's own blocks, which gather their parameters when they are called.
            self.module: nn.Module = PlainLoss(model, machine.dtype, in_rows=False)
            shard_model(model, self.module, machine)
            self.trained = trained(model, config)
        else:
            # First, since it decides which of the model's parameters need gradients.
            self.trained = trained(model, config)
            self.module = machine.prepare(training_loss(model, machine.dtype, compiled=compiled))

    def __call__(self, micro: Iterator[Batch], rate: float) -> tuple[Tensor, Tensor, bool | Tensor]:
        """Make one update.

        Parameters
        ----------
        micro : iterator of Batch
            Source of the `accumulate` batches of this update.
        rate : float
            Learning rate.

        Returns
        -------
        tuple of float32 [], float32 [] and bool []
            Mean loss of this process's share, norm of the gradient before clipping, and whether the
            batches of all processes have any label; without one, loss and gradient are 0.
        """
        config, machine = self.config, self.machine
        batches = [next(micro) for _ in range(config.accumulate)]
        labels, labelled = self._labels(batches)
        optimiser = self.trained.optimiser
        for group in optimiser.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=machine.device)
        for place, batch in enumerate(batches):
            batch = self._to_device(batch)
            is_last = place + 1 == len(batches)
            # Gradients gathered part by part must be averaged over the processes first.
            averages = is_last or self.trained.adds
            with nullcontext() if averages else machine.accumulating(self.module):
                loss = self.module(batch) / labels
                loss.backward()
            if averages:
                self.trained.gather()
            total += loss.detach()
        limit = config.clip or float("inf")
        norm = whole(torch.nn.utils.clip_grad_norm_(self.trained.parameters, limit))
        optimiser.step()
        optimiser.zero_grad()
        self.trained.write()
        return total, norm, labelled

    def _labels(self, batches: list[Batch]) -> tuple[float | Tensor, bool | Tensor]:
        """Return the mean number of labels per process, over which gradients are averaged.

        The number of all processes counts as at least one. The second value is whether it is.
        """
        if all(batch["labels"] is batch["input_ids"] for batch in batches):
            return float(sum(batch["labels"][:, 1:].numel() for batch in batches)), True
        count = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in batches)
        if self.machine.world_size == 1:
            return float(max(1, count)), count > 0
        total = self.machine.total(torch.tensor(float(count), device=self.machine.device))
        return total.clamp(min=1.0) / self.machine.world_size, total > 0

    def _to_device(self, batch: Batch) -> Batch:
        if self.machine.device.type == "cpu":
            return batch
        if batch["labels"] is not batch["input_ids"]:
            # While the labels are on the CPU: on a GPU the program would wait for their number.
            places = (batch["labels"][:, 1:] != IGNORED).flatten().nonzero()[:, 0]
            batch = {**batch, "label_places": places.pin_memory()}
        moved = {
            name: tensor.to(self.machine.device, non_blocking=True)
            for name, tensor in batch.items()
            if name != "labels" or tensor is not batch["input_ids"]
        }
        # Identity of labels and ids is what marks a batch in which all tokens have loss.
        moved.setdefault("labels", moved["input_ids"])
        return moved
