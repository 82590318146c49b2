"""The way of the data is the way of the tree: no package imports one that comes after it."""

import ast
import re
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
    "recall.sources",
    "recall.__init__",
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


def name_of(file):
    """Files of different packages share names, such as ``record.py``."""
    return file.relative_to(PACKAGE).as_posix()


def room(module):
    """The longest name in the order that a module lies in; none for the package's own face."""
    names = [name for name in ORDER if module == name or module.startswith(f"{name}.")]
    return max(names, key=len, default=None)


def nodes(file):
    return ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def offending(offends, files="*.py"):
    """What offends in each file of the package, by its name; one test, as pytest takes longer."""
    found = {name_of(file): offends(file) for file in sorted(PACKAGE.rglob(files))}
    return {name: bad for name, bad in found.items() if bad}


def imports(file):
    """Modules of the package that a file imports, at its top or anywhere else."""
    package = ["behemoth", *file.relative_to(PACKAGE).parts[:-1]]
    for node in nodes(file):
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


def test_imports_go_against_the_way_of_the_data_nowhere():
    def against(file):
        here = room(".".join(file.relative_to(PACKAGE).with_suffix("").parts))
        return here is not None and [
            name
            for name in imports(file)
            if room(name) is not None and ORDER.index(room(name)) > ORDER.index(here)
        ]

    assert not offending(against)


def test_the_command_line_alone_knows_the_front():
    """What `import behemoth` gives, and the modules beside the packages, are for users."""
    known = {"_gen", *(name.partition(".")[0] for name in ORDER)}

    def front(file):
        names = () if file.relative_to(PACKAGE).parts[0] == "cli" else imports(file)
        return {name for name in names if name.partition(".")[0] not in known}

    assert not offending(front, "*/**/*.py")


def is_own(node):
    """Whether a value is the object, or the class, whose code it stands in."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


@pytest.fixture(scope="module")
def private():
    """The packages that have each private attribute: a method, a field or what `self` is given."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        package = file.relative_to(PACKAGE).parts[0]
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef):
                names = [node.name]
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names = [node.attr]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            else:
                continue
            for name in names:
                if re.match("_[a-z]", name):
                    found.setdefault(name, set()).add(package)
    return found


def test_what_is_private_is_used_in_its_own_package_alone(private):
    def of_others(file):
        package = file.relative_to(PACKAGE).parts[0]
        return {
            node.attr
            for node in nodes(file)
            if isinstance(node, ast.Attribute)
            and not is_own(node.value)
            and package not in private.get(node.attr, {package})
        }

    assert not offending(of_others)


def test_polars_takes_a_path_as_it_stands_and_as_no_pattern():
    """Without glob=False, a `*` in a path reads other files too, and a `[` finds none."""

    def patterns(file):
        return [
            node.lineno
            for node in nodes(file)
            if isinstance(node, ast.Call)
            and re.fullmatch(r"pl\.(read|scan)_(parquet|csv)", ast.unparse(node.func))
            and "glob=False" not in map(ast.unparse, node.keywords)
        ]

    assert not offending(patterns)


def test_design_has_the_packages_in_this_order():
    tree = (PACKAGE.parents[1] / "DESIGN.md").read_text(encoding="utf-8").split("```")[1]
    packages = list(dict.fromkeys(name.partition(".")[0] for name in ORDER))
    named = re.findall(r"(?:^|  )(\w+)/ ", tree, re.MULTILINE)
    assert [name for name in named if name in packages] == packages
    for file in PACKAGE.glob("*.py"):
        assert file.name == "__init__.py" or file.name in tree


@pytest.mark.parametrize("name", sorted({name.partition(".")[0] for name in ORDER}))
def test_a_package_opens_with_what_it_knows(name):
    source = (PACKAGE / name / "__init__.py").read_text(encoding="utf-8")
    assert "It knows" in ast.get_docstring(ast.parse(source))


def test_every_package_has_its_place():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {name.partition(".")[0] for name in ORDER}
