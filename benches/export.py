"""Bench of exports as text: tokens per second, compared with a plain write of the same bytes.

    python benches/export.py                    # some minutes, 2 GB of disk
    python benches/export.py --tokens 1e7 --rounds 1

Three corpora (template words, the words of a grammar, and those in a byte-level BPE) are exported
as `text`, as `parquet`, and as `parquet` without compression. The floor of each row is one write of
the files' bytes, synced as the export syncs them, in turn with it in one run; it does not decode,
compress or hash. Beside Parquet is what polars needs to write the same documents from frames that
it holds. Opening the corpus, which encodes the words of a grammar and does not depend on the number
of tokens, is reported by itself and is in no other number. Decoding and hashing alone, written to
nowhere, is reported by the time of one core.
It asserts no times.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl

import behemoth as bh
import machine
from behemoth.export.source import Source
from generate import plain_write

VOCABULARY = 4096
PIECE = 1 << 18
WAYS = {
    "text": {"to": "text"},
    "parquet": {"to": "parquet"},
    "parquet, none": {"to": "parquet", "compression": "none"},
}


def corpora(tokens: float, place: Path) -> dict[str, Path]:
    """Write the corpora, of about so many tokens each."""
    bh.train_tokenizer("bios-en", place / "bpe", vocabulary=VOCABULARY)
    facts = bh.World(subjects=max(100, int(tokens / 72)), relations=6, objects=300)
    people = bh.Grammar.named("bios-en").world(subjects=max(100, int(tokens / 500)))
    bios = {"order": "bios", "exposures": 5, "grammar": "bios-en"}
    made = {
        "templates": bh.Corpus(facts, exposures=1),
        "bios-en, words": bh.Corpus(people, **bios),  # type: ignore[arg-type]
        "bios-en, BPE": bh.Corpus(people, tokenizer=place / "bpe", **bios),  # type: ignore[arg-type]
    }
    for name, corpus in made.items():
        corpus.write(place / name, probes=0)
    return {name: place / name for name in made}


def opening(directory: Path) -> tuple[float, float]:
    """Seconds and processor seconds in which a corpus and its decoder are opened."""
    began, worked = time.perf_counter(), time.process_time()
    _ = Source(directory).corpus.decoder
    return time.perf_counter() - began, time.process_time() - worked


def decoding(directory: Path) -> float:
    """Tokens a second of one core that are made lines, hashed, and written to nowhere."""
    source = Source(directory)
    decoder = source.corpus.decoder
    began = time.process_time()
    for shard in source.shards:
        decoder.write_lines(Path(os.devnull), shard.documents(PIECE))
    return source.tokens / (time.process_time() - began)


def exported(directory: Path, way: dict[str, str], out: Path) -> tuple[float, float, int, int]:
    """Seconds, processor seconds, tokens and bytes of an export into a new directory."""
    began, worked = time.perf_counter(), time.process_time()
    done = bh.export(directory, out, **way)  # type: ignore[arg-type]
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    assert done.tokens is not None
    return seconds, processor, done.tokens, done.bytes


def rewritten(out: Path, again: Path) -> float:
    """Seconds in which polars writes the Parquet files of an export that it holds in memory."""
    frames = [pl.read_parquet(file) for file in sorted(out.glob("*.parquet"))]
    began = time.perf_counter()
    for frame in frames:
        frame.write_parquet(again)
    return time.perf_counter() - began


def main() -> None:
    """Parse the options, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=float, default=5e7, help="of each corpus, about [5e7]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    machine.note_option(parser)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    print(
        "| export | M tokens/s | of one core's time | bytes a token | floor | seconds : floor "
        "| polars alone | decoding and hashing | opening |"
    )
    print(f"|{' --- |' * 9}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        place = Path(folder)
        for name, directory in corpora(options.tokens, place).items():
            alone = decoding(directory)
            for to, way in WAYS.items():
                rows = []
                for _ in range(options.rounds):
                    out = place / "out"
                    opened, opened_working = opening(directory)
                    seconds, processor, tokens, size = exported(directory, way, out)
                    floor = plain_write(place / "plain", size)
                    polars = rewritten(out, place / "again") if way["to"] == "parquet" else 0.0
                    shutil.rmtree(out)
                    seconds, processor = seconds - opened, processor - opened_working
                    rows.append((seconds, processor, floor, polars, opened))
                seconds, processor, floor, polars, opened = (
                    statistics.median(row[at] for row in rows) for at in range(5)
                )
                ratio = statistics.median(row[0] / row[2] for row in rows)
                beside = f"{tokens / polars / 1e6:.0f}" if polars else ""
                print(
                    f"| {name} to {to} | {tokens / seconds / 1e6:.0f} "
                    f"| {tokens / processor / 1e6:.0f} | {size / tokens:.1f} | {floor:.2f} s "
                    f"| {ratio:.2f} | {beside} | {alone / 1e6:.0f} | {opened:.2f} s |"
                )
                figures |= {
                    f"{name} to {to}: tokens_per_second": tokens / seconds,
                    f"{name} to {to}: tokens_per_core_second": tokens / processor,
                    f"{name} to {to}: floor_ratio": ratio,
                }
                if polars:
                    figures[f"{name} to {to}: polars_tokens_per_second"] = tokens / polars
            figures[f"{name}: decoded_tokens_per_core_second"] = alone
    print()
    machine.show()
    machine.record("export", figures, options.note)


if __name__ == "__main__":
    main()
