import pydoc
import subprocess
import sys
from importlib import import_module

import pytest

import behemoth


def test_every_public_name_is_there():
    for name in dir(behemoth):
        assert getattr(behemoth, name) is not None
    assert set(behemoth.__all__) == set(dir(behemoth))


@pytest.mark.parametrize(
    "package",
    ["corpus", "delta", "edit", "evaluate", "export", "plan", "recall", "report", "study",
     "study.gates", "train", "zoo"],
)  # fmt: skip
def test_every_public_name_of_a_package_is_there(package):
    module = import_module(f"behemoth.{package}")
    assert module.__all__
    for name in dir(module):
        assert getattr(module, name) is not None


def test_help_of_a_verb_begins_with_its_parameters():
    shown = pydoc.plain(pydoc.render_doc(behemoth.export))
    assert "behemoth.export - export(directory, out, *, to, plan=None, " in shown
    # And all lines have the margin of the first.
    assert "\n    Parameters\n    ----------\n    directory : " in shown


def test_the_version_is_that_of_the_command_line(run):
    assert behemoth.__version__ == run("--version").out.strip()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'behemoth' has no attribute 'Wrold'"):
        behemoth.Wrold  # noqa: B018


def imported(statement):
    script = f"import sys; {statement}; sys.stdout.write(' '.join(sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", script], text=True).split())


def test_importing_the_package_loads_nothing_heavy():
    assert not imported("import behemoth") & {"numpy", "polars", "rich", "typer", "torch"}


def test_importing_the_command_line_loads_nothing_heavy():
    heavy = {"numpy", "polars", "torch", "transformers", "behemoth.corpus.corpus"}
    assert not imported("import behemoth.cli.main") & heavy


def test_what_there_is_can_be_listed_without_torch():
    methods = (
        "from behemoth.edit.registry import OWN_METHODS, method_type; "
        "[*map(method_type, OWN_METHODS)]"
    )
    models = "from behemoth.model.sizes import SIZES; from behemoth.train import default_config"
    for statement in (methods, models):
        assert not imported(statement) & {"numpy", "polars", "scipy", "torch", "transformers"}
    # Methods of other packages import it at their top.
    assert not imported("import behemoth.edit.gradient.step") & {"transformers"}


@pytest.mark.parametrize("command", ["methods", "models"])
def test_the_commands_that_list_load_nothing_heavy(command):
    heavy = {"numpy", "polars", "rich.table", "torch", "transformers"}
    written = "import contextlib, io; from behemoth.cli.main import main"
    silent = f"contextlib.redirect_stdout(io.StringIO()).__enter__(); main(['{command}'])"
    assert not imported(f"{written}; {silent}; sys.stdout = sys.__stdout__") & heavy


def test_a_place_that_is_not_there_is_refused_before_torch_is_loaded(tmp_path, monkeypatch):
    """Loading it takes seconds, after which one would read of a typing error."""
    monkeypatch.chdir(tmp_path)
    for folder, record in (("run", "run.json"), ("plan", "plan.toml"), ("edit", "edit.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / record).touch()
    (tmp_path / "file").touch()
    method, twin = "--method rome --out e", "--suite unlearning --twin nowhere --out s"
    words = [
        f"edit nowhere --plan plan {method}",
        f"edit run --plan nowhere {method}",
        f"edit run --plan plan --corpus nowhere {method}",
        f"edit run --plan plan --set nowhere.toml {method}",
        "edit run --plan plan --method rom --out e",
        "evaluate nowhere --plan plan --out f.parquet",
        "evaluate edit --plan nowhere --out f.parquet",
        f"evaluate edit --plan plan {twin}",
        "trace nowhere --plan plan --out t",
        "trace run --plan nowhere --out t",
        "tune lora --on nowhere --out t",
        "tune lora --on run --apart nowhere --out t",
        "tune nosuch --on run --out t",
        "tune lora --on run --out file",
        "export plan --to hf --out o",
        "study report nowhere",
        "study add nowhere --model run --name n --run r --plan p",
        "study gates --out file",
        "train nowhere --out r",
    ]
    script = f"[print(main(line.split()), file=sys.stderr) for line in {words}]"
    written = f"import sys; from behemoth.cli.main import main; {script}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", written], capture_output=True, text=True)
    said = done.stderr.splitlines()
    assert len(said) == 2 * len(words) and set(said[1::2]) == {"2"}, said
    for line, message in zip(words, said[::2], strict=True):
        assert message.startswith("behemoth: error: argument '") and ", allowed: " in message, line
    loaded = set(done.stdout.split())
    assert "behemoth.cli.train" in loaded and not loaded & {"torch", "transformers", "scipy"}


def test_a_world_needs_numpy_and_not_the_optional_packages():
    loaded = imported("import behemoth; behemoth.World(2, 1, 2)")
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "ray", "rich", "typer"}
