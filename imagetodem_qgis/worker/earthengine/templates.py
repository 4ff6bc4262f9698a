"""Expressions that are the same for every tile but for some constants: encoded once, filled in for each.

To build an expression and to encode it takes the library milliseconds, as long as the rest of a request.
"""

from __future__ import annotations

import json
from typing import Any

import ee


def blank(name: str) -> Any:
    """A place to be filled in."""
    return ee.CustomFunction.variable(None, name)


class Template:
    """An expression with blanks, as Earth Engine's REST interface takes it (``Expression``).

    Args:
        expression: of the client library.
        names: of its blanks.
    """

    def __init__(self, expression: Any, *names: str) -> None:
        self._names = names
        self._text = json.dumps(ee.serializer.encode(expression))

    def filled(self, **constants: Any) -> str:
        """The expression as JSON.

        Args:
            constants: for each blank a value of JSON's kinds.
        """
        text = self._text
        for name in self._names:
            text = text.replace(
                json.dumps({"argumentReference": name}), json.dumps({"constantValue": constants[name]})
            )
        return text
