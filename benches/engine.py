"""Run the criterion benches of the engine (crates/behemoth-gen/benches), and record the results.

    python benches/engine.py                  # all of them, minutes
    python benches/engine.py permutation      # those whose name contains this word

Figures are criterion's medians in nanoseconds per iteration, by group and name.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import machine

ROOT = Path(__file__).parents[1]


def medians(since: float) -> dict[str, float]:
    """What criterion wrote from a time on."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = {}
    for file in sorted((target / "criterion").glob("**/new/estimates.json")):
        if file.stat().st_mtime >= since:
            about = json.loads(file.with_name("benchmark.json").read_text(encoding="utf-8"))
            estimates = json.loads(file.read_text(encoding="utf-8"))
            found[f"{about['full_id']}_ns"] = estimates["median"]["point_estimate"]
    return found


def main() -> None:
    """Run them, and record what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="*", help="words of names, as of `cargo bench`")
    machine.note_option(parser)
    options = parser.parse_args()
    command = ["cargo", "bench", "--workspace", "--benches"]
    began = time.time()
    done = subprocess.run([*command, "--", *options.filter], cwd=ROOT, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    machine.record("engine", medians(began), options.note)


if __name__ == "__main__":
    main()
