"""Optional packages: a missing one is named together with the extra that brings it."""

from __future__ import annotations

from importlib.util import find_spec


class MissingExtra(ImportError):  # noqa: N818 - what is missing says it
    """A package is not installed; the message says which extra brings it."""


def need(extra: str, *packages: str) -> None:
    """Refuse to go on without packages.

    Parameters
    ----------
    extra : str
        The extra of behemoth that they belong to.
    *packages : str
        Names that are imported.

    Raises
    ------
    MissingExtra
        When one is missing.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(
                f"this needs {package}, which is not installed: pip install 'behemoth[{extra}]'"
            )
