"""Every block of the documentation runs, and what it shows is what comes out but for the numbers.

Pages that train are `slow`; what can be seen of them without training is looked at always.

A page is run from its first block to its last, in one empty folder. Blocks that begin with the
comment of a file's name are that file; ``console`` blocks are commands and what they write;
``python`` blocks share their names, and a ``text`` block after one is what it prints. ``bash``
blocks, which need a cluster or a reader's own files, and refusals are only shown. Studies are
carried out in this process: workers would load torch anew (tests/study/test_local.py has them).
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from behemoth.cli.main import click_command
from behemoth.study.file.spec import Study
from behemoth.study.work import run as runs

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.(?:toml|py))\n")
_KINDS = {
    path.name: {kind for kind, _ in _BLOCK.findall(path.read_text(encoding="utf-8"))}
    for path in DOCS.glob("*.md")
}
PAGES = sorted(name for name, kinds in _KINDS.items() if kinds)
RUN = sorted(name for name, kinds in _KINDS.items() if kinds & {"console", "python"})
# They train: a minute of one core.
SLOW = {"adding-a-method.md", "leaderboard.md", "metrics.md", "suites.md", "training.md",
        "tutorial.md", "zoo.md"}  # fmt: skip


@pytest.fixture
def page(request, run, in_process_engine, install, tmp_path, monkeypatch):
    """Run all blocks of a page: page("tutorial.md")."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(runs, "_engine", lambda name, path, *_: in_process_engine(path))
    modules = set(sys.modules)

    def command(line):
        words = shlex.split(line, comments=True)
        if words[:2] == ["pip", "install"]:
            install(words[2], tmp_path / "site")
            monkeypatch.syspath_prepend(str(tmp_path / "site"))
            importlib.invalidate_caches()
            return ""
        assert words[0] == "behemoth", line
        ran = run(*words[1:])
        assert ran.code == 0, (line, ran.err)
        return ran.out

    def page(name):
        if name not in SLOW:  # no such page shows recall
            request.getfixturevalue("few_facts")
        names = {}
        printed = None
        for kind, body in _BLOCK.findall((DOCS / name).read_text(encoding="utf-8")):
            file = _FILE.match(body)
            if file:
                place = tmp_path / file.group(1)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(body)
            elif kind == "console":
                for line, shown in _commands(body):
                    _same(command(line), shown, line, strict=name not in SLOW)
            elif kind == "python":
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    exec(compile(body, f"{name}: {body.splitlines()[0]}", "exec"), names)
                printed = said.getvalue()
            elif kind != "bash" and not body.startswith("behemoth: error: "):  # they are only shown
                assert kind == "text", f"{name}: a block of kind {kind!r} that nothing runs"
                assert printed, f"{name}: text that no block prints:\n{body}"
                _same(printed, body, name, strict=name not in SLOW)
                printed = None

    yield page
    for name in set(sys.modules) - modules:
        if name.startswith("behemoth_"):
            del sys.modules[name]


def _commands(body):
    """Commands of a block, each with what the page shows of its output."""
    for part in re.split(r"^\$ ", body.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


def _same(out, shown, where, *, strict):
    """Hold the lines that a page shows against those that came: words and columns, not numbers.

    A strict page shows all lines of a block, but for those that `...` stands for, and where a value
    is null. In others that depends on what a model that they train has learnt.
    """

    def shape(line):
        line = line if strict else re.sub(r"\bnull\b", "N", line)
        return _shape(line)

    lines = [line for line in map(shape, out.splitlines()) if line]
    at, left_out = 0, not strict
    for line in map(shape, shown.splitlines()):
        if line == "...":
            left_out = True
        elif line:
            assert line in lines[at:], f"{where}: no line {line!r} in\n{out}"
            found = lines.index(line, at)
            assert left_out or found == at, f"{where}: no line {lines[at]!r} before {line!r}"
            at, left_out = found + 1, not strict
    assert left_out or at == len(lines) or not shown.strip(), f"{where}: no line {lines[at]!r}"


def _shape(line):
    line = re.sub(r"[─┌┬┐╞╪╡└┴┘═━]+", "", line)
    # A number that ends a word, as in forget05, is part of a name.
    line = re.sub(r"\binf\b|(?<![A-Za-z]{2})-?\d[\d.,:]*", "N", line)
    line = re.sub(r"\btrue\b|\bfalse\b", "B", line)
    return " ".join(line.split())


def _options(words):
    """Options of the command that words begin with."""
    command = click_command()
    for word in words:
        if not hasattr(command, "commands"):
            break
        command = command.commands[word]
    return {name for item in command.params for name in (*item.opts, *item.secondary_opts)}


def test_slow_pages_are_pages():
    assert set(RUN) > SLOW


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in RUN]
)
def test_page(name, page, request):
    if name == "stores.md":  # a store of its own, on this machine
        request.getfixturevalue("cache")
        request.getfixturevalue("s3").mkdir("lab")
    if name == "reliability.md" and sys.platform != "linux":
        pytest.skip("the page asks Linux how much memory is kept")
    if name == "training.md":  # which trains on a spec of the reader's own
        Path("spec.toml").write_text("[world]\nsubjects = 50\n")
    page(name)


