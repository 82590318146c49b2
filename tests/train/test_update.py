"""How a batch comes to the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from behemoth.model.build import build_model
from behemoth.model.loss import TrainingLoss
from behemoth.model.plain_loss import PlainLoss
from behemoth.model.sizes import Size
from behemoth.train import default_config
from behemoth.train.data import BlockStream, DataConfig
from behemoth.train.device import Machine
from behemoth.train.update import Updater


class Waiting(TorchDispatchMode):
    """Counts what looks for places, for whose number a program waits until a GPU is done."""

    def __init__(self):
        super().__init__()
        self.looks = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.looks += function is torch.ops.aten.nonzero.default
        return function(*args, **(kwargs or {}))


@pytest.fixture
def model(corpus):
    return build_model(Size("tiny", 32, 2, 2, 64), corpus.vocabulary_size, seed=1)


@pytest.fixture
def update(model, monkeypatch):
    """On a stand-in for a GPU, where copies stay on the CPU."""
    config = default_config("pico", steps=1, block_length=32, batch_size=4)
    made = Updater(model, config, Machine(torch.device("cpu"), torch.float32, 1), compiled=False)
    made.machine = Machine(torch.device("cuda:0"), torch.float32, 1)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, non_blocking: tensor.clone())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    return made


@pytest.mark.parametrize(
    ("loss", "masked"),
    [("fast", True), ("fast", False), ("plain", False)],
)
def test_a_step_does_not_wait_for_the_number_of_labels(
    corpus, model, update, loss, masked, monkeypatch
):
    batch = next(iter(BlockStream(corpus, DataConfig(32, 4, document_mask=masked))))
    if not masked:
        batch["labels"] = batch["input_ids"].masked_fill(batch["input_ids"] % 3 == 0, -100)
    moved = update._to_device(batch)
    monkeypatch.undo()
    module = TrainingLoss(model, fused=False) if loss == "fast" else PlainLoss(model)
    with Waiting() as waiting:
        value = module(moved)
    assert waiting.looks == 0
    with waiting:
        assert torch.equal(value, module(batch))
    assert waiting.looks == 1


def test_a_batch_in_which_all_tokens_have_loss_stays_one(corpus, update):
    batch = next(iter(BlockStream(corpus, DataConfig(32, 4))))
    moved = update._to_device(batch)
    assert moved["labels"] is moved["input_ids"]
    assert "label_places" not in moved
