"""A data set of the Hugging Face hub: Parquet files of documents, questions and chats, and a card.

``datasets.load_dataset`` reads the directory without a script.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from .card import CARD, write_card
from .protocol import Format
from .tables import CHAT, DOCUMENTS, QUESTIONS, write_tables

_TABLES = (*DOCUMENTS, *QUESTIONS, *CHAT)


def _save(frames: Iterator[pl.DataFrame], path: Path) -> None:
    pl.concat(frames).write_parquet(path)


FORMAT = Format(
    "hf-dataset",
    write_tables(_TABLES, "parquet", _save),
    (CARD, *(table.pattern("parquet") for table in _TABLES)),
    write_card(_TABLES, "parquet"),
)
