"""The studies that come with the package: the files of the folder `presets`, NAME-SIZE.toml."""

from __future__ import annotations

from importlib import resources

from .grid import refuse

__all__ = ["SIZES", "preset_names", "preset_sizes", "preset_text"]

SIZES = ("smoke", "quick", "paper")
"""Under a minute on 2 cores, under ten minutes on 2 cores, and for one GPU."""
_FOLDER = resources.files("behemoth.study.file") / "presets"


def preset_names() -> tuple[str, ...]:
    """Names of the presets, without their sizes, in the order of the alphabet."""
    files = {file.name for file in _FOLDER.iterdir() if file.name.endswith(".toml")}
    return tuple(sorted({name.rpartition("-")[0] for name in files}))


def preset_sizes(name: str) -> tuple[str, ...]:
    """Sizes that a preset has, the smallest first."""
    return tuple(size for size in SIZES if (_FOLDER / f"{name}-{size}.toml").is_file())


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
    if name not in preset_names():
        raise refuse("study", name, f"a study file, or one of {', '.join(preset_names())}")
    sizes = preset_sizes(name)
    if size not in sizes:
        raise refuse("size", size, ", ".join(sizes))
    return (_FOLDER / f"{name}-{size}.toml").read_text(encoding="utf-8")
