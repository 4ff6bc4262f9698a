"""Importing the package ``training``, which lies beside the plugin in a checkout and inside it when
installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from imagetodem_qgis.runtime.locations import training_folder


def import_training(module: str) -> ModuleType:
    """The module ``training.<module>``.

    The package is registered by its file, so that no folder of the plugin comes onto the module search path.
    """
    if "training" not in sys.modules:
        folder = training_folder()
        spec = importlib.util.spec_from_file_location(
            "training", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"the package 'training' is not in {folder}")
        package = importlib.util.module_from_spec(spec)
        sys.modules["training"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"training.{module}")
