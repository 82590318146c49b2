"""Bench of the data pipeline: tokens per second as torch batches, without a model.

    python benches/data.py             # about 200 MB of disk, two minutes
    python benches/data.py --rounds 9

One corpus is read in three ways: from its spec (nothing on the disk), from its shards (np.memmap,
in the page cache), and from the same shards by the loop of small training scripts (a view of the
map, astype, from_numpy, stack, for each block). They take turns, so that a drift of the machine's
clock affects all of them. It asserts no times.

The batches of a stream are made by one thread beside an idle consumer, as in training on a GPU, or
by one thread per core if the name of the way states it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import behemoth as bh
import machine

if TYPE_CHECKING:
    import torch

BLOCK_LENGTH = 512
SMALL, LARGE = 8, 1024  # blocks of a batch: a micro-batch of nano, and one for an accelerator
WARM_UP_TOKENS = 1 << 23
SECONDS = 1.0  # of each way in each round
GOAL = 200e6  # tokens a second from a spec on 2 cores


def stream(corpus: bh.Corpus, batch_size: int, **options: Any) -> Iterator["torch.Tensor"]:
    """Batches of behemoth's own stream."""
    from behemoth.train.data import BlockStream, DataConfig

    config = DataConfig(BLOCK_LENGTH, batch_size, **options)
    for batch in BlockStream(corpus, config):
        yield batch["input_ids"]


def script(corpus: bh.Corpus, batch_size: int) -> Iterator["torch.Tensor"]:
    """Batches by the loop of small training scripts, in order."""
    import torch

    data = np.memmap(corpus.directory / "tokens" / "00000.bin", dtype=corpus.dtype, mode="r")
    step = batch_size * BLOCK_LENGTH
    while True:
        for first in range(0, len(data) - step, step):
            starts = range(first, first + step, BLOCK_LENGTH)
            blocks = [
                torch.from_numpy(data[start : start + BLOCK_LENGTH].astype(np.int64))
                for start in starts
            ]
            yield torch.stack(blocks)


def rate(batches: Iterator["torch.Tensor"]) -> tuple[float, float]:
    """Tokens by wall time and by processor time of an iterator, once it runs."""
    tokens = 0
    while tokens < WARM_UP_TOKENS:
        tokens += next(batches).numel()
    tokens = 0
    began, worked = time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - began) < SECONDS:
        tokens += next(batches).numel()
    return tokens / seconds, tokens / (time.process_time() - worked)


def bench(rounds: int, directory: Path) -> dict[str, Any]:
    """Measure every way in turns."""
    world = bh.World(subjects=100_000, relations=6, objects=400, seed=0)
    corpus = bh.Corpus(world, exposures=14, shard_bytes=1 << 28)
    repeats = bh.Corpus(world, exposures=14, templates={"repeats": 1.0})
    corpus.write(directory, probes=0)
    stored = bh.Corpus.open(directory)
    ways: dict[str, Callable[[], Iterator[torch.Tensor]]] = {
        f"spec, one thread, batches of {SMALL}": lambda: stream(corpus, SMALL),
        f"spec, one thread, batches of {LARGE}": lambda: stream(corpus, LARGE),
        f"spec, all cores, batches of {SMALL}": lambda: stream(corpus, SMALL, threads=0),
        f"spec, all cores, batches of {LARGE}": lambda: stream(corpus, LARGE, threads=0),
        f"shards, one thread, batches of {SMALL}": lambda: stream(stored, SMALL),
        f"shards, one thread, batches of {LARGE}": lambda: stream(stored, LARGE),
        f"shards, a script's loop, batches of {SMALL}": lambda: script(stored, SMALL),
    }
    modes: dict[str, tuple[bh.Corpus, dict[str, Any]]] = {
        "spec, answers only": (corpus, {"answers_only": True}),
        "spec, document mask": (corpus, {"document_mask": True}),
        "spec, answers and mask": (corpus, {"answers_only": True, "document_mask": True}),
        "spec, sentences of varying length": (repeats, {}),
        "spec, varying length, answers only": (repeats, {"answers_only": True}),
    }
    for name, (source, mode) in modes.items():
        ways[name] = partial(stream, source, SMALL, **mode)
        ways[f"{name}, all cores"] = partial(stream, source, SMALL, threads=0, **mode)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(rate(way()))
    return {
        "corpus_tokens": corpus.count_tokens(),
        "ways": [
            {
                "way": name,
                "tokens_per_second": statistics.median(rate for rate, _ in found),
                "tokens_per_processor_second": statistics.median(rate for _, rate in found),
                "rounds": [rate for rate, _ in found],
            }
            for name, found in rates.items()
        ],
    }


def main() -> None:
    """Parse the options, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--json", action="store_true", help="print one JSON object instead")
    machine.note_option(kept)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        results = bench(options.rounds, Path(place) / "corpus")
    if options.json:
        print(json.dumps(results))
        return
    print("| way : goal | M tokens/s | worst to best round | M tokens/processor second | way |")
    print("| --- | --- | --- | --- | --- |")
    for way in results["ways"]:
        tokens, found = way["tokens_per_second"], way["rounds"]
        print(
            f"| {tokens / GOAL:.2f} | {tokens / 1e6:.0f} | {min(found) / 1e6:.0f} to "
            f"{max(found) / 1e6:.0f} | {way['tokens_per_processor_second'] / 1e6:.0f} "
            f"| {way['way']} |"
        )
    print(
        f"\nThe goal is {GOAL / 1e6:.0f} M tokens/s from a spec on 2 cores. Processor seconds are"
    )
    print("of all threads of this process: what a busy machine cannot take away.\n")
    machine.show()
    kinds = "tokens_per_second", "tokens_per_processor_second"
    rates = {f"{way['way']}_{kind}": way[kind] for kind in kinds for way in results["ways"]}
    machine.record("data", rates, options.note)


if __name__ == "__main__":
    main()
