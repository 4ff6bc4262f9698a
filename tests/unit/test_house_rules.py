"""The rules of the house: who may import what, who knows where things lie, how long a file may be.

Every rule is run over the project, and every rule is shown a module that breaks it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.house_rules import (
    ALGORITHM_LINES,
    HEAVY,
    LOCATIONS,
    QGIS,
    RULES,
    Rule,
    algorithms_are_short,
    core_imports_numpy_alone,
    loads_of_others,
    locations_alone_knows_the_folders,
    nothing_is_left_open,
    package_loads_nothing,
    path_of_qgis_is_left_alone,
    plugin_imports_what_qgis_has,
    runs_on_python_39,
    worker_and_training_are_free_of_qgis,
)
from tests.unit.source_modules import PLUGIN, Module, read_modules, top

ROOT = Path(__file__).resolve().parents[2]


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
