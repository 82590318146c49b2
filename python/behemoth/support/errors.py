"""Errors for invalid input; their text is composed from their values when it is shown.

The engine raises the same class, so that the message for a bad value is the same whether the
engine, a method or the command line refuses it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

__all__ = ["ArgumentError", "CorpusError", "check_keys", "nearest", "renamed", "within"]

Key = str | int
_CUTOFF = 0.6
_LONGEST = 400  # characters of an invalid value in an error, as in the engine


class ArgumentError(ValueError):
    """An invalid argument, or an invalid key or value in a file.

    Parameters
    ----------
    argument : str or tuple of str and int
        Name of the argument as the user wrote it, or the path of keys that leads to it.
    got : object
        The invalid value.
    allowed : str
        Description of the allowed values.
    nearest : str, optional
        The allowed value that was probably meant.

    Examples
    --------
    >>> str(ArgumentError("layers", 7, "0 to 3"))
    "argument 'layers': got 7, allowed: 0 to 3"
    >>> str(ArgumentError("rate", "fast", "a number").within("method", 2))
    "argument 'method[2].rate': got fast, allowed: a number"
    """

    def __init__(
        self,
        argument: Key | tuple[Key, ...],
        got: object,
        allowed: str,
        nearest: str | None = None,
    ) -> None:
        self.path: tuple[Key, ...] = argument if isinstance(argument, tuple) else (argument,)
        self.got = got
        self.allowed = allowed
        self.nearest = nearest
        # Copying and pickling rebuild the error from these arguments.
        super().__init__(self.path, got, allowed, nearest)

    @classmethod
    def unknown(
        cls,
        argument: Key | tuple[Key, ...],
        got: object,
        names: Iterable[str],
        cutoff: float = _CUTOFF,
    ) -> ArgumentError:
        """Return the error for a word that is not in `names`, with the nearest (see `nearest`)."""
        known = list(names)
        return cls(argument, got, ", ".join(known), nearest(str(got), known, cutoff))

    @property
    def name(self) -> str:
        """The path as text: ``method[2].rate``."""
        text = ""
        for key in self.path:
            if isinstance(key, int):
                text += f"[{key}]"
            else:
                text += f".{key}" if text else key
        return text

    def within(self, *keys: Key) -> ArgumentError:
        """Return the same error with `keys` in front of its path."""
        return type(self)((*keys, *self.path), self.got, self.allowed, self.nearest)

    def named(self, *keys: Key) -> ArgumentError:
        """Return the same error with `keys` in place of its path."""
        return type(self)(keys, self.got, self.allowed, self.nearest)

    def __str__(self) -> str:
        # The hint comes first: a list of what is allowed may be long.
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return f"argument '{self.name}': got {_shown(self.got)}{hint}, allowed: {self.allowed}"


class CorpusError(RuntimeError):
    """A directory or file is damaged, locked, or has another spec or version."""


@contextmanager
def within(*keys: Key) -> Generator[None]:
    """Put `keys` in front of the path of an `ArgumentError` raised inside the block.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> with within("corpus"):
    ...     raise ArgumentError("exposures", 0, "from 1")
    Traceback (most recent call last):
    behemoth.support.errors.ArgumentError: argument 'corpus.exposures': got 0, allowed: from 1
    """
    try:
        yield
    except ArgumentError as error:
        raise error.within(*keys) from None


@contextmanager
def renamed(**names: str) -> Generator[None]:
    """Rename the argument of an `ArgumentError` raised inside the block.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> with renamed(directory="run"):
    ...     raise ArgumentError("directory", "nowhere", "a training run")
    Traceback (most recent call last):
    behemoth.support.errors.ArgumentError: argument 'run': got nowhere, allowed: a training run
    """
    try:
        yield
    except ArgumentError as error:
        first, *rest = error.path
        if first not in names:
            raise
        raise error.named(names[str(first)], *rest) from None


def check_keys(
    table: Mapping[str, object],
    known: Iterable[str],
    none: str = "an unknown key",
    meant: Mapping[str, str] | None = None,
) -> None:
    """Refuse a table with a key that is not in `known`; `none` describes such a key.

    The hint is the key that `meant` has for it, or else the most similar one.

    Raises
    ------
    ArgumentError
    """
    names = list(known)
    for key in table:
        if key not in names:
            word = str(key)  # a mapping in Python may have others
            hint = (meant or {}).get(word) or nearest(word, names)
            raise ArgumentError(word, none, ", ".join(names) or "none", hint)


def nearest(word: str, names: Iterable[str], cutoff: float = _CUTOFF) -> str | None:
    """Return the name most similar to a word in upper or lower case; None if none is similar.

    Similar is a ratio of `difflib.SequenceMatcher` of at least `cutoff`.
    """
    written: dict[str, str] = {}
    for name in names:
        written.setdefault(name.casefold(), name)
    near = get_close_matches(word.casefold(), list(written), n=1, cutoff=cutoff)
    return written[near[0]] if near else None


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        # Quote a string only if a reader could not see where it begins or ends.
        clear = value and value == value.strip() and value.isprintable()
        text = value if clear else repr(value)
    else:
        # The text of a model or a frame has many lines, and an error has one.
        text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
