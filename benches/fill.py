"""Bench of `Corpus.fill`: tokens per second into memory, on all cores, for each sentence family.

    python benches/fill.py

The buffer is allocated and touched beforehand, so that the engine is measured and not memory
allocation by the kernel. The families take turns, so that a drift of the machine's clock affects
all of them; the ratios to the default template are what matters. It asserts no times.
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

import behemoth as bh
import machine

SUBJECTS = 16_666_667  # with 6 relations the world of `behemoth gen --facts 1e8`
FAMILIES: dict[str, dict[str, Any]] = {
    "default": {"templates": {"default": 1.0}},
    "repeats": {"templates": {"repeats": 1.0}},
    "nonsense": {"templates": {"nonsense": 1.0}},
    "bios": {"order": "bios"},
}
BUFFER_TOKENS = 32 * 2**20
SECONDS = 1.0  # of filling, for one family in one round


def measure(corpus: bh.Corpus, buffer: np.ndarray, offset: int) -> tuple[float, float]:
    """Fill the buffer again and again from different places.

    Returns
    -------
    tokens, sentences : float
        Of each how many a second.
    """
    tokens = documents = 0
    seconds = 0.0
    last = corpus.num_documents // 2  # from here on a full buffer remains
    start = offset % last
    while seconds < SECONDS:
        before = time.perf_counter()
        filled = corpus.fill(buffer, start)
        seconds += time.perf_counter() - before
        tokens += filled
        documents += int(np.count_nonzero(buffer[:filled] == 0))  # EOS is token 0
        start = (start + 1_000_003) % last
    sentences = documents * corpus.num_sentences / corpus.num_documents
    return tokens / seconds, sentences / seconds


def bench(rounds: int) -> dict[str, Any]:
    """Measure every family in turns."""
    world = bh.World(subjects=SUBJECTS, relations=6, objects=400, seed=0)
    corpora = {name: bh.Corpus(world, **options) for name, options in FAMILIES.items()}
    buffers = {name: np.ones(BUFFER_TOKENS, corpus.dtype) for name, corpus in corpora.items()}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in corpora}
    for name, corpus in corpora.items():
        corpus.fill(buffers[name], 0)
    for round_ in range(rounds):
        for name, corpus in corpora.items():
            rates[name].append(measure(corpus, buffers[name], 7_777_777 * round_))
    return {
        "buffer_tokens": BUFFER_TOKENS,
        "families": [
            {
                "family": name,
                "tokens_per_second": statistics.median(rate for rate, _ in pairs),
                "sentences_per_second": statistics.median(rate for _, rate in pairs),
                "rounds": [rate for rate, _ in pairs],
            }
            for name, pairs in rates.items()
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
    results = bench(options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    base = results["families"][0]["tokens_per_second"]
    print("| family | M tokens/s | M sentences/s | default : family |")
    print("| --- | --- | --- | --- |")
    for family in results["families"]:
        tokens, sentences = family["tokens_per_second"], family["sentences_per_second"]
        print(
            f"| {family['family']} | {tokens / 1e6:.0f} | {sentences / 1e6:.1f} "
            f"| {base / tokens:.2f} |"
        )
    print()
    machine.show()
    rates = {f"{row['family']}_tokens_per_second": row["tokens_per_second"]
             for row in results["families"]}  # fmt: skip
    machine.record("fill", rates, options.note)


if __name__ == "__main__":
    main()
