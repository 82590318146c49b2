"""URLs of directories in stores: the supported protocols and their syntax."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from behemoth.support.errors import ArgumentError, nearest

__all__ = ["ALLOWED", "Url", "read_url"]

ALLOWED = (
    "s3://BUCKET/PATH, gs://BUCKET/PATH, hf://datasets/OWNER/NAME/PATH or file:///PATH"
)  # fmt: skip
# "memory" is a store within this process, for tests and notebooks.
_PROTOCOLS = ("file", "gs", "hf", "s3", "memory")
_LEAST = {"hf": 3, "file": 1, "memory": 1}
_PLAIN = "/!$&'()*+,;=:@~"  # characters that RFC 3986 allows unquoted in the path of a URL
_REPOSITORIES = ("datasets", "spaces", "buckets")


@dataclass(frozen=True)
class Url:
    """A directory in a store.

    Parameters
    ----------
    protocol, path : str
        The path without leading and trailing slashes; for ``file``, with the leading slash.
    """

    protocol: str
    path: str

    def __str__(self) -> str:
        path = quote(self.path, safe=_PLAIN) if self.protocol == "file" else self.path
        return f"{self.protocol}://{path}"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def read_url(argument: str, text: object) -> Url:
    """Read a URL of a directory in a store.

    Raises
    ------
    ArgumentError
        If the protocol is not supported, or the path names no directory in a bucket or repository.

    Examples
    --------
    >>> read_url("url", "s3://bucket/corpora/bios/")
    Url(protocol='s3', path='bucket/corpora/bios')
    """
    protocol, mark, rest = str(text).partition("://")
    protocol = protocol.lower()
    if not isinstance(text, str) or not mark:
        raise ArgumentError(argument, text, ALLOWED)
    if protocol not in _PROTOCOLS:
        raise ArgumentError(argument, text, ALLOWED, nearest(protocol, _PROTOCOLS))
    if protocol == "file":
        # As in RFC 8089: the host is empty or localhost, and the path is local.
        host, _, rest = rest.partition("/")
        rest = unquote(rest)
        if host not in ("", "localhost"):
            raise ArgumentError(argument, text, "file:///PATH, with three slashes")
    parts = [part for part in rest.split("/") if part]
    least = _LEAST.get(protocol, 2)
    if protocol == "hf" and parts and parts[0] not in _REPOSITORIES:
        least = 2  # a model repository: OWNER/NAME
    if len(parts) < least or ".." in parts or "." in parts:
        raise ArgumentError(argument, text, ALLOWED)
    return Url(protocol, ("/" if protocol == "file" else "") + "/".join(parts))
