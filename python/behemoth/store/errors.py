"""Errors of stores, each as one line that names the URL."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress

from behemoth.support.extras import MissingExtraError

__all__ = ["StoreError", "about"]


class StoreError(RuntimeError):
    """The store cannot be reached, refuses a request, or lacks what is requested; exit code 1."""


@contextmanager
def about(url: str) -> Generator[None]:
    """Convert errors of a storage library into a `StoreError` that names the URL.

    Every library has its own errors (botocore alone has some hundred that share no base but
    `Exception`), so all of them are caught; the block should contain only calls of such a library.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except (MissingExtraError, StoreError):
        raise
    except Exception as error:
        message = str(error).partition("\n")[0].strip() or type(error).__name__
        if (host := _silent_host(error)) is not None and host not in message:
            message = f"{host} cannot be reached ({message})"
        raise StoreError(f"{url}: {message}") from error


def _silent_host(error: Exception) -> str | None:
    """Return the host that did not answer a request of httpx, whose text does not name it."""
    if getattr(error, "response", None) is not None:
        return None
    with suppress(AttributeError, RuntimeError):  # RuntimeError: the error has no request
        return error.request.url.host  # type: ignore[attr-defined]
    return None
