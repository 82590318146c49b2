"""What is refused is one line with the argument, the value and what is allowed, and writes nothing.

`refusals.txt` has a row for each: the words of a command and what is said of them, with `...` for
what depends on the machine or is said elsewhere. The commands run in a folder that holds one of
each thing there is: a corpus `c`, one of another world (`other`), a `run` with a `plan` and an
`edit`, a tokenizer `tok`, and what is damaged, empty or somebody else's.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from behemoth import Corpus, World, edit, import_, plan, train_tokenizer

TABLE = Path(__file__).with_name("refusals.txt")
STUDY = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
steps = 5
[plan]
independent = true
edits = 2
[[method]]
name = "lora"
settings = { steps = 3 }
"""
GRAMMAR = """
name = "sailors"
language = "en"
[lists]
first = ["Ada", "Bruno", "Chloe", "Dev", "Esra"]
port = ["Bergen", "Cadiz"]
[subject]
name = "{first}"
[relations.port]
name = "home port"
objects = "{port}"
statements = ["{subject} sails from {object}."]
"""
FILES = {
    "notes.txt": "mine\n",
    "full/notes.txt": "mine\n",
    "badtok/tokenizer.json": "{}",
    "damaged/manifest.json": "{",
    "badrun/run.json": "{}",
    "badplan/plan.toml": "x =",
    "broken.toml": "[world\n",
    "grammar.toml": GRAMMAR,
    "broken.parquet": "PAR1half",
    "broken.jsonl": "{\n",
    "wrongkey.toml": "[world]\nsubjetcs = 5\n",
    "wrongtype.toml": "[world]\nsubjects = 'five'\n",
    "nan.toml": "[corpus]\ninversion = nan\n",
    "texts.jsonl": '{"text": "one two"}\n',
    "table.csv": "subject,relation,object\n0,0,1\n0,1,0\n1,0,0\n1,1,2\n",
    "columns.csv": "a,b\n1,2\n",
    "recall/suite.json": "{}",
    "recall/frame.parquet": "",
    "latin.toml": "\xff[world]\n",
    "twice.csv": "subject,relation,object,object\n0,0,1,2\n",
    "facts.csv": "fact,fact\n1,2\n",
    "away.csv": "subject,relation\n1,0\n500,0\n",
    "words.csv": "fact\nx\n",
    "empty.csv": "fact\n",
    "missing.csv": "fact\n1\nnan\n",
    "nosubject.csv": "subject,relation\n1,1\n,0\n",
    "nothing.csv": "",
    "disagree.csv": "fact,subject,relation\n1,7,1\n",
    "utf-16.csv": "\xff\xfef\0a\0c\0t\0",
    "names.toml": "a." * 9999 + "a = 1\n",
    "tables.toml": "[[world]]\n",
    "marked.toml": "\xef\xbb\xbfname = 5\n",
    "spec.toml": "[world]\nsubjects = 5\n",
    "blocks.ds": "a\0\0\0a\0",
    "blocks.ds.index": "\3" + 7 * "\0",
    "background.toml": "[corpus]\nbackground = 3\n",
    "study.toml": STUDY,
    "study-method.toml": STUDY.replace('"lora"', '"lorra"'),
    "study-setting.toml": STUDY.replace("steps = 3 ", "stesp = 3 "),
    "study-tuned.toml": STUDY.replace("{ steps = 3 }", '"tuned:wrold"'),
    "study-key.toml": STUDY.replace("[train]", "[trian]"),
    "study-size.toml": STUDY + '[grid]\n"train.size" = ["pico", "nano"]\n',
    "study-train.toml": STUDY.replace("steps = 5", "steps = 0"),
    "study-decay.toml": STUDY.replace("steps = 5", "steps = 5\ndecay = 0.2"),
    "study-multiple.toml": STUDY.replace(
        "steps = 5", 'steps = 5\nstart = "run"\nvocabulary_multiple = 64'
    ),
    "study-grid.toml": STUDY + '[grid]\n"world.seed" = [0, 0]\n',
    "study-section.toml": STUDY + "[grid]\nworld = [1]\n",
    "study-layers.toml": STUDY.replace("steps = 3 ", "layers = [0, 99] "),
    "study-none.toml": 'name = "none"\n',
    "study-plan.toml": STUDY.replace("edits = 2", 'edits = "two"'),
}


