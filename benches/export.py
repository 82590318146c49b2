"""Bench of exports as text: tokens per second, compared with a plain write of the same bytes.

    python benches/export.py                    # some minutes, 2 GB of disk
    python benches/export.py --tokens 1e7 --rounds 1

Three corpora (template words, the words of a grammar, and those in a byte-level BPE) are exported
as `text` and as `parquet`. The floor of each row is one write of the files' bytes, synced as the
export syncs them, in turn with it in one run. For Parquet it also includes the time polars needs to
compress and write frames that are in memory, since polars makes the bytes of these files. Decoding
alone, into memory, is reported by the time of one core. It asserts no times.
"""

import argparse
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
FORMATS = ("text", "parquet")


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


def decoding(directory: Path) -> float:
    """Tokens a second of one core that are made lines in memory."""
    source = Source(directory)
    decoder = source.corpus.decoder
    began = time.process_time()
    for shard in source.shards:
        for piece in shard.documents(PIECE):
            decoder.lines(piece)
    return source.tokens / (time.process_time() - began)


def exported(directory: Path, to: str, out: Path) -> tuple[float, float, int, int]:
    """Seconds, processor seconds, tokens and bytes of an export into a new directory."""
    began, worked = time.perf_counter(), time.process_time()
    done = bh.export(directory, out, to=to)
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
    print("| export | M tokens/s | of one core's time | floor | seconds : floor | decoding alone |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        place = Path(folder)
        for name, directory in corpora(options.tokens, place).items():
            alone = decoding(directory)
            for to in FORMATS:
                rows = []
                for _ in range(options.rounds):
                    out = place / "out"
                    seconds, processor, tokens, size = exported(directory, to, out)
                    write = plain_write(place / "plain", size)
                    polars = rewritten(out, place / "again") if to == "parquet" else 0.0
                    shutil.rmtree(out)
                    rows.append((seconds, processor, write + polars, tokens))
                seconds, processor, floor = (
                    statistics.median(row[at] for row in rows) for at in range(3)
                )
                ratio = statistics.median(row[0] / row[2] for row in rows)
                count = rows[0][3]
                print(
                    f"| {name} to {to} | {count / seconds / 1e6:.0f} "
                    f"| {count / processor / 1e6:.0f} | {floor:.2f} s | {ratio:.2f} "
                    f"| {alone / 1e6:.0f} |"
                )
                figures |= {
                    f"{name} to {to}: tokens_per_second": count / seconds,
                    f"{name} to {to}: tokens_per_core_second": count / processor,
                    f"{name} to {to}: floor_ratio": ratio,
                }
            figures[f"{name}: decoded_tokens_per_core_second"] = alone
    print()
    machine.show()
    machine.record("export", figures, options.note)


if __name__ == "__main__":
    main()
