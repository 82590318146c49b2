"""Multipart uploads of large files to S3, which resume after a kill with the parts already sent.

A store keeps the parts of an unfinished upload and lists them with their MD5: parts whose MD5
matches the file are not sent again. For other stores and smaller files, fsspec sends the file.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .place import Moved
from .work import carry_out

__all__ = ["part_bytes", "send_in_parts", "worth_parts"]

_PART = 16 << 20
_MOST = 9_000  # parts of a file; S3 allows 10,000
_AT_ONCE = 4


def worth_parts(size: int) -> bool:
    """Return whether a file of `size` bytes is sent in parts."""
    return size > 2 * _PART


def part_bytes(size: int) -> int:
    """Return the bytes of each part but the last of a file: a number of whole MiB, at least 16."""
    least = -(-size // _MOST)
    return max(_PART, -(-least // (1 << 20)) << 20)


def send_in_parts(
    fs: Any, path: str, file: Path, moved: Moved, refused: Callable[[PermissionError], object]
) -> None:
    """Send a file to S3 in parts, four at a time.

    Parameters
    ----------
    fs : s3fs.S3FileSystem
    path : str
        Bucket and key.
    file : Path
    moved : callable
        Called with the bytes of each part, including parts already in the store.
    refused : callable
        Called with the error if unfinished uploads may not be listed or aborted; all parts are
        then sent.

    Raises
    ------
    OSError
        Also if unfinished uploads cannot be listed for any other reason: starting over would leave
        their parts in the store, which charges for them.
    """
    bucket, key, _ = fs.split_path(path)
    size = file.stat().st_size
    step = part_bytes(size)
    try:
        upload, there = _begun(fs, bucket, key)
    except PermissionError as error:
        refused(error)
        upload, there = None, {}
    if upload is None:
        upload = fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
    about = {"Bucket": bucket, "Key": key, "UploadId": upload}

    parts: dict[int, str] = {}

    def send(number: int, go_on: Moved) -> None:
        go_on(0)
        moved(0)
        with file.open("rb") as source:
            source.seek((number - 1) * step)
            data = source.read(step)
        tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        if there.get(number) != tag:
            tag = fs.call_s3("upload_part", PartNumber=number, Body=data, **about)["ETag"]
        parts[number] = tag
        moved(len(data))

    carry_out(range(1, -(-size // step) + 1), send, workers=_AT_ONCE)
    tags = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
    fs.call_s3("complete_multipart_upload", MultipartUpload={"Parts": tags}, **about)


def _begun(fs: Any, bucket: str, key: str) -> tuple[str | None, dict[int, str]]:
    """Return the last unfinished upload of a key, and the tags of its parts by number.

    Earlier ones are aborted, because a store keeps, and charges for, their parts. For stores that
    do not implement the listing of uploads, there is none to resume.

    Raises
    ------
    OSError
        The error that s3fs raises if the store refuses a request.
    """
    about = {"Bucket": bucket, "Key": key}
    try:
        uploads = sorted(_uploads(fs, bucket, key), key=lambda row: row["Initiated"])
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return None, {}
        raise
    for row in uploads[:-1]:
        try:
            fs.call_s3("abort_multipart_upload", UploadId=row["UploadId"], **about)
        except FileNotFoundError:  # another process has ended it since
            continue
    if not uploads:
        return None, {}
    upload, there, marker = uploads[-1]["UploadId"], dict[int, str](), 0
    while True:
        try:
            page = fs.call_s3("list_parts", UploadId=upload, PartNumberMarker=marker, **about)
        except FileNotFoundError:
            return None, {}
        there |= {row["PartNumber"]: row["ETag"] for row in page.get("Parts", ())}
        if not page.get("IsTruncated"):
            return upload, there
        marker = page["NextPartNumberMarker"]


def _uploads(fs: Any, bucket: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield the unfinished uploads of a key; a page also lists those of keys that it prefixes."""
    at: dict[str, str] = {}
    while True:
        page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key, **at)
        yield from (row for row in page.get("Uploads", ()) if row["Key"] == key)
        if not page.get("IsTruncated"):
            return
        at = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextUploadIdMarker"):
            at["UploadIdMarker"] = page["NextUploadIdMarker"]
