"""The settings of a method on a board, where they come from, and what choosing them cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .board_cells import NOTHING
from .tables import duration

__all__ = ["of_worlds", "origin", "settings_text"]

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
    return f"{trials:,} trials, {duration(seconds)}"
