"""Imports run downwards through the packages and never in a circle; lazy imports and those for types count too."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

# From the top. Packages in one line are beside each other. All other modules stand below, at the bottom.
ORDER = (
    ("cli", "__main__"),
    ("serve", "bench", "evaluate"),
    ("run",),
    ("batch",),
    ("writers",),
    ("convert",),
    ("engines",),
    ("models",),
    ("tflite",),
    ("targets",),
    ("http",),
    ("storage",),
    ("images",),
)
LEVELS = {name: level for level, names in enumerate(ORDER) for name in names}
BOTTOM = len(ORDER)
FACADE = "birdlite"  # gives out public names when they are asked for, so an import of the package itself leads nowhere


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """The modules of birdlite that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{name.name}" for name in node.names)
            found.update(name if name in modules else node.module for name in names)
    return found & modules - {FACADE, module_of(path)}


def graph() -> dict[str, set[str]]:
    paths = {module_of(path): path for path in (ROOT / "birdlite").rglob("*.py")}
    return {module: imports_of(path, set(paths)) for module, path in paths.items() if module != FACADE}


def level(module: str) -> int:
    return LEVELS.get(module.split(".")[1], BOTTOM)


def test_no_import_leads_upwards() -> None:
    upwards = {(here, there) for here, imports in graph().items() for there in imports if level(there) < level(here)}

    assert sorted(upwards) == []


def test_no_imports_form_a_circle() -> None:
    imports = graph()
    while free := {module for module, needed in imports.items() if not needed & imports.keys()}:
        imports = {module: needed for module, needed in imports.items() if module not in free}

    assert sorted(imports) == []  # else these modules are in a circle, or import one that is
