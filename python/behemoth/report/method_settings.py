"""The settings of methods, where they come from, and what choosing them cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from behemoth.study.results import Results
from behemoth.support.text import plural_text

from .style import NOTHING
from .tables import duration

__all__ = ["of_worlds", "origin", "settings_rows", "settings_text"]

_ORIGINS = {"default": "default", "given": "by hand"}


def origin(row: Mapping[str, Any]) -> str:
    """Return the origin of the settings in a row of a board, and the cost of tuning them.

    That of tuned settings has a line of its own. If the row names kinds of world, the settings are
    those of the package for them, and are not taken for a tuning of the study's own.
    """
    if row["settings"] != "tuned":
        return _ORIGINS.get(row["settings"], NOTHING)
    whose = f"\nbehemoth's, on {row['tuned_on']}" if row["tuned_on"] else ""
    return f"tuned{whose}\n{_spent(row['tuning_trials'], row['tuning_seconds'])}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return the settings that have a value, as a study's file has them, without quotes."""
    return ", ".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}"
        for key, value in settings.items()
        if value is not None
    )


def settings_rows(
    results: Results, without: Collection[str] = frozenset()
) -> list[tuple[str, str]]:
    """Return the settings of each method of a study, with their origin where it is recorded.

    Those of the labels in `without` are left out.
    """
    chosen = {each["label"]: each for each in results.about.methods}
    index = results.index.select("label", "settings").unique(maintain_order=True).collect()
    rows: list[tuple[str, str]] = []
    for label, settings in index.unique("label", maintain_order=True).iter_rows():
        if label in without:
            continue
        own = chosen.get(label, {})
        if own.get("worlds"):
            said = of_worlds(own["worlds"])
        else:
            said = settings_text(json.loads(settings)) or "none"
            said += f" ({_whence(own)})" if own else ""
        rows.append((f"settings of {label}", said))
    return rows


def _whence(own: Mapping[str, Any]) -> str:
    """Return the origin of settings (`MethodChoice.to_dict`), with the cost of tuning them."""
    whose = f", behemoth's, on {own['world']}" if "world" in own else ""
    tuning = own.get("tuning")
    cost = f", {_spent(tuning['trials'], tuning['seconds'])}" if tuning else ""
    return f"{_ORIGINS.get(own['whence'], own['whence'])}{whose}{cost}"


def of_worlds(worlds: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the settings by kind of world, each with its origin (`MethodChoice.to_dict`)."""
    parts: list[str] = []
    for world, own in worlds.items():
        whence, tuning = own["whence"], own.get("tuning")
        cost = f", {_spent(tuning['trials'], tuning['seconds'])}" if tuning else ""
        said = settings_text(own["settings"]) or "none"
        whose = "tuned, behemoth's" if whence == "tuned" else _ORIGINS.get(whence, whence)
        parts.append(f"settings on {world} ({whose}{cost}): {said}")
    return "; ".join(parts)


def _spent(trials: int, seconds: float) -> str:
    return f"{plural_text(trials, 'trial')}, {duration(seconds)}"
