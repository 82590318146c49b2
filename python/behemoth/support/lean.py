"""Start with less of torch and transformers: what they load beforehand and our commands never use.

`import transformers` is little, but its models load torch's compiler to mark a few functions for
it, tensors of several devices, and scipy for the losses of object detectors: together as long as
torch itself takes (docs/reliability.md). `lean` puts all that off until somebody asks for it, and
then nothing is missing: marks that were made meanwhile are made up for.

It is for the commands, by `behemoth.support.process.prepare`, and not for a library. What was tried
before: to import the classes of one family directly, which loads the same modules; and
`importlib.util.LazyLoader`, which loads a package as soon as a module in it is looked for.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["lean"]

_COMPILER = "torch._dynamo"
_INDEXING = f"{_COMPILER}._trace_wrapped_higher_order_op"
_ASKS = "transformers.utils.import_utils"
# Answered with no while our commands run: tensors of several devices, the losses of object
# detectors, models too large for one device, attention that is compiled.
_UNUSED = (
    "is_torch_distributed_available",
    "is_scipy_available",
    "is_accelerate_available",
    "is_torch_flex_attn_available",
)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def lean() -> None:
    """Let torch and transformers load less, for the rest of this process.

    Where several processes work on one model, or torch's compiler or transformers are loaded
    already, everything stays as it is.
    """
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    if several or any(name in sys.modules for name in (_COMPILER, _ASKS)):
        return
    sys.meta_path.insert(0, _Finder())
    sys.modules[_COMPILER] = _Compiler()


class _Compiler(ModuleType):
    """In the place of torch's compiler until it is used: it takes marks, and knows no more."""

    def __init__(self) -> None:
        super().__init__(_COMPILER)
        self._opaque: list[Callable[..., Any]] = []
        self._disabled: list[Callable[..., Any]] = []

    def allow_in_graph(self, function: _Function) -> _Function:
        self._opaque.append(function)
        return function

    def assume_constant_result(self, function: _Function) -> _Function:
        function._dynamo_marked_constant = True  # type: ignore[attr-defined]
        return function

    def disable(
        self,
        function: Callable[..., Any] | None = None,
        recursive: bool = True,
        *,
        reason: str | None = None,
        wrapping: bool = True,
    ) -> Any:
        # Of what runs without the compiler there is nothing to leave out.
        if function is None:
            return lambda function: self.disable(function, recursive)
        self._disabled.append(function)
        return function

    def graph_break(self, msg: str = "") -> None:
        """Where nothing is compiled, nothing is broken off."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
            real = importlib.import_module(_COMPILER)
            for function in self._disabled:
                # Where torch keeps what was disabled it asks again, and the real one answers;
                # others hold the function itself, which is then marked as one.
                function.__dict__.pop("__dynamo_disable", None)
                function._torchdynamo_disable = True  # type: ignore[attr-defined]
            for function in self._opaque:
                real.allow_in_graph(function)
        return sys.modules[_COMPILER]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what has to be loaded in another way than usual; nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _ASKS or fullname == "transformers.masking_utils":
            spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = (_Asks if fullname == _ASKS else _Masks)(spec.loader)
            return spec
        if fullname.startswith(f"{_COMPILER}.") and fullname in sys.modules:
            # The package came with it when Python looked for its path.
            return importlib.machinery.ModuleSpec(fullname, _Loaded())
        return None


class _Loaded(importlib.abc.Loader):
    """Of a module that is there: it stays as it is."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not self._spec:  # some modules let nothing be set
            module.__spec__ = self._spec


class _Around(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Asks(_Around):
    """Loads the module that knows which packages there are; those that nobody needs are not."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name in _UNUSED:
            if hasattr(module, name):
                setattr(module, name, _no)


class _Masks(_Around):
    """Loads the masks, which take one class of the compiler's, for masks that ours are not."""

    def exec_module(self, module: ModuleType) -> None:
        if not isinstance(sys.modules.get(_COMPILER), _Compiler):
            super().exec_module(module)
            return
        stand_in = ModuleType(_INDEXING)
        stand_in.TransformGetItemToIndex = _indexing  # type: ignore[attr-defined]
        sys.modules[_INDEXING] = stand_in
        try:
            super().exec_module(module)
        except ImportError:  # a version that takes more of it gets all of it
            del sys.modules[_INDEXING]
            importlib.import_module(_INDEXING)
            super().exec_module(module)
        finally:
            if sys.modules.get(_INDEXING) is stand_in:
                del sys.modules[_INDEXING]


def _indexing() -> Any:
    return importlib.import_module(_INDEXING).TransformGetItemToIndex()


def _no(*arguments: object, **named: object) -> bool:
    return False
