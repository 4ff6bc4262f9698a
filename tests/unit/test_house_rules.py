"""The rules of the house: who may import what, who knows where things lie, how long a file may be.

Each rule is a function from a module to the violations that it finds. Every rule is run over the project, and
every rule is shown a module that breaks it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "imagetodem_qgis"
LOCATIONS = f"{PLUGIN}.runtime.locations"
ALGORITHM_LINES = 220
HEAVY = {"tensorflow", "keras", "torch", "onnxruntime", "scipy", "ee", "xdem", "geoutils"}
QGIS = {"qgis", "osgeo", "processing"}
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)


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


Rule = Callable[[Module], "list[str]"]


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


@pytest.fixture(scope="module")
def project() -> dict[str, Module]:
    modules = read_modules(ROOT, (PLUGIN, "training"))
    assert {PLUGIN, LOCATIONS, f"{PLUGIN}.core", "training"} <= set(modules)
    return modules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule, project: dict[str, Module]) -> None:
    assert [violation for module in project.values() for violation in rule(module)] == []


def test_nothing_heavy_comes_into_qgis_and_no_qgis_into_the_worker(project: dict[str, Module]) -> None:
    assert loads_of_others(project) == []


def at(name: str, source: str, is_package: bool = False) -> Module:
    return Module(f"{PLUGIN}.{name}" if name else PLUGIN, source, is_package)


BROKEN = [
    (core_imports_numpy_alone, at("core.surface", "from osgeo import gdal")),
    (core_imports_numpy_alone, at("core.surface", "def solve():\n    import scipy.sparse")),
    (core_imports_numpy_alone, at("core.surface", "from imagetodem_qgis.runtime import client")),
    (core_imports_numpy_alone, at("core.surface", "from ..raster import grid")),
    (plugin_imports_what_qgis_has, at("raster.reader", "import scipy")),
    (plugin_imports_what_qgis_has, at("plugin", "from PyQt5.QtGui import QIcon")),
    (plugin_imports_what_qgis_has, at("runtime.client", "import training.generator")),
    (
        plugin_imports_what_qgis_has,
        at("provider", "from importlib import import_module\nimport_module('keras')"),
    ),
    (plugin_imports_what_qgis_has, at("provider", "name = 'ker' + 'as'\n__import__(name)")),
    (worker_and_training_are_free_of_qgis, at("worker.main", "from qgis.core import QgsProject")),
    (
        worker_and_training_are_free_of_qgis,
        at("worker.main", "from imagetodem_qgis.algorithms import predictdem"),
    ),
    (worker_and_training_are_free_of_qgis, at("worker.main", "from .. import algorithms")),
    (
        worker_and_training_are_free_of_qgis,
        Module("training.data.scenes", "def read():\n    from osgeo import gdal"),
    ),
    (package_loads_nothing, at("", "from imagetodem_qgis.plugin import ImageToDemPlugin", is_package=True)),
    (package_loads_nothing, at("", "try:\n    import os\nexcept ImportError:\n    raise", is_package=True)),
    (
        locations_alone_knows_the_folders,
        at("icons", "from pathlib import Path\nFOLDER = Path(__file__).parent"),
    ),
    (locations_alone_knows_the_folders, at("worker.main", "folder = root / 'model_weights'")),
    (path_of_qgis_is_left_alone, at("runtime.client", "import sys\nsys.path.insert(0, 'x')")),
    (path_of_qgis_is_left_alone, at("runtime.client", "import sys\nsys.path += ['x']")),
    (path_of_qgis_is_left_alone, at("runtime.client", "import sys\nsys.path[:0] = ['x']")),
    (path_of_qgis_is_left_alone, at("runtime.client", "import site\nsite.addsitedir('x')")),
    (algorithms_are_short, at("algorithms.predictdem", "x = 1\n" * (ALGORITHM_LINES + 1))),
    (runs_on_python_39, at("core.light", "match 1:\n    case 1:\n        x = 1")),
    (runs_on_python_39, at("core.light", "def f() -> int | None:\n    return 1")),
    (nothing_is_left_open, at("core.light", "x = 1  # TO" + "DO: two")),
    (nothing_is_left_open, at("core.light", "def f():\n    pass")),
    (nothing_is_left_open, at("core.light", "def f():\n    raise NotImplementedError('later')")),
    (
        nothing_is_left_open,
        at("core.light", "class A:\n    def f(self):\n        '''Says so.'''\n        ..."),
    ),
]


@pytest.mark.parametrize(("rule", "module"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_violation_is_found(rule: Rule, module: Module) -> None:
    assert len(rule(module)) == 1


def test_every_rule_is_shown_a_violation() -> None:
    assert {rule for rule, _ in BROKEN} == set(RULES)


KEPT = [
    at(
        "core.surface",
        "from __future__ import annotations\nimport math\nimport numpy as np\nfrom .light import x",
    ),
    at("raster.reader", "import numpy\nfrom osgeo import gdal\nfrom qgis.core import QgsRasterLayer"),
    at("worker.engines", "import onnxruntime, scipy.sparse\nimport sys\nsys.path.append('x')"),
    at("worker.engines", "from typing import Protocol\nclass Engine(Protocol):\n    def run(self): ..."),
    at(
        "",
        "def classFactory(iface):\n    from imagetodem_qgis.plugin import P\n    return P(iface)",
        is_package=True,
    ),
    at("runtime.locations", "from pathlib import Path\nx = Path(__file__).parent / 'model_weights'"),
    at("runtime.client", "command = 'import sys; sys.path.append(folder)'"),
    Module("training.generator", "import keras\nfrom imagetodem_qgis.core import light"),
]


@pytest.mark.parametrize("module", KEPT, ids=lambda module: module.name)
def test_what_is_allowed_is_not_found(module: Module) -> None:
    assert [violation for rule in RULES for violation in rule(module)] == []


def test_a_detour_is_found() -> None:
    modules = [
        at("", "", is_package=True),
        at("provider", "from imagetodem_qgis.worker import engines"),
        at("worker", "", is_package=True),
        at("worker.engines", "import onnxruntime"),
        at("worker.main", "from imagetodem_qgis.runtime.settings import interpreter"),
        at("runtime", "", is_package=True),
        at("runtime.settings", "from qgis.core import QgsSettings"),
        at("runtime.lazy", "def start():\n    from imagetodem_qgis.worker import engines"),
    ]
    assert loads_of_others({module.name: module for module in modules}) == [
        f"{PLUGIN}.provider loads onnxruntime",
        f"{PLUGIN}.worker.main loads qgis.core.QgsSettings",
    ]


def test_core_loads_where_there_is_numpy_alone(project: dict[str, Module]) -> None:
    """The rule seen at work: a Python that refuses all other libraries loads the whole core."""
    core = sorted(name for name in project if name.startswith(f"{PLUGIN}.core."))
    assert core
    script = f"""
import importlib, json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(HEAVY | QGIS)!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {str(ROOT)!r})
for name in {core!r}:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert set(core) <= loaded
    assert not {name for name in loaded if top(name) in HEAVY | QGIS}
