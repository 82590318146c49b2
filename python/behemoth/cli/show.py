"""Text output of `behemoth gen`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behemoth.support.text import bytes_text, plural_text, rate_text

from .console import console, values_table

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.corpus.write import Estimate, Written


def show_written(corpus: Corpus, written: Written, part: tuple[int, int]) -> None:
    """Print the counts of a written corpus, with two sample sentences."""
    from behemoth.corpus.inspection import sample_text

    if (said := headline(written, part)) is not None:
        console(stderr=True).print(said)
    table = values_table()
    table.add_row("out", written.out)
    table.add_row("facts", f"{written.facts:,} ({corpus.world.entropy:,.0f} bits)")
    table.add_row("sentences", f"{written.sentences:,}")
    table.add_row(
        "tokens", f"{written.tokens:,} ({written.dtype}, vocabulary {written.vocabulary:,})"
    )
    table.add_row("bytes", f"{written.bytes:,} ({bytes_text(written.bytes)})")
    if written.shards_written:
        table.add_row("time", f"{written.seconds:.2f} s ({rate_text(written.tokens_per_second)})")
    out = console()
    out.print(table)
    for text in sample_text(corpus, 2):
        out.print(f"sample     {text}")


def headline(written: Written, part: tuple[int, int]) -> str | None:
    """Return a line on what the counts do not say: files that were there or are not, a part.

    None if this call wrote all of a corpus, which the counts say.
    """
    if written.shards_locked:
        return f"another process is writing {written.shards_locked} shards of {written.out}"
    name = written.out if part == (0, 1) else f"part {part[0]}/{part[1]} of {written.out}"
    if written.shards_written == written.shards_present == 0:
        return f"{name} has no shards: the corpus has {written.shards} in all"
    if written.shards_written == 0 and written.files_written:
        return (
            f"{name} is finished: all shards were there, other files were missing or have changed"
        )
    if written.shards_written == 0:
        return f"{name} is already finished; --force rewrites it"
    if written.shards_present:
        counts = f"{written.shards_written} shards written, {written.shards_present} were there"
        return f"{name} is finished: {counts}"
    return None if part == (0, 1) else f"{name} is finished"


def show_estimate(expected: Estimate, out: str | None) -> None:
    """Print the estimate of a dry run."""
    table = values_table()
    table.add_row("facts", f"{expected.facts:,}")
    table.add_row("bits", f"{expected.entropy_bits:,.0f}")
    table.add_row("sentences", f"{expected.sentences:,} in {expected.documents:,} documents")
    about = "" if expected.exact else "about "
    table.add_row("tokens", f"{about}{expected.tokens:,}")
    table.add_row("vocabulary", f"{expected.vocabulary:,} ({expected.dtype})")
    table.add_row("bytes", f"{about}{expected.bytes:,} in {plural_text(expected.shards, 'shard')}")
    table.add_row("disk needed", bytes_text(expected.disk_needed))
    table.add_row("disk free", f"{bytes_text(expected.disk_free)} at {out or '.'}")
    console().print(table)
    if expected.disk_needed > expected.disk_free:
        console(stderr=True).print("behemoth: that is more than the disk has free")
