"""Behemoth's directories in stores such as S3: sending, fetching and resuming them.

It knows files, the records that make a directory complete, and digests, but not the contents of
data files. A store keeps the same files under the same names as the directory, and beside them a
ledger, ``.behemoth/ledger.json``, with the size and BLAKE3 of every file that was sent: files
already in the store are not sent again, and fetched files are checked against the ledger.
``fsspec`` is imported when a store that needs it is opened.
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
