"""The page of a scene: one file of HTML that holds all that it shows and asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER

_FOLDER = PLUGIN_FOLDER / "resources" / "scene"
_SCRIPTS = ("codec.js", "surface.js", "material.js", "view.js", "gltf.js", "viewer.js")


def scene_page(title: str, scene: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    """Put a scene into the viewer's page.

    Args:
        title: of the page, any text.
        scene: what ``viewer.js`` is told, of JSON's kinds.
        parts: packed numbers and pictures by the id under which the viewer looks for them.
    """
    texts = {
        "title": escape(title),
        "style": _resource("viewer.css"),
        "licence": _resource("three_licence.txt"),
        # Nothing in it may end the element that holds it.
        "scene": json.dumps(scene).replace("<", "\\u003c"),
        "parts": "\n".join(
            f'<script type="text/plain" id="{name}">{text}</script>' for name, text in parts.items()
        ),
        "three": _resource("three.min.js"),
        "scripts": "\n".join(_resource(name) for name in _SCRIPTS),
    }
    # All at once: what is put in may look like a place to put something.
    return re.sub(r"\{(\w+)\}", lambda place: texts[place.group(1)], _resource("page.html"))


def _resource(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
