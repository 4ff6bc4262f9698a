"""What becomes of an output layer when Processing has loaded it into a project.

A DEM becomes a group of two layers over one file: a hillshade, which multiplies, over the colour relief,
which is the layer that Processing loaded. One raster layer alone cannot draw both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from qgis.core import (
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsLayerTreeNode,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProject,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QObject, QTimer

from imagetodem_qgis.styling.colours import DIFFERENCE, ELEVATION, STANDARD_DEVIATION
from imagetodem_qgis.styling.elevation import mark_as_elevation
from imagetodem_qgis.styling.renderers import apply_colour_relief, apply_hillshade

RELIEF_GROUP = "imagetodem/relief"
"""Custom property that marks a group made here."""

Arrangement = Callable[[QgsLayerTreeLayer, QgsProject], None]

# Processing keeps no reference to a post-processor written in Python: each output's own is kept here.
_waiting: set[QgsProcessingLayerPostProcessorInterface] = set()


def style_on_load(context: QgsProcessingContext, output: str | Path, kind: str) -> None:
    """Have an output layer styled once it is loaded; nothing happens where it will not be (``qgis_process``).

    Args:
        context: the context that ``processAlgorithm`` received.
        output: the output's file.
        kind: ``"dem"``, ``"confidence"`` or ``"difference"``.
    """
    # Processing names the output as the user wrote it, which need not be how a path of Python's writes it.
    named = [source for source in context.layersToLoadOnCompletion() if Path(source) == Path(output)]
    if not named:
        return
    # A run that failed or was cancelled after this point never came to its post-processors; its context,
    # which owns their C++ side, is gone.
    _waiting.difference_update([processor for processor in tuple(_waiting) if sip.isdeleted(processor)])
    processor = {
        "dem": DemPostProcessor,
        "confidence": ConfidencePostProcessor,
        "difference": DifferencePostProcessor,
    }[kind]()
    _waiting.add(processor)
    context.layerToLoadOnCompletionDetails(named[0]).setPostProcessor(processor)


class DemPostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Makes a DEM layer the colour relief of a group, under its hillshade."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer now, and arrange its node now or when it comes."""
        _waiting.discard(self)
        apply_colour_relief(layer, ELEVATION)
        mark_as_elevation(layer)
        layer.triggerRepaint()
        _arrange(layer, context, _group_under_hillshade)


class ConfidencePostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Colours a raster of standard deviations, and leaves it unchecked where it would hide the DEM."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer now, and arrange its node now or when it comes."""
        _waiting.discard(self)
        apply_colour_relief(layer, STANDARD_DEVIATION)
        layer.triggerRepaint()
        is_only_output = len(context.layersToLoadOnCompletion()) == 1
        _arrange(layer, context, _show if is_only_output else _hide)


class DifferencePostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Colours a raster of differences around zero."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer now, and arrange its node now or when it comes."""
        _waiting.discard(self)
        apply_colour_relief(layer, DIFFERENCE)
        layer.triggerRepaint()
        _arrange(layer, context, _show)


def _arrange(layer: QgsMapLayer, context: QgsProcessingContext, arrange: Arrangement) -> None:
    """Arrange a layer's node in the layer tree, at once or as soon as it is there.

    QGIS 3.22 puts the node into the tree before it calls the post-processor, later versions do it afterwards.
    """
    project = layer.project() or context.project()
    node = project.layerTreeRoot().findLayer(layer.id())
    if node is None:
        _Arrival(layer, project, arrange)
    else:
        arrange(node, project)


class _Arrival(QObject):
    """Waits for a layer's node. The layer owns it: a post-processor ends with Processing's context."""

    def __init__(self, layer: QgsMapLayer, project: QgsProject, arrange: Arrangement) -> None:
        super().__init__(layer)
        self._layer_id = layer.id()
        self._project = project
        self._arrangement = arrange
        project.layerTreeRoot().addedChildren.connect(self._look)

    def _look(self) -> None:
        root = self._project.layerTreeRoot()
        if root.findLayer(self._layer_id) is not None:
            root.addedChildren.disconnect(self._look)
            # The tree is amid an insertion: it must not be rearranged before everyone has been told of that.
            QTimer.singleShot(0, self._finish)

    def _finish(self) -> None:
        node = self._project.layerTreeRoot().findLayer(self._layer_id)
        if node is not None:
            self._arrangement(node, self._project)
        self.deleteLater()


def _group_under_hillshade(node: QgsLayerTreeLayer, project: QgsProject) -> None:
    dem = node.layer()
    hillshade = dem.clone()
    hillshade.setName(QCoreApplication.translate("ImageToDem", "{} (hillshade)").format(dem.name()))
    apply_hillshade(hillshade)
    project.addMapLayer(hillshade, False)

    group = QgsLayerTreeGroup(dem.name())
    group.setCustomProperty(RELIEF_GROUP, True)
    group.addLayer(hillshade).setExpanded(False)
    group.addChildNode(node.clone())
    _replace(node, group)


def _show(node: QgsLayerTreeLayer, project: QgsProject) -> None:
    _replace(node, node.clone())


def _hide(node: QgsLayerTreeLayer, project: QgsProject) -> None:
    node.setItemVisibilityChecked(False)
    _show(node, project)


def _replace(node: QgsLayerTreeLayer, replacement: QgsLayerTreeNode) -> None:
    """Put another node where a node is, or above the group of an earlier DEM where it is inside one.

    QGIS inserts a new layer beside the selected one, and that may be in such a group.
    """
    place: QgsLayerTreeNode = node
    while place.parent().customProperty(RELIEF_GROUP):
        place = place.parent()
    place.parent().insertChildNode(place.parent().children().index(place), replacement)
    # Only now: QGIS drops a layer from the project when its last node goes.
    node.parent().removeChildNode(node)
