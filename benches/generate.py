"""End-to-end bench of `behemoth gen`: time compared with a plain write, memory, start-up, fill.

    python benches/generate.py                          # about 3 GB of disk, some minutes
    python benches/generate.py --facts 1e6 --rounds 1   # a quick look

It prints one Markdown table, adds a line to history.jsonl and, with `--out FILE`, writes all
results as JSON. It asserts no times.

It measures complete processes, as a user starts them. The plain write and `gen` take turns in one
run and on one file system, since the speed of a disk drifts by more than the difference between
them; both end only when their data is on the disk (fsync). `gen` bypasses the page cache if
possible, so a plain write that does so is measured too; in `--directory /dev/shm`, where that is
not possible, both use the cache. This process imports nothing heavy, because on Linux the peak
memory of a child is at least that of its parent when the child was started.
"""

import argparse
import errno
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

BUFFER_BYTES = 8 * 2**20
REFERENCE_SENTENCES_PER_SECOND = 33_000  # stated for the reference with tokenisation, on 2 cores
MEMORY_RUNS: tuple[tuple[str, str | None], ...] = (("1e6", None), ("1e8", None), ("1e10", "0/200"))


@dataclass(frozen=True)
class Finished:
    """A process that has ended well."""

    seconds: float  # wall time, from before its start to after its end
    peak_bytes: int  # most resident memory
    stdout: str


def run(command: Sequence[str]) -> Finished:
    """Run a command to its end; its messages are shown only if it fails."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {process.returncode}\n{stderr.read()}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Finished(seconds, usage.ru_maxrss * unit, stdout.read())


def behemoth(*arguments: str) -> list[str]:
    """Return the command line of this environment's own `behemoth`."""
    return [str(Path(sys.executable).parent / "behemoth"), *arguments]


def gen(directory: Path, facts: str, part: str | None = None) -> tuple[Finished, dict[str, object]]:
    """Run `behemoth gen` into a fresh directory, and remove what it wrote."""
    out = directory / "corpus"
    shutil.rmtree(out, ignore_errors=True)
    command = behemoth("gen", "--facts", facts, "--out", str(out), "--json")
    if part is not None:
        command += ["--part", part]
    try:
        finished = run(command)
        size = sum(path.stat().st_size for path in (out / "tokens").glob("*.bin"))
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return finished, {**json.loads(finished.stdout), "bytes": size}


def plain_write(path: Path, size: int, flags: int = 0) -> float:
    """Seconds to write `size` bytes to a fresh file from one buffer, and to sync it.

    With ``os.O_DIRECT`` among the flags past the page cache, `size` rounded up to whole pages.
    """
    # Memory of its own pages, which direct writes want.
    buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    buffer[:] = os.urandom(BUFFER_BYTES)
    if flags:
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    try:
        start = time.perf_counter()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o644)
        try:
            position = 0
            while position < size:
                position += os.pwrite(file, buffer[: size - position], position)
            os.fsync(file)
        finally:
            os.close(file)
        return time.perf_counter() - start
    finally:
        path.unlink(missing_ok=True)


def direct_write(path: Path, size: int) -> float | None:
    """The same past the page cache; none where the file system does not do that."""
    try:
        return plain_write(path, size, getattr(os, "O_DIRECT", 0))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None


def bench_write(directory: Path, facts: str, rounds: int) -> dict[str, object]:
    """Time `gen` and a plain write of the same bytes, in turns."""
    report(f"gen of {facts} facts against a plain write")
    gen(directory, "1e4")  # the files of the program itself come from memory from here on
    gens: list[float] = []
    writes: list[float] = []
    directs: list[float] = []
    summary: dict[str, object] = {}
    for round_ in range(rounds):
        os.sync()
        finished, summary = gen(directory, facts)
        gens.append(finished.seconds)
        os.sync()
        writes.append(plain_write(directory / "plain", size_of(summary)))
        os.sync()
        direct = direct_write(directory / "plain", size_of(summary))
        directs += [] if direct is None else [direct]
        told = "" if direct is None else f", direct {direct:.2f} s"
        report(f"  round {round_ + 1}: gen {gens[-1]:.2f} s, plain write {writes[-1]:.2f} s{told}")
    seconds = statistics.median(gens)
    return {
        "facts": facts,
        "bytes": summary["bytes"],
        "sentences": summary["sentences"],
        "tokens": summary["tokens"],
        "gen_seconds": gens,
        "write_seconds": writes,
        "gen_median_seconds": seconds,
        "write_median_seconds": statistics.median(writes),
        "ratio": seconds / statistics.median(writes),
        "direct_median_seconds": statistics.median(directs) if directs else None,
        "direct_ratio": seconds / statistics.median(directs) if directs else None,
        "tokens_per_second": float(str(summary["tokens"])) / seconds,
        "sentences_per_second": float(str(summary["sentences"])) / seconds,
    }


def bench_memory(directory: Path, limit: float) -> list[dict[str, object]]:
    """Peak memory of `gen` for worlds of very different sizes, up to `limit` facts."""
    results = []
    for facts, part in MEMORY_RUNS:
        if float(facts) > limit and part is None:
            continue
        report(f"peak memory of gen: {facts} facts" + (f", part {part}" if part else ""))
        finished, summary = gen(directory, facts, part)
        results.append(
            {
                "facts": facts,
                "part": part,
                "peak_bytes": finished.peak_bytes,
                "bytes": summary["bytes"],
                "seconds": finished.seconds,
            }
        )
    return results


