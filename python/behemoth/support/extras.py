"""Missing packages: an error of one line that names the extra to install."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_EXTRAS = {
    "train": (
        "accelerate",
        "peft",
        "safetensors",
        "scipy",
        "tensorboard",
        "tokenizers",
        "torch",
        "transformers",
    ),
    "report": ("altair", "pandas", "statsmodels", "vl_convert"),
    "ray": ("ray",),
    "tune": ("optuna",),
    "remote": ("fsspec", "s3fs"),
}


def installing(extra: str) -> str:
    """Return the words that say how an extra is installed: from a clone, as nothing is on PyPI."""
    return f"in a clone of Behemoth, pip install '.[{extra}]'"


class MissingExtraError(ModuleNotFoundError):
    """A package of an extra is not installed."""


@contextmanager
def needed() -> Generator[None]:
    """Name the extra to install if an import inside the block fails for lack of it.

    Raises
    ------
    MissingExtraError
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        for extra, packages in _EXTRAS.items():
            if package in packages:
                raise MissingExtraError(
                    f"{package} is not installed: {installing(extra)}", name=package
                ) from error
        raise
