"""Bench of threads: tokens per second with 1, 2, 4, ... threads, up to the number of cores.

    python benches/scaling.py                   # a minute, 200 MB of disk
    python benches/scaling.py --most 16         # more threads than cores, too

It measures tokens into memory from a spec (`fill_tokens`), a corpus to the disk (`write`, synced)
and its text into memory (the decoder of `behemoth export`). Each rate is followed by its ratio to
that of one thread. It asserts no times.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import behemoth as bh
import machine
from behemoth.export.source import Source
from behemoth.support.provenance import cores

BUFFER_TOKENS = 1 << 24
PIECE = 1 << 18


def ways(place: Path) -> dict[str, Callable[[int], int]]:
    """What is measured: each takes a number of threads and gives the tokens that it made."""
    world = bh.World(subjects=300_000, relations=6, objects=400)
    corpus = bh.Corpus(world, exposures=4, shard_bytes=1 << 24)
    corpus.write(place / "text", probes=0)
    source = Source(place / "text")
    decoder = source.corpus.decoder
    buffer = np.ones(BUFFER_TOKENS, np.uint16)

    def written(threads: int) -> int:
        return corpus.write(place / "corpus", threads=threads, probes=0, force=True).tokens

    def decoded(threads: int) -> int:
        pieces = [piece for shard in source.shards for piece in shard.documents(PIECE)]
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(decoder.lines, pieces):
                pass
        return source.tokens

    return {
        "spec to memory": lambda threads: corpus.fill_tokens(buffer, threads=threads),
        "spec to disk": written,
        "tokens to text": decoded,
    }


def main() -> None:
    """Parse the options, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    parser.add_argument("--most", type=int, default=cores(), help="threads at the most [cores]")
    machine.note_option(parser)
    options = parser.parse_args()
    counts = [1 << bits for bits in range(options.most.bit_length())]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        measured = ways(Path(folder))
        rates: dict[tuple[str, int], list[float]] = {}
        for _ in range(options.rounds):
            for name, way in measured.items():
                for threads in counts:
                    began = time.perf_counter()
                    tokens = way(threads)
                    rate = tokens / (time.perf_counter() - began)
                    rates.setdefault((name, threads), []).append(rate)
    medians = {key: statistics.median(found) for key, found in rates.items()}
    print("| M tokens/s | " + " | ".join(map(str, counts)) + " |")
    print("| --- |" + " --- |" * len(counts))
    for name in measured:
        own = (medians[name, threads] for threads in counts)
        cells = (f"{rate / 1e6:.0f} ({rate / medians[name, 1]:.2f})" for rate in own)
        print(f"| {name} | {' | '.join(cells)} |")
    print()
    machine.show()
    figures = {
        f"{name}, {threads} threads: tokens_per_second": rate
        for (name, threads), rate in medians.items()
    }
    machine.record("scaling", figures, options.note)


if __name__ == "__main__":
    main()
