"""What is refused: one error, made of values; its text is made when it is shown.

The engine raises the same class, so that a bad value reads alike whether the engine, a method or
the command line refuses it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

__all__ = ["ArgumentError", "CorpusError", "check_keys", "nearest", "renamed", "within"]

Key = str | int


class ArgumentError(ValueError):
    """An argument, or a key of a file, that is not allowed.

    Parameters
    ----------
    argument : str or tuple of str and int
        The argument as the user wrote it, or the path of keys that leads to it.
    got : object
        The value that was given.
    allowed : str
        What would have been allowed.
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
        # What copies and other processes make the same error from.
        super().__init__(self.path, got, allowed, nearest)

    @classmethod
    def unknown(
        cls, argument: Key | tuple[Key, ...], got: object, names: Iterable[str]
    ) -> ArgumentError:
        """Make the error of a word that is none of `names`, with the nearest of them."""
        known = list(names)
        return cls(argument, got, ", ".join(known), nearest(str(got), known))

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
        """The same refusal, seen from further out: `keys` lead to where it was made."""
        return type(self)((*keys, *self.path), self.got, self.allowed, self.nearest)

    def named(self, *keys: Key) -> ArgumentError:
        """The same refusal of an argument that has another name out here."""
        return type(self)(keys, self.got, self.allowed, self.nearest)

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return f"argument '{self.name}': got {_shown(self.got)}, allowed: {self.allowed}{hint}"


class CorpusError(RuntimeError):
    """A directory or file is damaged, locked, or of another spec or version."""


@contextmanager
def within(*keys: Key) -> Generator[None]:
    """Put `keys` before the path of what is refused inside.

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
    """Say of an argument that is refused inside what it is called out here.

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
    table: Mapping[str, object], known: Iterable[str], none: str = "an unknown key"
) -> None:
    """Refuse a table with a key that is not in `known`; `none` describes such a key.

    Raises
    ------
    ArgumentError
    """
    names = list(known)
    for key in table:
        if key not in names:
            raise ArgumentError(key, none, ", ".join(names) or "none", nearest(key, names))


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that is nearest to a word, if any is near."""
    near = get_close_matches(word, list(names), n=1, cutoff=0.6)
    return near[0] if near else None


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    # Words as they were written; quoted only where a reader could not see where they end.
    if isinstance(value, str) and value and value == value.strip() and value.isprintable():
        return value
    return repr(value)
