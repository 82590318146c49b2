"""Chats as JSON lines: a question by a user, and the answer of an assistant."""

from __future__ import annotations

from behemoth.corpus.questions import question_wordings
from behemoth.support.errors import ArgumentError

from .card import CARD, write_card
from .jsonl import save
from .protocol import Format
from .source import Source
from .tables import CHAT, write_tables


def _check(source: Source) -> None:
    if not question_wordings(source.corpus):
        got = "chat for a corpus whose grammar has no questions"
        raise ArgumentError("to", got, "a corpus that can ask questions")


FORMAT = Format(
    "chat",
    write_tables(CHAT, "jsonl", save),
    (CARD, *(table.pattern("jsonl") for table in CHAT)),
    write_card(CHAT, "jsonl"),
    check=_check,
)
