"""The way of the data is the way of the tree: no package imports one that comes after it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "behemoth"
ORDER = (
    "support",
    "store",
    "corpus",
    "model",
    "recall",
    "train",
    "plan",
    "delta",
    "edit",
    "evaluate",
    "tune",
    "export",
    "zoo",
    "study.schemas",
    "study.records",
    "study.file",
    "study.directory",
    "study.results",
    "study.trial",
    "study.work",
    "study.analysis",
    "study.gates",
    "report",
    "cli",
)


def room(module):
    """The longest name in the order that a module lies in; none for the package's own face."""
    names = [name for name in ORDER if module == name or module.startswith(f"{name}.")]
    return max(names, key=len, default=None)


def imports(file):
    """Modules of the package that a file imports, at its top or anywhere else."""
    package = ["behemoth", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found = [base, *(f"{base}.{name.name}" for name in node.names)]
        else:
            continue
        for name in found:
            if name.startswith("behemoth."):
                yield name.removeprefix("behemoth.")


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_imports_go_against_the_way_of_the_data_nowhere(file):
    here = room(".".join(file.relative_to(PACKAGE).with_suffix("").parts))
    if here is None:
        return
    against = [
        name
        for name in imports(file)
        if room(name) is not None and ORDER.index(room(name)) > ORDER.index(here)
    ]
    assert not against, f"{here} comes before {against}"


def test_every_package_has_its_place():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {name.partition(".")[0] for name in ORDER}
