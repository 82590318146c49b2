"""JSON lines: one object per document in ``documents/``, one per question in ``questions/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from .card import CARD, write_card
from .protocol import Format
from .tables import DOCUMENTS, QUESTIONS, write_tables

TABLES = (*DOCUMENTS, *QUESTIONS)


def save(frames: Iterator[pl.DataFrame], path: Path) -> None:
    """Write frames as JSON lines, without escaping letters outside ASCII."""
    with path.open("wb") as file:
        for frame in frames:
            frame.write_ndjson(file)


FORMAT = Format(
    "jsonl",
    write_tables(TABLES, "jsonl", save),
    (CARD, *(table.pattern("jsonl") for table in TABLES)),
    write_card(TABLES, "jsonl"),
)
