"""Bench of text: tokens per second into memory, next to template families and a Python generator.

    python benches/text.py                  # some minutes; trains a tokenizer first
    python benches/text.py --rounds 1       # a quick look

The engine writes `bios-en` in words and in the tokens of a byte-level BPE, and the template
families `default` and `bios`. It is compared with a generator in Python like those of papers on
biographies: it draws a person's facts, fills templates, joins a document, and encodes it with the
same BPE (`tokenizers`, all cores, in batches). It writes the statements of the same grammar, but no
joint ones. All take turns in one run, so that a drift of the machine's clock affects all of them;
the ratios are what matters. Besides the rates of all cores it reports rates per second of processor
time, summed over all threads, which are the most reliable on a busy machine. It asserts no times.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

import behemoth as bh
import machine

SUBJECTS = 1_000_000
EXPOSURES = 20
VOCABULARY = 4096
BUFFER_TOKENS = 16 * 2**20
DOCUMENTS = 4_000  # of the Python generator in one round


SECONDS = 1.0  # of filling, for one corpus in one round


def measure(corpus: bh.Corpus, buffer: np.ndarray, offset: int) -> tuple[float, float]:
    """Tokens a second, and a second of processor time, of filling a buffer again and again."""
    tokens = 0
    last = corpus.num_documents // 2  # from here on a full buffer remains
    start = offset % last
    wall, processor = time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - wall) < SECONDS or not tokens:
        tokens += corpus.fill(buffer, start)
        start = (start + 1_000_003) % last
    return tokens / seconds, tokens / (time.process_time() - processor)


def corpora(tokenizer: Path) -> dict[str, bh.Corpus]:
    """The corpora of the engine by name, all in documents of one subject but the first."""
    facts = bh.World(subjects=SUBJECTS, relations=6, objects=300)
    text = bh.Grammar.named("bios-en").world(subjects=SUBJECTS)
    bios = {"order": "bios", "exposures": EXPOSURES}
    written: dict[str, Any] = {**bios, "nested_exposures": 0, "grammar": "bios-en"}
    return {
        "templates, default": bh.Corpus(facts, exposures=EXPOSURES),
        "templates, bios": bh.Corpus(facts, **bios),  # type: ignore[arg-type]
        "bios-en, words": bh.Corpus(text, **written),
        "bios-en, BPE": bh.Corpus(text, tokenizer=tokenizer, **written),
    }


class PythonGenerator:
    """Biographies as scripts write them: random facts, templates, one string a document."""

    def __init__(self, source: str, seed: int = 0) -> None:
        grammar = tomllib.loads(source)
        self._lists = {
            name: words if isinstance(words, list) else range(words["from"], words["to"] + 1)
            for name, words in grammar["lists"].items()
        }
        self._subject = grammar["subject"]
        self._classes = list(self._subject["classes"].values())
        self._weights = [each.get("weight", 1) for each in self._classes]
        self._relations = []
        for relation in grammar["relations"].values():
            statements = [
                {"text": each} if isinstance(each, str) else each for each in relation["statements"]
            ]
            written = [each for each in statements if not each.get("held_out")]
            texts = [each["text"] for each in written]
            weights = [each.get("weight", 1) for each in written]
            self._relations.append((relation["objects"], texts, weights))
        self._random = random.Random(seed)

    def _filled(self, pattern: str, own: dict[str, str]) -> str:
        def word(match: re.Match[str]) -> str:
            name = own.get(match[1], match[1])
            return str(self._random.choice(self._lists[name]))

        return re.sub(r"\{(\w+)\}", word, pattern)

    def document(self) -> str:
        """A new person's biography: each fact once, in an order of its own."""
        own = self._random.choices(self._classes, self._weights)[0]
        name = self._filled(self._subject["name"], own.get("lists", {}))
        sentences = []
        relations = list(self._relations)
        self._random.shuffle(relations)
        for at, (objects, texts, weights) in enumerate(relations):
            mention = "named" if at == 0 else "pronoun"
            words = {
                key: value[mention] if isinstance(value, dict) else value
                for key, value in own.items()
                if key not in ("weight", "lists")
            }
            if at == 0:
                words |= {"pronoun": name, "possessive": f"{name}'s"}
            words |= {"subject": name, "object": self._filled(objects, {})}
            for key in ("pronoun", "possessive", "subject", "object"):
                words[key.capitalize()] = words[key][0].upper() + words[key][1:]
            text = self._random.choices(texts, weights)[0]
            sentences.append(text.format(**words))
        return " ".join(sentences)


def python_rates(tokenizer: Path, source: str, seed: int) -> list[tuple[float, float]]:
    """The same of the Python generator: with its tokenizer, and of the text alone."""
    generator = PythonGenerator(source, seed)
    encoder = tokenizers.Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    before, processor = time.perf_counter(), time.process_time()
    texts = [generator.document() for _ in range(DOCUMENTS)]
    written, used = time.perf_counter(), time.process_time()
    encoded = encoder.encode_batch(texts, add_special_tokens=False)
    tokens = np.concatenate([np.array(each.ids, np.uint16) for each in encoded])
    after, end = time.perf_counter(), time.process_time()
    count = len(tokens) + DOCUMENTS  # and the ends of documents
    both = (count / (after - before), count / (end - processor))
    return [both, (count / (written - before), count / (used - processor))]


def bench(rounds: int, tokenizer: Path) -> dict[str, list[tuple[float, float]]]:
    """Measure all in turns, by name and round: tokens a second, and a second of a core."""
    all_ = corpora(tokenizer)
    source = bh.Grammar.named("bios-en").source
    buffers = {name: np.ones(BUFFER_TOKENS, corpus.dtype) for name, corpus in all_.items()}

    rates: dict[str, list[tuple[float, float]]] = {}
    for name, corpus in all_.items():
        corpus.fill(buffers[name], 0)
    for round_ in range(rounds):
        for name, corpus in all_.items():
            rate = measure(corpus, buffers[name], 7_777_777 * round_)
            rates.setdefault(name, []).append(rate)
        both, text = python_rates(tokenizer, source, round_)
        rates.setdefault("Python and BPE", []).append(both)
        rates.setdefault("Python, text alone", []).append(text)
    return rates


def main() -> None:
    """Parse the options, measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--json", action="store_true", help="print one JSON object instead")
    machine.note_option(kept)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = Path(directory) / "bpe"
        bh.train_tokenizer("bios-en", tokenizer, vocabulary=VOCABULARY)
        rates = bench(options.rounds, tokenizer)
    if options.json:
        print(json.dumps(rates))
        return
    medians = {
        name: tuple(statistics.median(kind) for kind in zip(*own, strict=True))
        for name, own in rates.items()
    }
    base = medians["bios-en, BPE"][1]
    print("| generator | M tokens/s | M tokens/s of one core's time | bios-en with BPE : this |")
    print("| --- | --- | --- | --- |")
    for name, (rate, core) in medians.items():
        print(f"| {name} | {rate / 1e6:.3g} | {core / 1e6:.3g} | {base / core:.3g} |")
    print()
    machine.show()
    figures = {f"{name}: tokens_per_second": rate for name, (rate, _) in medians.items()}
    figures |= {f"{name}: tokens_per_core_second": core for name, (_, core) in medians.items()}
    machine.record("text", figures, options.note)


if __name__ == "__main__":
    main()
