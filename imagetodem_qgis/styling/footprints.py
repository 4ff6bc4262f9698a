"""How the footprints of a data set look: coloured by split, in the project and in their own file."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication

_COLOURS = {"train": (46, 111, 168), "validation": (224, 138, 30), "test": (150, 66, 130)}
"""Apart in hue and in lightness, so that the colour-blind tell them from each other."""
_FILL_OPACITY = 70
_STYLE = "split"

# Processing keeps no reference to a post-processor written in Python: each output's own is kept here.
_waiting: set[QgsProcessingLayerPostProcessorInterface] = set()


def apply_split_colours(layer: QgsVectorLayer) -> None:
    """Colour polygons by the attribute ``split``."""
    categories = []
    for split, (red, green, blue) in _COLOURS.items():
        symbol = QgsFillSymbol.createSimple(
            {
                "color": f"{red},{green},{blue},{_FILL_OPACITY}",
                "outline_color": f"{red},{green},{blue},255",
                "outline_width": "0.4",
            }
        )
        label = QCoreApplication.translate("ImageToDem", split)
        categories.append(QgsRendererCategory(split, symbol, label))
    layer.setRenderer(QgsCategorizedSymbolRenderer("split", categories))


def write_footprints_style(path: Path) -> None:
    """Keep the style in the file, so that QGIS shows it wherever the file is opened. Any thread may call it.

    Raises:
        OSError: the file cannot be opened or written to.
    """
    layer = QgsVectorLayer(str(path), path.stem, "ogr")
    if not layer.isValid():
        raise OSError(f"Cannot open {path} to style it.")
    apply_split_colours(layer)
    problem = layer.saveStyleToDatabase(_STYLE, "", True, "")
    if problem:
        raise OSError(f"Cannot keep the style in {path}: {problem}")


def show_footprints(context: QgsProcessingContext, path: Path, output: str) -> None:
    """Have footprints loaded into the project and styled when the algorithm is done; nothing happens where
    there is no project.

    Args:
        context: the context that ``processAlgorithm`` received.
        path: of the file.
        output: name of the algorithm's output.
    """
    if context.project() is None:
        return
    # A run that failed after this point never came to its post-processor, whose C++ side is gone.
    _waiting.difference_update([processor for processor in tuple(_waiting) if sip.isdeleted(processor)])
    name = f"{path.parent.name} ({path.stem})"
    details = QgsProcessingContext.LayerDetails(name, context.project(), output)
    context.addLayerToLoadOnCompletion(str(path), details)
    processor = FootprintsPostProcessor()
    _waiting.add(processor)
    context.layerToLoadOnCompletionDetails(str(path)).setPostProcessor(processor)


class FootprintsPostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Colours footprints by split."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer."""
        _waiting.discard(self)
        apply_split_colours(layer)
        layer.triggerRepaint()
