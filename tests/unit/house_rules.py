"""The rules of the house, each a function from a module to the violations that it finds."""

from __future__ import annotations

import ast
import sys
from typing import Callable

from tests.unit.source_modules import PLUGIN, Module, imports, loaded_with, top

LOCATIONS = f"{PLUGIN}.runtime.locations"
ALGORITHM_LINES = 220
HEAVY = {"tensorflow", "keras", "torch", "onnxruntime", "scipy", "ee", "xdem", "geoutils"}
QGIS = {"qgis", "osgeo", "processing"}
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)

Rule = Callable[[Module], "list[str]"]


def _foreign(module: Module, allowed: set[str]) -> list[str]:
    found = sorted(name for name in imports(module) if top(name) not in STANDARD_LIBRARY | allowed)
    return [f"{module.name} imports {name}" for name in found]


def core_imports_numpy_alone(module: Module) -> list[str]:
    if not module.within(f"{PLUGIN}.core"):
        return []
    others = sorted(n for n in imports(module) if top(n) == PLUGIN and not n.startswith(f"{PLUGIN}.core"))
    return _foreign(module, {"numpy", PLUGIN}) + [f"{module.name} imports {name}" for name in others]


def plugin_imports_what_qgis_has(module: Module) -> list[str]:
    if not module.within(PLUGIN) or module.within(f"{PLUGIN}.worker"):
        return []
    return _foreign(module, {"numpy", "osgeo", "qgis", "processing", PLUGIN})


def worker_and_training_are_free_of_qgis(module: Module) -> list[str]:
    if not (module.within(f"{PLUGIN}.worker") or module.within("training")):
        return []
    names = sorted(imports(module))
    return [
        f"{module.name} imports {name}"
        for name in names
        if top(name) in QGIS or name == f"{PLUGIN}.algorithms" or name.startswith(f"{PLUGIN}.algorithms.")
    ]


def package_loads_nothing(module: Module) -> list[str]:
    if module.name != PLUGIN:
        return []
    names = sorted(name for name in imports(module, at_load_only=True) if top(name) != "__future__")
    return [f"{module.name} imports {name} when it is loaded" for name in names]


def locations_alone_knows_the_folders(module: Module) -> list[str]:
    if not module.within(PLUGIN) or module.name == LOCATIONS:
        return []
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id == "__file__":
            found.append(f"{module.name}:{node.lineno} works out a place from __file__")
        if isinstance(node, ast.Constant) and node.value == "model_weights":
            found.append(f"{module.name}:{node.lineno} names the folder model_weights")
    return found


def path_of_qgis_is_left_alone(module: Module) -> list[str]:
    """Only the worker's process may extend ``sys.path``."""
    if not module.within(PLUGIN) or module.within(f"{PLUGIN}.worker"):
        return []
    changes = ("append", "insert", "extend", "addsitedir")
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changes:
            if ast.unparse(node.func.value) in ("sys.path", "site"):
                found.append(f"{module.name}:{node.lineno} changes sys.path")
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(ast.unparse(target).startswith("sys.path") for target in targets):
                found.append(f"{module.name}:{node.lineno} changes sys.path")
    return found


def algorithms_are_short(module: Module) -> list[str]:
    lines = module.source.count("\n")
    if not module.within(f"{PLUGIN}.algorithms") or lines <= ALGORITHM_LINES:
        return []
    return [f"{module.name} has {lines} lines, more than {ALGORITHM_LINES}"]


def runs_on_python_39(module: Module) -> list[str]:
    try:
        tree = ast.parse(module.source, feature_version=(3, 9))
    except SyntaxError as error:
        return [f"{module.name}:{error.lineno} {error.msg}"]
    annotated = any(
        isinstance(node, ast.AnnAssign) or (isinstance(node, ast.FunctionDef) and node.returns)
        for node in ast.walk(tree)
    )
    if annotated and "__future__.annotations" not in imports(module):
        return [f"{module.name} has annotations without 'from __future__ import annotations'"]
    return []


def nothing_is_left_open(module: Module) -> list[str]:
    tree = module.tree
    found = [
        f"{module.name} has the mark {mark}"
        for mark in ("TO" + "DO", "FIX" + "ME", "XX" + "X")
        if mark in module.source
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_stub(node) and not _is_declaration(tree, node):
            found.append(f"{module.name}:{node.lineno} {node.name} does nothing")
        if (
            isinstance(node, ast.Raise)
            and node.exc is not None
            and "NotImplementedError" in ast.unparse(node.exc)
        ):
            found.append(f"{module.name}:{node.lineno} raises NotImplementedError")
    return found


def _is_stub(function: ast.FunctionDef) -> bool:
    last = function.body[-1]
    ellipsis = isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is ...
    return len(function.body) <= 2 and (isinstance(last, ast.Pass) or ellipsis)


def _is_declaration(tree: ast.Module, function: ast.FunctionDef) -> bool:
    if any(
        ast.unparse(decorator).endswith(("abstractmethod", "overload"))
        for decorator in function.decorator_list
    ):
        return True
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and function in node.body)
    return any("Protocol" in ast.unparse(base) for node in classes for base in node.bases)


RULES: tuple[Rule, ...] = (
    core_imports_numpy_alone,
    plugin_imports_what_qgis_has,
    worker_and_training_are_free_of_qgis,
    package_loads_nothing,
    locations_alone_knows_the_folders,
    path_of_qgis_is_left_alone,
    algorithms_are_short,
    runs_on_python_39,
    nothing_is_left_open,
)


def loads_of_others(modules: dict[str, Module]) -> list[str]:
    """What a module brings into the wrong process by way of another one."""
    found = []
    for module in modules.values():
        in_the_worker = module.within(f"{PLUGIN}.worker") or module.within("training")
        forbidden = QGIS if in_the_worker else HEAVY
        for name in sorted(loaded_with(module.name, modules)):
            if top(name) in forbidden:
                found.append(f"{module.name} loads {name}")
    return found
