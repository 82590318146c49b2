"""The studies that come with the package: five questions, each in three sizes."""

from __future__ import annotations

from importlib import resources

from .grid import refuse

__all__ = ["SIZES", "preset_names", "preset_text"]

SIZES = ("smoke", "quick", "paper")
"""Under a minute on 2 cores, under ten minutes on 2 cores, and for one GPU."""
_NAMES = ("frequency", "rank", "nested", "correlated", "unlearning")


def preset_names() -> tuple[str, ...]:
    """Names of the presets, without their sizes."""
    return _NAMES


def preset_text(name: str, size: str = "smoke") -> str:
    """The TOML of a preset.

    Parameters
    ----------
    name : str
        One of `preset_names`; or, with its size, such as ``frequency-quick``.
    size : {'smoke', 'quick', 'paper'}

    Raises
    ------
    ArgumentError
        When there is none of that name or size.
    """
    head, dash, tail = name.rpartition("-")
    if dash and tail in SIZES:
        name, size = head, tail
    if name not in _NAMES:
        raise refuse("study", name, f"a study file, or one of {', '.join(_NAMES)}")
    if size not in SIZES:
        raise refuse("size", size, ", ".join(SIZES))
    place = resources.files("behemoth.study.file") / "presets" / f"{name}-{size}.toml"
    return place.read_text(encoding="utf-8")
