"""Documents of others that stand in a corpus: what they are, and the files they are read from."""

from .background import (
    BACKGROUND_FILE as BACKGROUND_FILE,
    Background as Background,
    background_of as background_of,
    read_background as read_background,
)

__all__ = ["BACKGROUND_FILE", "Background", "background_of", "read_background"]
