"""Backgrounds: documents of other tokenised corpora in a corpus, and the files they are in."""

from .background import (
    BACKGROUND_FILE as BACKGROUND_FILE,
    Background as Background,
    background_of as background_of,
    changed_background as changed_background,
    read_background as read_background,
)

__all__ = [
    "BACKGROUND_FILE", "Background", "background_of", "changed_background", "read_background",
]  # fmt: skip
