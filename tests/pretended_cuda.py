"""A GPU that is not there: tensors in main memory that say they are on it, and refuse to be mixed.

Code that forgets a `device=` passes every test on a CPU and fails on a GPU. While `PretendedCuda`
is entered, torch claims one CUDA device. Tensors that are sent there are computed on by the CPU,
to the same numbers, but are marked; what a GPU would refuse raises `MixedDevicesError`:

- operations on tensors of both devices, but for what CUDA allows: numbers (0-dimensional tensors)
  of the CPU among tensors of the GPU, indices on the CPU, and `copy_`;
- `numpy()` of a tensor of the GPU;
- a generator of random numbers of the CPU for a tensor of the GPU.

A mark belongs to a storage, so views share it and `.data = ` carries it along. What a thread that
has not entered it makes, and what torch makes within C++ (gradients, until they are asked for), has
no mark and goes with either device. It proves nothing about CUDA's own arithmetic, kernels or
memory, and knows neither `torch.Generator("cuda")` nor streams nor several GPUs.
"""

from __future__ import annotations

import contextlib
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_iter

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
NAME = "NVIDIA H100 80GB HBM3"
FREE, ALL = 60 << 30, 80 << 30  # bytes

# Told of a tensor without touching its values; most calls are of these, and they cost less so.
TOLD = {
    "__format__", "__hash__", "__len__", "__repr__", "data_ptr", "dim", "element_size",
    "is_complex", "is_contiguous", "is_floating_point", "numel", "register_hook",
    "requires_grad_", "size", "storage_offset", "stride", "untyped_storage",
}  # fmt: skip
# Take a tensor of the other device: they copy, or exchange what tensors stand for.
TAKING = {"copy_", "copy", "_foreach_copy_", "set_", "swap_tensors", "_make_subclass", "backward",
          "_has_compatible_shallow_copy_type"}  # fmt: skip
# Join tensors; a number of the CPU is a tensor like others there.
JOINING = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}
# Made of what is no tensor, in main memory unless a device is named.
READING = {"from_numpy", "frombuffer"}


class MixedDevicesError(RuntimeError):
    """What a program with a GPU would stop at."""


def device_of(wanted):
    """The device that is meant: of a number or of any name of the GPU, `CUDA`."""
    if wanted is None:
        return None
    found = torch.device("cuda", wanted) if isinstance(wanted, int) else torch.device(wanted)
    return CUDA if found.type == "cuda" else found


