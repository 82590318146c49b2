"""Manners in a shell: what it is offered, pipes that close, locales, colours, homes and paths."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("export --to p", "parquet"),
        ("export --to zs", "zsre"),
        ("edit --method mem", "memit"),
        ("methods mem", "memit"),
        ("methods --check mem", "memit"),
        ("tune mem", "memit"),
        ("study run leaderboard --methods mem", "memit"),
        ("study run leaderboard --methods npo,mem", "npo,memit"),
        ("edit --set t", "tuned:tokens tuned:text tuned:world"),
        ("edit --method lora --set ra", "rank="),
        ("edit --method nosuch --set r", ""),
        ("edit --device c", "cpu cuda"),
        ("train --model n", "nano"),
        ("train --precision b", "bf16"),
        ("train --device ", "cpu cuda"),
        ("gen --order ", "shuffle bios"),
        ("gen --templates re", "repeats refusal"),
        ("gen --templates default=1,refu", "default=1,refusal"),
        ("gen --grammar bios", "bios-de bios-en"),
        ("grammar show s", "stories-en"),
        ("study run co", "correlated"),
        ("study show --size q", "quick"),
        ("evaluate --suite u", "unlearning"),
        ("evaluate --suite sequence --measures ha", "half_life"),
        ("evaluate --suite recall --measures valid_object,bits_per_p",
         "valid_object,bits_per_parameter"),
        ("evaluate --measures forget_q", "forget_quality"),
        ("compare one other --measures forget_q", "forget_quality"),
        ("study gates --gate 7,1", "7,1 7,10 7,11 7,12"),
        ("plan --kind c", "censor"),
        ("gen --probes ", ""),
        ("gen --spec ", ""),
    ],
)  # fmt: skip
def test_the_shell_is_offered_values(words, offered, run, monkeypatch, capsys):
    monkeypatch.setenv("_BEHEMOTH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"behemoth {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    with pytest.raises(SystemExit):
        run()
    assert capsys.readouterr().out.split() == offered.split()


@pytest.mark.parametrize(
    "words", ["evaluate --measures k", "compare one other --measures k", "study gates --gate 7"]
)
def test_what_the_shell_is_offered_waits_for_no_slow_package(words):
    script = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
    script += "from behemoth.cli.main import main; main([])"
    environ = os.environ | {
        "_BEHEMOTH_COMPLETE": "complete_bash",
        "COMP_WORDS": f"behemoth {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    words = [sys.executable, "-c", script]
    ran = subprocess.run(words, env=environ, capture_output=True, text=True)
    loaded = ran.stdout.split()
    assert "behemoth.cli.main" in loaded
    assert not {"torch", "transformers", "polars"} & {*loaded}


@pytest.mark.parametrize("words", ["methods", "models --json", "grammar show bios-en", "-h"])
def test_a_pipe_that_closes_is_no_error_to_talk_about(command, words):
    with subprocess.Popen(
        [*command, *words.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", ["gen --facts 60 --dry-run --json", "gen --facts 60 --dry-run"])
def test_a_stdout_that_takes_nothing_is_named(command, words):
    # Like a full disk, but on every system: the file is open for reading only.
    with Path(os.devnull).open() as closed:
        done = subprocess.run(
            [*command, *words.split()], stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == "behemoth: error: stdout: Bad file descriptor\n"
    assert done.returncode == 1


def test_a_terminal_of_no_width_shows_all_numbers(run, monkeypatch):
    wide = run("gen", "--facts", 60, "--dry-run").out
    monkeypatch.setenv("COLUMNS", "1")
    narrow = run("gen", "--facts", 60, "--dry-run").out
    assert re.findall(r"[\d,.]+", narrow)[:7] == re.findall(r"[\d,.]+", wide)[:7]


def test_asyncio_logs_nothing_after_the_line_of_a_stop():
    """As it would, when Python exits, of connections to a store that the stop has closed."""
    words = """
import asyncio
import sys
from behemoth.cli.main import main

async def dropped():
    raise ConnectionResetError("Cannot write to closing transport")

async def transfer():
    asyncio.get_running_loop().create_task(dropped())
    await asyncio.sleep(0)

sys.argv = ["behemoth", "inspect", "missing"]
main()
asyncio.run(transfer())
"""
    ran = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith(
        "behemoth: error: argument 'DIR': got missing, which does not exist, allowed: "
    )


def test_paths_with_spaces_and_letters(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = "ein Körper ✓"
    assert run("gen", "--facts", 60, "--out", out, "--json").json()["out"] == out
    assert run("verify", out).code == 0
    assert run("facts", out, "--out", f"{out}/f g.parquet", "--json").json()["facts"] == 60
    assert run("export", out, "--to", "megatron", "--out", "e é", "--json").json()["out"] == "e é"
    assert run("plan", out, "--edits", 2, "--out", "p ß").code == 0


def test_a_locale_without_letters(command, tmp_path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [*command, "gen", "--facts", "60", "--grammar", "bios-de", "--out", "Körper", "--json"]
    ran = subprocess.run(words, cwd=tmp_path, env=os.environ | plain, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.decode())["out"] == "Körper"
    assert (tmp_path / "Körper" / "manifest.json").is_file()


def test_a_stream_without_letters_gets_escapes(command, tmp_path):
    """As of a pipe on Windows: a refusal to print would come after the corpus was written."""
    words = [*command, "gen", "--facts", "60", "--grammar", "bios-de", "--out", "Körper"]
    environ = os.environ | {"PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert b"K\\xf6rper" in ran.stdout and (tmp_path / "Körper" / "manifest.json").is_file()


def test_a_home_that_cannot_be_written(command, tmp_path):
    home = {"HOME": str(tmp_path / "none"), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    words = [*command, "gen", "--facts", "60", "--out", "c"]
    ran = subprocess.run(words, cwd=tmp_path, env=os.environ | home, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"c"}


@pytest.mark.parametrize("colours", [True, False])
def test_no_color_is_heeded(colours, monkeypatch, capsys):
    from rich.text import Text

    from behemoth.cli.console import console

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    console().print(Text("red", style="red"))
    assert ("\x1b[31m" in capsys.readouterr().out) is colours
