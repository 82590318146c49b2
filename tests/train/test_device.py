"""In which type a device trains when nothing is said."""

import os
from types import SimpleNamespace

import pytest
import torch

from behemoth import ArgumentError
from behemoth.train import TrainConfig, default_config, device
from behemoth.train.device import Machine
from behemoth.train.sharding import Whole


@pytest.mark.parametrize(
    ("amx", "capability", "wanted"),
    [
        (True, "AVX512", torch.bfloat16),
        (True, "AVX2", torch.float32),
        (True, "DEFAULT", torch.float32),
        (False, "AVX512", torch.float32),
    ],
)
def test_auto_is_bfloat16_only_where_its_kernels_are_in_use(monkeypatch, amx, capability, wanted):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert Machine.find(TrainConfig(device="cpu", precision="auto")).dtype is wanted


@pytest.mark.parametrize("name", ["WORLD_SIZE", "LOCAL_WORLD_SIZE"])
@pytest.mark.parametrize("value", ["x", "", "0", "-1"])
def test_what_a_launcher_says_is_a_number(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match=f"'{name}': got {value or chr(39) * 2}, allowed: a wh"):
        Machine.find(default_config("nano", device="cpu"))


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "MASTER_PORT"])
def test_what_a_launcher_says_of_several_processes_is_a_number(monkeypatch, name):
    for variable in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv(name, "x")
    Machine.find(default_config("nano", device="cpu"))  # a single process reads none of them
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ArgumentError, match=f"'{name}': got x, allowed: a whole number from"):
        Machine.find(default_config("nano", device="cpu"))


@pytest.mark.parametrize(
    ("processes", "seen", "tried"), [("1", 2, "cuda"), ("2", 2, "cuda:1"), ("2", 1, "cuda:0")]
)
def test_a_process_tries_its_own_gpu_alone(monkeypatch, processes, seen, tried):
    class Tried(Exception):  # noqa: N818
        pass

    def find(name):
        raise Tried(name)

    for variable, value in (("WORLD_SIZE", processes), ("LOCAL_RANK", "1"), ("RANK", "1")):
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(device, "find_device", find)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    with pytest.raises(Tried, match=f"^{tried}$"):
        Machine.find(default_config("nano", device="cuda"))


@pytest.mark.parametrize(
    ("place", "processes", "ids"),
    [("cpu", 1, ()), ("cpu", 2, None), ("cuda:0", 1, ()), ("cuda:0", 2, [torch.device("cuda:0")])],
)
def test_gradients_are_averaged_on_the_gpu_that_a_process_sees(monkeypatch, place, processes, ids):
    """The second process of a machine whose launcher shows each one GPU, by a stand-in."""
    given, moved = [], []

    def averaging(module, device_ids):
        given.append(device_ids)
        return module

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", averaging)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moved.append(str(device)))
    machine = Machine(
        torch.device(place), torch.float32, 1, rank=1, world_size=processes, local_rank=1,
        accelerator=object() if processes > 1 else None,
    )  # fmt: skip
    module = torch.nn.Linear(2, 2)
    assert machine.prepare(module) is module
    assert moved == [place]
    assert given == ([] if ids == () else [ids])


@pytest.mark.parametrize("fills", [True, False])
def test_memory_is_not_filled_on_a_gpu_and_all_settings_are_restored(monkeypatch, fills):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", fills)
    machine = Machine(torch.device("cuda:0"), torch.float32, torch.get_num_threads())
    with machine.settings():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()  # so nothing is promised
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory is fills


@pytest.mark.parametrize("given", [None, ":16:8"])
def test_the_workspace_of_cublas_is_set_for_a_gpu_and_not_left_behind(monkeypatch, given):
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv(name, given)
    machine = Machine(torch.device("cuda:0"), torch.float32, torch.get_num_threads())
    with machine.settings():
        assert os.environ[name] == (given or ":4096:8")
    assert os.environ.get(name) == given


def test_a_failed_step_leaves_the_gradients_averaged():
    seen = []
    module = SimpleNamespace(set_requires_gradient_sync=seen.append)
    machine = Machine(torch.device("cpu"), torch.float32, 1, accelerator=object())
    with pytest.raises(MemoryError), machine.accumulating(module):
        raise MemoryError
    assert seen == [False, True]


def test_a_failed_measurement_leaves_no_model_on_the_device(monkeypatch):
    seen = []
    machine = Machine(torch.device("cuda:1"), torch.float32, 1)
    whole = Whole(torch.nn.Linear(2, 2), machine, shared=True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: seen.append(str(device)))
    with pytest.raises(MemoryError), whole.placed():
        raise MemoryError
    assert seen == ["cuda:1", "cpu"]