@pytest.mark.parametrize("name", PAGES)
def test_blocks_make_sense(name):
    """What can be seen without training: syntax, specs, verbs and their options."""
    for kind, body in _BLOCK.findall((DOCS / name).read_text(encoding="utf-8")):
        if kind == "python":
            compile(body, name, "exec")
        elif kind == "toml":
            table = tomllib.loads(body)
            # The page adds that method itself, and writes the table of facts.
            mine = any(name in body for name in ("lookup", "max_entropy"))
            made = mine or "table" in table.get("world", {})
            if "method" in table and not made:
                assert Study.parse(body).points
        elif kind == "console":
            for line, _ in _commands(body):
                _makes_sense(line)
        elif kind == "bash" and not body.startswith("#!"):  # a script is a file with tests
            for line in body.replace("\\\n", " ").splitlines():
                _makes_sense(line)


def _makes_sense(line):
    """Hold the options that behemoth is given, by whatever starts it, against those that it has."""
    words = shlex.split(line, comments=True)
    if "behemoth" in words:
        words = words[words.index("behemoth") + 1 :]
        given = {word for word in words if word.startswith("--")}
        assert given <= _options(words), line


def test_the_recipe_for_slurm_is_the_file_that_is_tested():
    recipe = (DOCS.parent / "examples" / "slurm" / "train.sbatch").read_text()
    assert f"```bash\n{recipe}```" in (DOCS / "clusters.md").read_text()


def test_the_table_of_methods_is_that_of_the_registry():
    from behemoth.edit.catalogue import SECTION
    from behemoth.edit.registry import OWN_METHODS

    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert SECTION.renewed(text) == text, "python -m behemoth.edit.catalogue docs/methods.md"
    assert text.count("| yes |") + text.count("| no |") == len(OWN_METHODS)


def test_the_tables_of_measures_are_those_of_the_suites():
    from behemoth.evaluate.catalogue import SECTION
    from behemoth.evaluate.suites.run import SUITES

    text = (DOCS / "suites.md").read_text(encoding="utf-8")
    assert SECTION.renewed(text) == text, (
        "run `python -m behemoth.evaluate.catalogue docs/suites.md`"
    )
    assert all(f"### `{name}`\n" in text for name in SUITES)
    assert "| `norm` | norm of the change relative to that of the changed parameters" in text


def test_the_tutorial_explains_every_group_of_probes():
    from behemoth.plan.groups import GROUPS

    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    rows = " ".join(re.findall(r"^\| (`.*?) \| .* \| .* \|$", text, re.MULTILINE))
    assert set(GROUPS) <= set(re.findall(r"`(\w+)`", rows))


def test_the_names_that_a_method_is_written_from_are_there():
    """Module and parameters of each, as the table of docs/adding-a-method.md has them."""
    text = (DOCS / "adding-a-method.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \| `(behemoth[\w.]*)` \|", text, re.MULTILINE)
    assert len(rows) > 12
    for name, parameters, module in rows:
        named = getattr(importlib.import_module(module), name)
        own = [own for own in inspect.signature(named).parameters if own != "nearest"]
        assert not parameters or parameters.split(", ") == own, name


def test_the_names_of_modules_are_attributes_of_an_architecture():
    """Attributes and arguments, as the table "Names of a model's modules" has them."""
    from behemoth.model.architecture import Architecture

    text = (DOCS / "adding-a-method.md").read_text(encoding="utf-8")
    section = text.split("## Names of a model's modules")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    named = [each for cell in cells for each in re.findall(r"`(\w+)(?:\((.*?)\))?`", cell)]
    assert len(named) >= 14
    for name, arguments in named:
        known = hasattr(Architecture, name) or name in Architecture.__dataclass_fields__
        assert known, name
        if arguments:
            own = list(inspect.signature(getattr(Architecture, name)).parameters)[1:]
            assert arguments.split(", ") == own, name


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page):
    """Links into the reference are for `make docs` to look at, which makes those pages."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith(("https://", "reference/")) or (DOCS / target).exists(), target
