"""What a store says when it fails, as one line with the place that it was about."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from behemoth.support.extras import MissingExtraError

__all__ = ["StoreError", "about"]


class StoreError(RuntimeError):
    """A store that cannot be reached, refuses, or has not what is asked for; exit code 1."""


@contextmanager
def about(url: str) -> Generator[None]:
    """Make what a library of stores raises an error that names the place.

    Every library has errors of its own (botocore alone has some hundred that share no base but
    `Exception`), so all of them are caught; what is inside is one call of such a library.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except (MissingExtraError, StoreError):
        raise
    except Exception as error:
        said = str(error).partition("\n")[0].strip() or type(error).__name__
        raise StoreError(f"{url}: {said}") from error
