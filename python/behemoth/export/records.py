"""Records as JSON: as one list, or one per line; existing files are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from behemoth.support.files import replacing
from behemoth.support.progress import ProgressLike, task

if TYPE_CHECKING:
    from .planned import Asked, Edit, Planned

__all__ = ["Record", "edit_list", "save_lines", "save_list"]

Record: TypeAlias = Mapping[str, Any]


def save_list(records: Iterable[Record], path: Path) -> None:
    """Write records as one JSON list, each on its own line."""
    if path.exists():
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        between = "[\n"
        for record in records:
            file.write(between + _json(record))
            between = ",\n"
        file.write("[]\n" if between == "[\n" else "\n]\n")


def edit_list(
    record: Callable[[Edit, Sequence[Asked]], Record], name: str
) -> Callable[[Planned, Path, ProgressLike], None]:
    """Return a writer for a bridge of one file: a list with one record per edit."""

    def write(planned: Planned, out: Path, progress: ProgressLike) -> None:
        with task(progress, "exporting", "edits") as step:

            def records() -> Iterator[Record]:
                for number, (edit, asked) in enumerate(planned.edits()):
                    yield record(edit, asked)
                    step(number + 1, len(planned.plan))

            save_list(records(), out / name)

    return write


def save_lines(records: Iterable[Record], path: Path) -> None:
    """Write records as JSON lines."""
    if path.exists():
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(_json(record) + "\n")


def _json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False)
