"""The local engine and its workers, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.work.local import LocalEngine
from behemoth.study.work.run import run_study


@pytest.fixture(scope="module")
def short(tiny):
    """One model and one trial."""
    text = tiny.replace("[0, 1]", "[0]").replace("rank = [1, 4]", "rank = [4]")
    head, _, rest = text.partition('[[method]]\nname = "grad_ascent"')
    return head + rest[rest.index("[grid]") :]


def events(engine, kinds, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for event in engine.wait(0.1):
            if event.kind in kinds:
                return event
    raise AssertionError("nothing came about")


@pytest.mark.slow
def test_processes_find_what_this_process_finds(tiny, finished, tmp_path):
    text = (finished[0] / "study.toml").read_text()
    seen = []
    result = run_study(Study.parse(text), tmp_path / "s", workers=2, progress=seen.append)
    assert (result.done, result.failed, result.trained, result.carried_out) == (8, 0, 2, 8)
    assert max(at.details.running for at in seen if at.details) == 2
    more = {"edits": [], "probes": ["probe", "stage"], "retention": ["step"]}
    for name, keys in more.items():
        order = ["trial", "edit", *keys]
        mine, theirs = (
            getattr(Results.open(place), name)
            .collect()
            .sort(order)
            .select(pl.selectors.float(), pl.selectors.integer(), pl.selectors.boolean())
            for place in (tmp_path / "s", finished[0])
        )
        for column in mine.columns:
            close = (mine[column].cast(float) - theirs[column].cast(float)).abs().max()
            assert close is None or close < 1e-3, column


def test_a_worker_whose_run_was_killed_begins_nothing(tmp_path):
    """Its input ends while it still imports, with a unit in it that nobody would hear of."""
    command = [sys.executable, "-m", "behemoth.study.work.worker", str(tmp_path)]
    ended = subprocess.run(
        command, input='{"kind": "bogus"}\n', capture_output=True, text=True, timeout=120
    )
    assert [json.loads(line)["event"] for line in ended.stdout.splitlines()] == ["ready"]
    assert ended.returncode == 0, ended.stderr


@pytest.mark.faults
def test_a_worker_that_is_killed_fails_its_unit_and_another_takes_its_place(short, tmp_path):
    unit = next(iter(Study.parse(short).expand().models.values()))
    (tmp_path / "s").mkdir()
    engine = LocalEngine(tmp_path / "s", workers=1, threads=1)
    try:
        long = replace(unit, config=replace(unit.config, steps=100_000))
        engine.submit(0, long)
        events(engine, {"progress"})
        os.kill(engine.workers.pids[0], signal.SIGKILL)
        event = events(engine, {"failed"})
        assert event.reason.startswith("the worker was killed by signal 9")
        # The run directory says what it was; the same goes on in the new worker.
        engine.submit(0, long)
        assert events(engine, {"progress", "failed"}).kind == "progress"
    finally:
        began = time.monotonic()
        pid = engine.workers.pids[0]
        engine.close()
    assert time.monotonic() - began < 60  # and 100,000 steps take far longer
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def start(command, text, out):
    file = out.parent / "study.toml"
    file.write_text(text)
    return subprocess.Popen(
        [*command, "study", "run", str(file), "--out", str(out), "--workers", "1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition, seconds=240):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def workers_of(out):
    """Processes that work for a study."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_text(encoding="utf-8").split("\0")
        except OSError:
            continue
        if "behemoth.study.work.worker" in words and str(out) in words:
            found.append(int(place.parent.name))
    return found


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_study_that_is_stopped_leaves_no_workers_and_goes_on(short, command, tmp_path, how):
    out = tmp_path / "s"
    text = short.replace("steps = 5", "steps = 3000\ncheckpoint_interval = 20")
    process = start(command, text, out)
    wait_for(lambda: list(out.glob("models/*/checkpoints/step-*")))
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        assert f"stopped: run the same command again to resume {out}" in err
        assert "Traceback" not in err
    wait_for(lambda: not workers_of(out))
    steps = {int(place.name[5:]) for place in out.glob("models/*/checkpoints/step-*")}
    assert steps and max(steps) < 3000
    # It takes up the checkpoint: no step of those before it is made again.
    record = next(out.glob("models/*/metrics.jsonl"))
    before = len(record.read_text().splitlines())
    process = start(command, text, out)
    wait_for(lambda: len(record.read_text().splitlines()) > before + 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    wait_for(lambda: not workers_of(out))
    after = {int(place.name[5:]) for place in out.glob("models/*/checkpoints/step-*")}
    assert max(after) >= max(steps)


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_study_that_is_killed_again_and_again_is_done_in_the_end(short, command, tmp_path):
    out = tmp_path / "s"
    # While it trains, while it edits, and when the first of two trials is recorded.
    text = short.replace("rank = [4]", "rank = [1, 4]").replace("steps = 5", "steps = 100")
    done: dict[Path, int] = {}
    for sign in ("models/*/run.json", "trials/*", "trials/*/trial.json"):
        process = start(command, text, out)
        wait_for(lambda sign=sign: list(out.glob(sign)))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        wait_for(lambda: not workers_of(out))
        records = [*out.glob("models/*/model.json"), *out.glob("trials/*/trial.json")]
        assert all(path.stat().st_mtime_ns == time for path, time in done.items())
        done = {path: path.stat().st_mtime_ns for path in records}
    process = start(command, text, out)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    results = Results.open(out)
    assert (len(results.done), results.failures, results.missing) == (2, [], [])
    assert results.edits.select("trial", "edit").unique().collect().height == 8
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    report = subprocess.run(
        [*command, "inspect", str(out)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert report.stdout.startswith(f"{out}: the study tiny\n")
