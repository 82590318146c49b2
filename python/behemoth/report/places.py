"""Where the methods of a study edit a model, from the settings that its trials recorded."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass

import polars as pl

from behemoth.edit.errors import MethodError
from behemoth.edit.protocol import answers
from behemoth.edit.registry import get_method, method_type
from behemoth.model.sizes import find_size
from behemoth.support.errors import ArgumentError

__all__ = ["places_of"]

_VOCABULARY = 64  # which no place depends on


def places_of(index: pl.DataFrame) -> dict[str, str]:
    """Return the place of each method that has one, by label.

    Parameters
    ----------
    index : polars.DataFrame
        `Results.index`, collected: label, method, settings (as JSON) and size.

    Returns
    -------
    dict of str to str
        Token and layers, and below them the published place, on a line each; for a study of several
        sizes whose places differ, these two lines for each size. Methods that edit no place are
        missing, and so are methods that are not installed. Without torch it is empty.
    """
    rows = index.select("label", "method", "settings", "size").unique(maintain_order=True)
    # With `tuned:world` a method has several settings, and may have several places.
    found: dict[str, dict[tuple[str, str], str]] = {}
    for label, name, settings, size in rows.iter_rows():
        if (place := _place(name, settings, size)) is not None:
            found.setdefault(label, {})[size, settings] = place
    return {label: _joined(each) for label, each in found.items()}


def _place(name: str, settings: str, size: str) -> str | None:
    try:
        own, kind = json.loads(settings), method_type(name)
        if is_dataclass(kind):
            # Earlier versions recorded settings that had no effect and are gone.
            own = {field.name: own[field.name] for field in fields(kind) if field.name in own}
        method = answers(get_method(name, own))
        if not method.has_place:
            return None
        # Loads torch, which takes seconds and which a report needs for nothing else.
        from behemoth.model.build import shape_of

        return method.place(shape_of(find_size(size), _VOCABULARY))
    except (ArgumentError, MethodError):  # a method of another package or version; no known size
        return None
    except ImportError:  # without torch no place is known
        return None


def _joined(found: dict[tuple[str, str], str]) -> str:
    """Return the places by size and settings as lines."""
    lines: list[str] = []
    every = {size for size, _ in found}
    for place in dict.fromkeys(found.values()):
        sizes = list(dict.fromkeys(size for (size, _), own in found.items() if own == place))
        own, _, published = place.partition(" (published: ")
        named = f"{', '.join(sizes)}: " if len(sizes) < len(every) else ""
        lines += [f"{named}{own}", *([f"published: {published[:-1]}"] if published else [])]
    return "\n".join(lines)
