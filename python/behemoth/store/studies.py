"""The content of a study as listed in ``study.json``, for merging, pushing and pulling studies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["FOREIGN", "UNITS", "Content", "unit_of"]

FOREIGN = "foreign"
"""The family of trials that other tools made (`behemoth.study.work.add`)."""

UNITS = {"models": "model.json", "plans": "plan.toml", "trials": "trial.json"}
"""Folders of a study with a folder for each unit, and the record that completes a unit."""


@dataclass(frozen=True)
class Content:
    """The content of a study.

    Parameters
    ----------
    name : str
    threads : int
    format_version : int
        Format version of its corpora.
    models : frozenset of str
        Ids of the models.
    trials, foreign : frozenset of (str, str)
        Ids and labels of trials; `foreign` are those that other tools made.
    """

    name: str
    threads: int
    format_version: int
    models: frozenset[str]
    trials: frozenset[tuple[str, str]]
    foreign: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make the content from the values of ``study.json``.

        Raises
        ------
        KeyError, TypeError
            If they are not those of a study.
        """
        rows = [((row["id"], row["label"]), row["family"] == FOREIGN) for row in values["trials"]]
        return cls(
            values["name"],
            values.get("threads", 1),
            values.get("corpus_version", 1),
            frozenset(model["id"] for model in values["models"]),
            frozenset(row for row, foreign in rows if not foreign),
            frozenset(row for row, foreign in rows if foreign),
        )

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Make the content from the bytes of ``study.json``; None if they are not a study's."""
        try:
            return cls.of(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def difference(self, other: Content) -> str | None:
        """Return the first field in which two studies differ; trials of other tools may differ."""
        for name in ("name", "threads", "format_version", "models", "trials"):
            if getattr(self, name) != getattr(other, name):
                return name
        return None

    def lacking(self, other: Content) -> str | None:
        """Return the first field in which this study does not include `other`, or None."""
        for name in ("name", "threads", "format_version"):
            if getattr(self, name) != getattr(other, name):
                return name
        for name in ("models", "trials", "foreign"):
            if not getattr(other, name) <= getattr(self, name):
                return "trials" if name == "foreign" else name
        return None


def unit_of(name: str) -> str | None:
    """Return the folder of the unit of a study's file, such as ``trials/ID``, or None."""
    parts = name.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in UNITS else None
