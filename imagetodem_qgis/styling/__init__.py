"""How a DEM and its confidence look: hillshade over colour relief, in the project and beside the file."""

from imagetodem_qgis.styling.onload import DemPostProcessor, style_on_load
from imagetodem_qgis.styling.stylefile import write_confidence_style, write_style

__all__ = ["DemPostProcessor", "style_on_load", "write_confidence_style", "write_style"]