class PretendedCuda(TorchFunctionMode):
    """While it is entered, this thread has a CUDA device (see above)."""

    def __init__(self):
        super().__init__()
        # By the address of a storage: a weak reference to it, as addresses are used again.
        self._homes = {}
        self._patch = pytest.MonkeyPatch()
        self._moves = {Tensor.to: self._to, Tensor.cpu: self._to_cpu, Tensor.cuda: self._to_cuda,
                       torch.tensor: self._made, torch.as_tensor: self._made}  # fmt: skip

    def __enter__(self):
        pretend(self._patch)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._patch.undo()

    def home(self, tensor):
        """The device that a tensor says it is on; None if it goes with either."""
        found = self._homes.get(_storage(tensor)._cdata)
        return None if found is None else found[1]

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name == "__get__" and isinstance(args[0], Tensor):
            return self._attribute(function, args)
        if name in TOLD or name == "__set__":
            return function(*args, **kwargs)
        if function in self._moves:
            return self._moves[function](function, *args, **kwargs)
        if name in ("numpy", "__array__", "__dlpack__") and self.home(args[0]) == CUDA:
            raise MixedDevicesError(f"{name} of a tensor on {CUDA}")
        if name == "get_device":
            return 0 if self.home(args[0]) == CUDA else -1
        if name in ("pin_memory", "is_pinned"):
            return args[0] if name == "pin_memory" else False
        return self._operation(function, name, args, kwargs)

    def _settle(self, tensor, device):
        storage = _storage(tensor)
        key = storage._cdata
        self._homes[key] = (weakref.ref(storage, lambda _: self._homes.pop(key, None)), device)
        return tensor

    def _attribute(self, function, args):
        """What a tensor says of itself: its device, or another tensor, such as its gradient."""
        home = self.home(args[0])
        name = getattr(function.__self__, "__name__", "")
        if home is not None and name in ("device", "is_cuda", "is_cpu"):
            return {"device": home, "is_cuda": home == CUDA, "is_cpu": home == CPU}[name]
        found = function(*args)
        if home is not None and isinstance(found, Tensor) and self.home(found) is None:
            self._settle(found, home)
        return found

    def _moved(self, made, source, wanted):
        """`made` of `source` on another device: a copy, even where nothing else has changed."""
        here = self.home(source) or CPU
        if wanted is None or wanted == here:
            return made if self.home(made) is not None else self._settle(made, here)
        if _storage(made)._cdata == _storage(source)._cdata:
            made = made.clone()
        return self._settle(made, wanted)

    def _to(self, function, source, *args, **kwargs):
        wanted, args = device_of(kwargs.pop("device", None)), list(args)
        kwargs.pop("non_blocking", None)
        like = kwargs.get("other")
        for place, value in enumerate(args):
            number = isinstance(value, int) and not isinstance(value, bool) and not place
            if isinstance(value, Tensor):
                like = value
            elif isinstance(value, str | torch.device) or number:
                wanted, args[place] = device_of(value), CPU
        if isinstance(like, Tensor):
            wanted = self.home(like) or CPU
        if wanted is not None and wanted.type == "meta":
            return source.to(wanted).to(kwargs.get("dtype", source.dtype))
        return self._moved(function(source, *args, **kwargs), source, wanted)

    def _to_cpu(self, function, source, *args, **kwargs):
        return self._moved(source, source, CPU)

    def _to_cuda(self, function, source, *args, **kwargs):
        return self._moved(source, source, CUDA)

    def _made(self, function, data, *args, device=None, **kwargs):
        """`torch.tensor` and `torch.as_tensor`, of numbers or of a tensor."""
        wanted = device_of(device)
        if wanted is not None and wanted.type == "meta":
            return function(data, *args, device=wanted, **kwargs)
        kwargs.pop("pin_memory", None)
        made = function(data, *args, **kwargs)
        if isinstance(data, Tensor):
            return self._moved(made, data, wanted)
        return self._settle(made, wanted or CPU)

    def _operation(self, function, name, args, kwargs):
        wanted = device_of(kwargs.get("device"))
        if wanted is not None and wanted.type == "meta":
            return function(*args, **kwargs)
        if wanted is not None:
            kwargs["device"] = CPU
        if kwargs.get("pin_memory"):
            del kwargs["pin_memory"]
        tensors = [leaf for leaf in tree_iter((args, kwargs)) if isinstance(leaf, Tensor)]
        homes = [self.home(tensor) for tensor in tensors]
        generator = kwargs.get("generator")
        drawn = generator is not None and CUDA in (wanted, *homes[:1])
        if drawn or (CUDA in homes and CPU in homes and self._mixes(name, args, tensors, homes)):
            what = [f"{home}{list(own.shape)}" for home, own in zip(homes, tensors, strict=True)]
            what += ["a generator on cpu"] if drawn else []
            named = getattr(function, "__qualname__", None) or name
            raise MixedDevicesError(f"{named} of {', '.join(what)}")
        result = function(*args, **kwargs)
        if name == "__setitem__":
            return result
        home = wanted
        if home is None and name in READING:
            home = CPU
        elif home is None:
            home = CUDA if CUDA in homes else CPU if CPU in homes or not tensors else None
        for made in tree_iter(result):
            if home is not None and isinstance(made, Tensor) and self.home(made) is None:
                self._settle(made, home)
        return result

    def _mixes(self, name, args, tensors, homes):
        """Whether CUDA would refuse an operation on tensors of both devices."""
        if name in TAKING:
            return False
        if name == "__getitem__":
            return homes[0] == CPU and self._indices_on_cuda(args[1])
        if name == "__setitem__":
            own, index, value = args
            picks = any(isinstance(part, Tensor | list) for part in _parts(index))
            foreign = isinstance(value, Tensor) and value.dim() > 0
            foreign = foreign and self.home(value) not in (None, self.home(own))
            return (picks and foreign) or (self.home(own) == CPU and self._indices_on_cuda(index))
        if name in ("index_put", "index_put_"):
            own, index, value = args[:3]
            foreign = value.dim() > 0 and self.home(value) not in (None, self.home(own))
            return foreign or (self.home(own) == CPU and self._indices_on_cuda(tuple(index)))
        # A number of the CPU is sent along with the call; one of the GPU would have to come back.
        return name in JOINING or any(
            home == CPU and tensor.dim() > 0 for home, tensor in zip(homes, tensors, strict=True)
        )

    def _indices_on_cuda(self, index):
        """Whether values on the GPU pick; a whole number there is read as one."""
        return any(
            isinstance(part, Tensor) and part.dim() > 0 and self.home(part) == CUDA
            for part in _parts(index)
        )


def _storage(tensor):
    return tensor.untyped_storage()


def _parts(index):
    return index if isinstance(index, tuple) else (index,)


def pretend(patch):
    """Let torch say that there is a GPU, until the patch is undone."""
    _device_constructors()  # torch keeps its answer, which is to name torch's own functions
    random = [torch.zeros(16, dtype=torch.uint8)]
    facts = SimpleNamespace(
        name=NAME, total_memory=ALL, multi_processor_count=132, major=9, minor=0
    )
    said = {
        "current_device": 0,
        "device_count": 1,
        "empty_cache": None,
        "get_device_name": NAME,
        "get_device_properties": facts,
        "is_available": True,
        "is_bf16_supported": True,
        "is_current_stream_capturing": False,
        "manual_seed": None,
        "manual_seed_all": None,
        "max_memory_allocated": 2 << 20,
        "mem_get_info": (FREE, ALL),
        "memory_allocated": 1 << 20,
        "memory_reserved": 1 << 20,
        "reset_peak_memory_stats": None,
        "synchronize": None,
    }
    for name, answer in said.items():
        patch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    patch.setattr(torch.cuda, "get_rng_state", lambda *_: random[0].clone())
    patch.setattr(torch.cuda, "set_rng_state", lambda state, *_: random.__setitem__(0, state))
    patch.setattr(torch.cuda, "device", contextlib.nullcontext)
    # It asks the accelerator that torch was built for, which is none.
    patch.setattr(
        torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda self: None
    )
    empty = torch.empty  # of threads that have not entered: memory is pinned for a GPU alone
    patch.setattr(torch, "empty", lambda *size, pin_memory=False, **own: empty(*size, **own))
    for module in (torch, torch.amp):
        patch.setattr(module, "autocast", Autocast)


class Autocast(torch.autocast):
    """That of the CPU, also where that of the GPU is asked for."""

    def __init__(self, device_type, *args, **kwargs):
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)
