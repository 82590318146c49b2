"""A hook of mkdocs: the pages of the API reference, one for each package, from its docstrings.

A page has the package's own docstring, then the names that it gives to its users, then what else
its modules name in `__all__`. Nothing is imported: the sources are read. A package that the list
`nav` of mkdocs.yml lacks fails the build, so no page is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = "behemoth"
LEFT_OUT = {"cli"}  # `behemoth --help` is its reference
_HEAD = "    options: {show_root_heading: false, show_root_toc_entry: false, members: false}\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that are files."""
    sources = Path(config.config_file_path).parent / "python"
    root = griffe.load(ROOT, search_paths=[sources], allow_inspection=False, resolve_aliases=True)
    assert isinstance(root, griffe.Module)
    files.append(File.generated(config, "reference/index.md", content=_index(root)))
    for package in _packages(root):
        place = "/".join(["reference", *package.path.split(".")[1:]])
        if any(_packages(package)):
            place += "/index"
        files.append(File.generated(config, f"{place}.md", content=_page(package)))
    return files


def _packages(module: griffe.Module) -> Iterator[griffe.Module]:
    for child in module.modules.values():
        if child.is_init_module and child.name not in LEFT_OUT:
            yield child
            yield from _packages(child)


def _index(root: griffe.Module) -> str:
    lines = [f"# {ROOT}\n", f"::: {ROOT}\n{_HEAD}", "`import behemoth as bh` gives these:\n"]
    lines += ["| name | what it is |", "|---|---|"]
    apart = []  # what modules define that lie in no package has no page of its own
    named = [(name, root[name]) for name in _given(root)]
    # A package that can be called is given as the function of its name.
    verbs = [package for package in _packages(root) if package.path.count(".") == 1]
    named += [
        (verb.name, verb[verb.name])
        for verb in verbs
        if verb.name in verb.members and not verb[verb.name].is_module
    ]
    for name, member in sorted(named, key=lambda pair: pair[0]):
        said = member.docstring.value.splitlines()[0] if member.docstring else ""
        lines.append(f"| [`bh.{name}`][{member.canonical_path}] | {said} |")
        if not root[member.canonical_path.split(".")[1]].is_init_module:
            apart.append(f"\n::: {member.canonical_path}")
    lines += apart
    return "\n".join(lines)


def _page(package: griffe.Module) -> str:
    parts = [f"# {package.path}\n", f"::: {package.path}\n{_HEAD}"]
    given = _given(package)
    parts += [f"::: {package.path}.{name}\n" for name in given]
    for _, module in sorted(package.modules.items()):
        if module.is_init_module or module.name.startswith("_"):
            continue
        names = [name for name in _own(module) if name not in given]
        if names:
            parts.append(f"::: {module.path}\n    options: {{members: [{', '.join(names)}]}}\n")
    return "\n".join(parts)


def _given(package: griffe.Module) -> list[str]:
    """Names that a package's `__init__` brings from its own modules, or defines."""
    return [
        name
        for name, member in package.members.items()
        if not name.startswith("_")
        and (
            member.target_path.startswith(f"{package.path}.")
            and not member.target_path.startswith(f"{ROOT}.support.lazy.")
            if isinstance(member, griffe.Alias)
            else not member.is_module
        )
    ]


def _own(module: griffe.Module) -> list[str]:
    """Names of a module's `__all__`, or else its public classes and functions."""
    if module.exports:
        return [str(name) for name in module.exports]
    return [
        name
        for name, member in module.members.items()
        if not name.startswith("_") and isinstance(member, griffe.Class | griffe.Function)
    ]
