"""The pretended GPU of `pretended_cuda.py`: planted faults are caught, and what is right passes."""

from __future__ import annotations

import copy
import gc
import runpy
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

tools = runpy.run_path(str(Path(__file__).with_name("pretended_cuda.py")))
MixedDevicesError = tools["MixedDevicesError"]
REAL = torch.cuda.is_available()


@pytest.fixture
def pretended():
    with tools["PretendedCuda"]() as mode:
        yield mode


def draw(*shape, device="cuda"):
    return torch.randn(*shape).to(device)


FAULTS = {
    "a tensor made without device=": lambda: draw(3) + torch.ones(3),
    "the same, in place": lambda: torch.ones(3).add_(draw(3)),
    "the same, of what grew from another": lambda: draw(3) * torch.arange(6)[::2].float(),
    "a number on the GPU among values on the CPU": lambda: torch.ones(3) * draw(3).sum(),
    "a product": lambda: draw(2, 3) @ torch.ones(3, 2),
    "a layer that was not moved": lambda: nn.Linear(3, 2)(draw(1, 3)),
    "input that was not moved": lambda: nn.Linear(3, 2).to("cuda")(torch.ones(1, 3)),
    "tokens that were not moved": lambda: F.embedding(torch.tensor([1]), draw(4, 2)),
    "labels that were not moved": lambda: F.cross_entropy(draw(2, 4), torch.tensor([0, 1])),
    "a mask that was not moved": lambda: draw(3).masked_fill(torch.tensor([True, False, True]), 0),
    "a mask of where": lambda: torch.where(torch.ones(3) > 0, draw(3), 0.0),
    "a place to pick": lambda: draw(2, 3).gather(1, torch.tensor([[0], [1]])),
    "a place to add": lambda: draw(3).index_add_(0, torch.tensor([1]), draw(1)),
    "an index on the GPU": lambda: torch.ones(3)[torch.tensor([0], device="cuda")],
    "values to put": lambda: draw(3).__setitem__(torch.tensor([0, 1]), torch.ones(2)),
    "tensors to join": lambda: torch.cat([draw(3), torch.ones(3)]),
    "numbers to join": lambda: torch.stack([draw(3).sum(), torch.tensor(1.0)]),
    "a buffer for the result": lambda: torch.add(draw(3), 1, out=torch.empty(3)),
    "a list of tensors": lambda: torch._foreach_add([draw(3)], [torch.ones(3)]),
    "numpy()": lambda: draw(3).numpy(),
    "numpy.asarray": lambda: np.asarray(draw(3)),
    "a generator of the CPU": lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
    "the same, in place ": lambda: draw(3).normal_(generator=torch.Generator()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_gpu_refuses_is_refused(pretended, fault):
    with pytest.raises(MixedDevicesError):
        FAULTS[fault]()


@pytest.mark.gpu
@pytest.mark.skipif(not REAL, reason="no CUDA device")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_gpu_refuses_it(fault):
    with pytest.raises((RuntimeError, TypeError)):
        FAULTS[fault]()


def put(own, index, value):
    own[index] = value
    return own


RIGHT = {
    "a number of the CPU": lambda: draw(3) * torch.tensor(2.0) + 1,
    "an index of the CPU": lambda: draw(3)[torch.tensor([0, 2])],
    "a mask of the CPU as index": lambda: draw(3)[torch.tensor([True, False, True])],
    "values to a slice": lambda: put(draw(3), slice(1, 3), torch.ones(2)),
    "a number to picked places": lambda: put(draw(3), torch.tensor([0]), torch.tensor(1.0)),
    "a copy": lambda: draw(3).copy_(torch.ones(3)),
    "like another": lambda: draw(3) + torch.zeros_like(draw(3)) + draw(3).new_ones(3),
    "to where another is": lambda: draw(3) + torch.ones(3).to(draw(3)),
    "made there": lambda: torch.zeros(3, device="cuda") + torch.tensor([1, 2, 3], device="cuda"),
    "a device as context": lambda: on_cuda(lambda: torch.ones(3)),
    "numbers of numpy, sent": lambda: torch.from_numpy(np.ones(3)).to("cuda", torch.float32),
    "a view": lambda: draw(2, 3).T.reshape(-1)[1:3] + draw(2),
    "half precision": lambda: autocast(lambda: nn.Linear(3, 2).to("cuda")(draw(1, 3))),
    "a copy of a module": lambda: copy.deepcopy(nn.Linear(3, 2).to("cuda"))(draw(1, 3)),
}


def on_cuda(make):
    with torch.device("cuda"):
        return make()


def autocast(make):
    with torch.autocast("cuda", torch.bfloat16):
        return make()


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(pretended, name):
    assert RIGHT[name]().device == torch.device("cuda", 0)


@pytest.mark.gpu
@pytest.mark.skipif(not REAL, reason="no CUDA device")
@pytest.mark.parametrize("name", RIGHT)
def test_a_gpu_passes_it(name):
    assert RIGHT[name]().device == torch.device("cuda", 0)


def test_the_way_back_is_a_copy(pretended):
    there = draw(3)
    assert there.is_cuda and not there.is_cpu and there.get_device() == 0
    back = there.cpu()
    assert (back.device.type, back.is_cpu, back.get_device()) == ("cpu", True, -1)
    back.zero_()
    assert there.abs().sum() > 0 and back.numpy().sum() == 0
    assert there.to("cuda:0") is there and there.cpu().to("cpu").device.type == "cpu"
    assert there[0].item() == there.tolist()[0]  # values are brought back one by one


def test_training_stays_on_the_device(pretended):
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).cuda()
    for options in ({"fused": True}, {"foreach": True}, {}):
        optimiser = torch.optim.AdamW(module.parameters(), lr=0.1, **options)
        for _ in range(2):
            loss = module(draw(5, 3)).square().mean()
            loss.backward()
            assert module[0].weight.grad.device.type == "cuda"
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
    assert {own.device.type for own in module.parameters()} == {"cuda"}
    loss = module(draw(5, 3)).sum()
    [slope] = torch.autograd.grad(loss, [module[2].bias])
    with pytest.raises(MixedDevicesError):
        slope + torch.ones(1)


def test_threads_have_no_device_and_their_tensors_go_with_either(pretended):
    made = []
    thread = threading.Thread(target=lambda: made.append(torch.empty(3, pin_memory=True).zero_()))
    thread.start()
    thread.join()
    assert (draw(3) + made[0]).is_cuda and (torch.ones(3) + made[0]).is_cpu
    assert made[0].to("cuda", non_blocking=True).is_cuda


def test_what_is_gone_leaves_nothing_behind(pretended):
    gc.collect()
    before = len(pretended._homes)
    for _ in range(10):
        draw(100)
    gc.collect()
    assert len(pretended._homes) == before


def test_afterwards_torch_is_as_it_was():
    names = ("is_available", "device_count", "mem_get_info", "get_rng_state", "device")
    before = [getattr(torch.cuda, name) for name in names], torch.empty, torch.autocast
    with tools["PretendedCuda"]():
        assert torch.cuda.is_available() and torch.cuda.device_count() == 1
        kept = draw(2)
    assert ([getattr(torch.cuda, name) for name in names], torch.empty, torch.autocast) == before
    assert torch.cuda.is_available() == REAL
    assert kept.device.type == "cpu"  # which it was all along
    with torch.device("meta"):
        assert torch.empty(2).is_meta
