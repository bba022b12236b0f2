"""Imports run one way, down the floors listed in CONTRIBUTING.md, so that the package can be read from below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "secateur"
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def floors() -> dict[str, int]:
    """Each package or module at the top of the project, and its floor, from 0 for the lowest."""
    block = TEXT.partition("Imports run one way")[2].partition("\n\n")[2].partition("\n\n")[0]
    lines = [line.strip().split(", ") for line in reversed(block.splitlines())]
    return {name: floor for floor, names in enumerate(lines) for name in names}


def imports(path: Path) -> Iterator[str]:
    """The top-level names of the project that a file imports anywhere, except for annotations only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for_types = {id(node) for guard in guards for node in guard.body}
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "secateur":
            below = node.module.split(".")[1:]
            yield from below[:1] or (alias.name for alias in node.names)


def test_every_package_has_its_floor() -> None:
    top = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    assert set(floors()) == top


@pytest.mark.parametrize("name", sorted(floors()))
def test_nothing_is_imported_from_above(name: str) -> None:
    files = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").is_file() else (PACKAGE / name).rglob("*.py")
    for path in files:
        for imported in imports(path):
            same = imported == name
            assert same or floors()[imported] < floors()[name], f"{path.relative_to(PACKAGE)} imports {imported}"
