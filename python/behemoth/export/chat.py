"""Chats as JSON lines: a question by a user, and the answer of an assistant."""

from __future__ import annotations

from .card import CARD, write_card
from .jsonl import save
from .protocol import Format
from .source import Source
from .tables import CHAT, check_questions, write_tables


def _check(source: Source) -> None:
    check_questions(source, "chat")


FORMAT = Format(
    "chat",
    write_tables(CHAT, "jsonl", save),
    (CARD, *(table.pattern("jsonl") for table in CHAT)),
    write_card(CHAT, "jsonl"),
    check=_check,
)
