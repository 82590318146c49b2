"""Signals that come late, or that are not for a run."""

import signal

import pytest

from behemoth.train import loop, train
from behemoth.train.errors import Interrupted
from behemoth.train.interrupts import interruptible


def test_ctrl_c_after_the_last_step_stops_the_caller(small, config, tmp_path, monkeypatch):
    """It was forgotten: `zoo make` and `tune` went on with the next run."""
    write = loop.write_parquet

    def late(place):
        signal.raise_signal(signal.SIGINT)
        write(place)

    monkeypatch.setattr(loop, "write_parquet", late)
    with pytest.raises(Interrupted, match="run is finished") as stop:
        train(small, out=tmp_path / "run", config=config())
    assert stop.value.signal_number == signal.SIGINT
    again = train(small, out=tmp_path / "run", config=config())
    assert again == stop.value.result
    assert not (tmp_path / "run/.unfinished").exists()


def test_the_command_ends_well_if_its_run_could_not_be_stopped(small, run, tmp_path, monkeypatch):
    (tmp_path / "spec.toml").write_text(small.spec_toml)
    monkeypatch.setattr(loop, "write_parquet", lambda _: signal.raise_signal(signal.SIGINT))
    words = ("--model", "pico", "--steps", 2, "--batch-size", 2, "--block-length", 16)
    told = run("train", tmp_path / "spec.toml", *words, "--out", tmp_path / "run", "--json")
    assert told.json()["steps"] == 2


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    """A run in the background of a shell script was stopped by Ctrl-C for another job."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
