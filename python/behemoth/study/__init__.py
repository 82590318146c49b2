"""Studies: a grid of trials, run, resumed and read as frames."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .presets import preset_names as preset_names, preset_text as preset_text
    from .results import Results as Results
    from .run import run_study as run_study
    from .spec import Measure as Measure, Study as Study, read_study as read_study

_HOMES = {
    "presets": "preset_names preset_text",
    "results": "Results",
    "run": "run_study",
    "spec": "Measure Study read_study",
}
__all__ = sorted(" ".join(_HOMES.values()).split())  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:  # PEP 562: nothing is loaded before it is used
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"behemoth.study.{home}"), name)
    raise AttributeError(f"module 'behemoth.study' has no attribute {name!r}")