LINES = [
    line.split(" | ")
    for line in TABLE.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(scope="module")
def things(trained, tmp_path_factory):
    """The folder in which the commands run, and the paths that are there before them."""
    place = tmp_path_factory.mktemp("things")
    for name, text in FILES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, "latin-1")
    (place / "empty").mkdir()
    (place / "dangling").symlink_to("nowhere")
    os.mkfifo(place / "pipe.toml")
    shutil.copytree(trained, place / "run")
    Corpus(World(120, 3, 10), exposures=2).write(place / "c", probes=0)
    Corpus(World(120, 3, 10, seed=1), exposures=2).write(place / "other", probes=0)
    import_(place / "table.csv", place / "spec")
    for source, name in (("c", "plan"), ("other", "other-plan")):
        plan(place / source, out=place / name, edits=2, repeats=2)
    edit(place / "run", place / "plan", "lora", place / "edit", settings={"steps": 1})
    train_tokenizer("bios-en", place / "tok", vocabulary=300, documents=20)
    return place, set(place.rglob("*"))


@pytest.mark.parametrize(("words", "said"), LINES, ids=[words for words, _ in LINES])
def test_it_is_refused(words, said, things, run, monkeypatch):
    place, there = things
    monkeypatch.chdir(place)
    monkeypatch.setenv("BEHEMOTH_CACHE", str(place / "cache"))
    message = run(*shlex.split(words.replace("HERE", str(place)))).refused(
        2 if said.startswith("argument ") else 1
    )
    pattern = ".*".join(map(re.escape, said.replace("HERE", str(place)).split("...")))
    assert re.fullmatch(pattern, message), message
    assert set(place.rglob("*")) == there


def test_every_command_has_its_rows():

    from behemoth.cli.main import click_command

    def names(command, before=()):
        below = getattr(command, "commands", None)
        if not below:
            yield before
        for name, inner in (below or {}).items():
            yield from names(inner, (*before, name))

    asked = [tuple(shlex.split(words)) for words, _ in LINES]
    for name in names(click_command()):
        assert any(words[: len(name)] == name for words in asked), name
    assert len(asked) == len(set(asked)) >= 250


def test_every_argument_is_one_of_its_command():

    from behemoth.cli.main import click_command

    whole = click_command()
    for words, said in LINES:
        if not said.startswith("argument ") or "no such option" in said:
            continue
        name = re.match(r"argument '(.+?)': got", said)[1]
        asked, command = shlex.split(words), whole
        while asked and (inner := getattr(command, "commands", {}).get(asked[0])):
            command = inner
            del asked[0]
        known = {"COMMAND"} if getattr(command, "commands", None) else set()
        for item in command.params:
            known |= set(item.opts) if item.opts[-1][:1] == "-" else {str(item.metavar).strip("[]")}
        if "." in name or " " in name:  # 'templates.default' and '--templates default'
            first = re.split(r"[ .]", name)[0]
            known |= {name} if {first, "--" + first.replace("_", "-")} & known else set()
        elsewhere = (
            any(".toml" in word for word in asked)  # a key of a file
            or words.startswith("study run ")  # or of a preset
            or name.startswith(tuple(word for word in asked if "." in word))  # or a line of one
            or any(word.startswith(f"{name}=") for word in asked)  # a setting of a method
            or "an unexpected argument" in said
        )
        assert name in known or elsewhere, words


def test_every_row_says_what_where_and_what_instead():
    for words, said in LINES:
        if said.startswith("argument "):
            assert re.match(r"argument '.+': (got .+, allowed: .+|no such option)", said), words
