"""Directories of ours in stores such as S3: sent, brought back, and gone on with.

It knows files, records that make a directory whole, and digests; nothing of what the files say. A
store holds the same files under the same names as the directory does, and beside them a ledger,
``.behemoth/ledger.json``, of every file that was sent with its size and BLAKE3: what is there is
not sent again, and what comes back is held to it. ``fsspec`` is loaded when a store is opened.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:
    from .errors import StoreError as StoreError
    from .pull import Pulled as Pulled, pull as pull
    from .push import Pushed as Pushed, push as push

__all__, __dir__, __getattr__ = lazy(
    __name__, {"errors": "StoreError", "pull": "Pulled pull", "push": "Pushed push"}
)
