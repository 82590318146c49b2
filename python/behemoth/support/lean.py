"""Faster start: put off the parts of torch and transformers that the commands never use.

`import transformers` is cheap, but its models load torch's compiler to mark a few functions for
it, distributed tensors, and scipy for the losses of object detectors: together these take as long
as torch itself (docs/reliability.md). `lean` postpones them until they are used; then nothing is
missing, because marks made in the meantime are applied to the real compiler.

`behemoth.support.process.prepare` calls it for the commands; a library should not. Two alternatives
failed: importing the classes of one family directly loads the same modules, and
`importlib.util.LazyLoader` loads a package as soon as a module in it is looked up.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["lean"]

_COMPILER = "torch._dynamo"
_INDEXING = f"{_COMPILER}._trace_wrapped_higher_order_op"
_ASKS = "transformers.utils.import_utils"
_FOLDERS = "create_import_structure_from_path"
_LISTED = "fetch__all__"
_LIST = "\n__all__"
# Answered with False while the commands run: distributed tensors, the losses of object detectors,
# models too large for one device, compiled attention.
_UNUSED = (
    "is_torch_distributed_available",
    "is_scipy_available",
    "is_accelerate_available",
    "is_torch_flex_attn_available",
)

# While these load, the garbage collector would run some 580 times, 0.4 s, and find nothing.
_LARGE = ("torch", "transformers", "transformers.modeling_utils", "transformers.generation.utils")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def lean() -> None:
    """Make torch and transformers load less, for the rest of this process.

    Nothing changes if several processes work on one model, or if torch's compiler or
    transformers are already loaded.
    """
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    if several or any(name in sys.modules for name in (_COMPILER, _ASKS)):
        return
    sys.meta_path.insert(0, _Finder())
    sys.modules[_COMPILER] = _Compiler()


class _Compiler(ModuleType):
    """Stands in for torch's compiler until that is used, and only collects marks."""

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
        # Without the compiler there is nothing to exclude from compilation.
        if function is None:
            return lambda function: self.disable(function, recursive)
        self._disabled.append(function)
        return function

    def graph_break(self, msg: str = "") -> None:
        """Do nothing: without compilation there is no graph to break."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
            real = importlib.import_module(_COMPILER)
            for function in self._disabled:
                # Where torch caches the disabled function, it calls `disable` again, now of the
                # real compiler; other callers keep the function itself, which is marked here.
                function.__dict__.pop("__dynamo_disable", None)
                function._torchdynamo_disable = True  # type: ignore[attr-defined]
            for function in self._opaque:
                real.allow_in_graph(function)
        return sys.modules[_COMPILER]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds only the modules that need a loader other than the usual one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        around = _LOADERS.get(fullname)
        if around is not None and fullname not in sys.modules:
            spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = around(spec.loader)
            return spec
        if fullname.startswith(f"{_COMPILER}.") and fullname in sys.modules:
            # Python's look-up of the package's path has already loaded the module.
            return importlib.machinery.ModuleSpec(fullname, _Loaded())
        return None


class _Loaded(importlib.abc.Loader):
    """Loads a module that is already in `sys.modules`, unchanged."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not self._spec:  # some modules allow no assignment
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
    """Loads the module that reports installed packages, and makes it deny those of `_UNUSED`."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name in _UNUSED:
            if hasattr(module, name):
                setattr(module, name, _no)
        # transformers reads its folders of models twice: there are 560, and its cache holds 128.
        read: Any = getattr(module, _FOLDERS, None)
        if hasattr(read, "__wrapped__"):
            setattr(module, _FOLDERS, lru_cache(maxsize=None)(read.__wrapped__))
        # It also looks at every line of 1,700 files for the names that their last lines list.
        listed: Any = getattr(module, _LISTED, None)
        if listed is not None:
            setattr(module, _LISTED, lambda text: listed(text[max(text.rfind(_LIST) + 1, 0) :]))


class _Uncollected(_Around):
    """Loads a large package without collecting garbage meanwhile."""

    def exec_module(self, module: ModuleType) -> None:
        collects = gc.isenabled()
        gc.disable()
        try:
            super().exec_module(module)
        finally:
            if collects:
                gc.enable()


class _Masks(_Around):
    """Loads the masks without the one compiler class they import, which our masks never use."""

    def exec_module(self, module: ModuleType) -> None:
        if not isinstance(sys.modules.get(_COMPILER), _Compiler):
            super().exec_module(module)
            return
        stand_in = ModuleType(_INDEXING)
        stand_in.TransformGetItemToIndex = _indexing  # type: ignore[attr-defined]
        sys.modules[_INDEXING] = stand_in
        try:
            super().exec_module(module)
        except ImportError:  # this version imports more of the module: load it completely
            del sys.modules[_INDEXING]
            importlib.import_module(_INDEXING)
            super().exec_module(module)
        finally:
            if sys.modules.get(_INDEXING) is stand_in:
                del sys.modules[_INDEXING]


_LOADERS: dict[str, type[_Around]] = {
    _ASKS: _Asks,
    "transformers.masking_utils": _Masks,
    **dict.fromkeys(_LARGE, _Uncollected),
}


def _indexing() -> Any:
    return importlib.import_module(_INDEXING).TransformGetItemToIndex()


def _no(*arguments: object, **named: object) -> bool:
    return False
