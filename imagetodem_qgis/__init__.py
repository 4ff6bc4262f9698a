"""Image to DEM: an elevation surface from a single RGB satellite image, in QGIS."""


def classFactory(iface):
    """The plugin, for QGIS; the import waits until here so that the worker starts without QGIS."""
    from imagetodem_qgis.plugin import ImageToDemPlugin

    return ImageToDemPlugin(iface)
