"""The project's modules as text: what they import, and what they load by way of others."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PLUGIN = "imagetodem_qgis"


@dataclass(frozen=True)
class Module:
    """A source file: dotted name (a package's without ``__init__``), text, and whether it is a package."""

    name: str
    source: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def within(self, package: str) -> bool:
        return self.name == package or self.name.startswith(f"{package}.")


def read_modules(root: Path, packages: Iterable[str]) -> dict[str, Module]:
    """All modules of some packages of a checkout, by name."""
    modules = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            modules[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return modules


def imports(module: Module, at_load_only: bool = False) -> set[str]:
    """Dotted names that a module imports, ``from a import b`` as ``a.b``, anywhere or only at its load."""
    nodes = _run_at_load(module.tree) if at_load_only else ast.walk(module.tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("__import__", "import_module") and node.args:
            name = node.args[0]
            # A name that is worked out at run time cannot be checked, so it is not allowed.
            found.add(str(name.value) if isinstance(name, ast.Constant) else "<worked out at run time>")
    return found


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*parts, node.module] if node.module else parts)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _run_at_load(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_at_load(child)


def top(name: str) -> str:
    return name.split(".", 1)[0]


def loaded_with(name: str, modules: dict[str, Module]) -> set[str]:
    """Every module that loading one of the project's loads; those of others by the name as imported."""
    loaded: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in loaded:
            continue
        loaded.add(current)
        if current not in modules:
            continue
        for imported in imports(modules[current], at_load_only=True):
            if top(imported) not in (PLUGIN, "training"):
                waiting.append(imported)
                continue
            # Loading a.b.c loads a and a.b too; the last part may be a name inside a.b rather than a module.
            parts = imported.split(".")
            waiting.extend(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return loaded