def bench_help(runs: int = 10) -> dict[str, object]:
    """Time `behemoth --help`."""
    report("behemoth --help")
    run(behemoth("--help"))
    seconds = [run(behemoth("--help")).seconds for _ in range(runs)]
    return {"seconds": seconds, "median_seconds": statistics.median(seconds)}


def bench_fill(rounds: int) -> dict[str, object]:
    """Run fill.py, in a process of its own because it needs numpy and large buffers."""
    report("fill: tokens into memory")
    script = Path(__file__).with_name("fill.py")
    finished = run([sys.executable, str(script), "--json", "--rounds", str(rounds)])
    return json.loads(finished.stdout)


def size_of(summary: dict[str, object]) -> int:
    """Bytes of tokens that a run of `gen` wrote."""
    return int(str(summary["bytes"]))


def report(message: str) -> None:
    """Tell a waiting person what is going on."""
    print(message, file=sys.stderr, flush=True)


def table(results: dict[str, object]) -> str:
    """All results as one Markdown table with its context below."""
    write, memory, start, fill = (results[k] for k in ("write", "memory", "help", "fill"))
    assert isinstance(write, dict)
    assert isinstance(memory, list)
    assert isinstance(start, dict)
    assert isinstance(fill, dict)
    stated = REFERENCE_SENTENCES_PER_SECOND
    rows = [
        (
            f"`gen --facts {write['facts']}`, {write['bytes'] / 1e9:.2f} GB",
            f"{write['gen_median_seconds']:.2f} s "
            f"({write['tokens_per_second'] / 1e6:.0f} M tokens/s)",
        ),
        (
            "plain write of the same bytes",
            f"{write['write_median_seconds']:.2f} s "
            f"({write['bytes'] / write['write_median_seconds'] / 1e9:.2f} GB/s)",
        ),
        ("`gen` : plain write", f"{write['ratio']:.2f}"),
    ]
    if write["direct_ratio"] is not None:
        rows += [
            ("the same past the page cache", f"{write['direct_median_seconds']:.2f} s"),
            ("`gen` : direct write", f"{write['direct_ratio']:.2f}"),
        ]
    for entry in memory:
        part = f" --part {entry['part']}" if entry["part"] else ""
        rows.append(
            (
                f"peak memory of `gen --facts {entry['facts']}{part}`",
                f"{entry['peak_bytes'] / 1e6:.0f} MB",
            )
        )
    rows.append(("`behemoth --help`", f"{start['median_seconds']:.2f} s"))
    base = fill["families"][0]["tokens_per_second"]
    for family in fill["families"]:
        rate = family["tokens_per_second"]
        rows.append(
            (
                f"`Corpus.fill`, {family['family']}",
                f"{rate / 1e6:.0f} M tokens/s"
                + (f" (1 : {base / rate:.2f})" if rate != base else ""),
            )
        )
    rows.append(
        (
            "sentences on the disk a second",
            f"{write['sentences_per_second'] / 1e6:.1f} M = "
            f"{write['sentences_per_second'] / stated:,.0f} x the reference's stated {stated:,}",
        )
    )
    rows.append(
        (
            "sentences into memory a second",
            f"{fill['families'][0]['sentences_per_second'] / 1e6:.1f} M = "
            f"{fill['families'][0]['sentences_per_second'] / stated:,.0f} x the same",
        )
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"| {'what':{width}} | median |", f"| {'-' * width} | --- |"]
    lines += [f"| {name:{width}} | {value} |" for name, value in rows]
    context = results["context"]
    assert isinstance(context, dict)
    lines += ["", *(f"{key}: {value}  " for key, value in context.items())]
    return "\n".join(lines)


def figures(results: dict[str, Any]) -> dict[str, float | None]:
    """What is kept of them in history.jsonl."""
    found = {
        f"{name}_{unit}": results["write"][key]
        for name, unit, key in (
            ("gen", "seconds", "gen_median_seconds"),
            ("plain_write", "seconds", "write_median_seconds"),
            ("gen_to_plain_write", "ratio", "ratio"),
            ("direct_write", "seconds", "direct_median_seconds"),
            ("gen_to_direct_write", "ratio", "direct_ratio"),
            ("gen", "bytes", "bytes"),
        )
    }
    for entry in results["memory"]:
        found[f"gen_{entry['facts']}_peak_bytes"] = entry["peak_bytes"]
    found["help_seconds"] = results["help"]["median_seconds"]
    for family in results["fill"]["families"]:
        found[f"fill_{family['family']}_tokens_per_second"] = family["tokens_per_second"]
    return found


def main() -> None:
    """Parse the options, run all parts, print the table, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facts", default="1e8", help="facts of the timed corpus [1e8]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="work in a new folder of this one [.]"
    )
    parser.add_argument("--out", type=Path, help="write the results to this file as JSON")
    machine.note_option(parser)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"argument --rounds: got {options.rounds}, allowed: 1 and more")
    need = max(40 * float(options.facts), 4e9 if float(options.facts) >= 1e8 else 2e9)
    free = shutil.disk_usage(options.directory).free
    if free < need:
        sys.exit(f"--directory: {free / 1e9:.1f} GB are free, about {need / 1e9:.1f} are needed")
    with tempfile.TemporaryDirectory(prefix="behemoth-bench-", dir=options.directory) as name:
        directory = Path(name)
        results: dict[str, object] = {
            "context": machine.describe(),
            "write": bench_write(directory, options.facts, options.rounds),
            "memory": bench_memory(directory, float(options.facts)),
            "help": bench_help(),
            "fill": bench_fill(options.rounds),
        }
    print(table(results))
    machine.record("generate", figures(results), options.note)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
