"""Evaluates expressions of the REST protocol: a graph of values that call functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from tests.services.earthengine.functions import FUNCTIONS, Catalogue


class ExpressionError(ValueError):
    """What Earth Engine answers 400 to."""


class Evaluator:
    """Evaluates expressions over a catalogue.

    Args:
        signatures: the file with the interface's functions, as the client library brings it along.
        catalogue: images by the id of their collection.
    """

    def __init__(self, signatures: Path, catalogue: Catalogue) -> None:
        listed = json.loads(signatures.read_text(encoding="utf-8"))["algorithms"]
        self._signatures = {entry["name"].rpartition("/")[2]: entry.get("arguments", []) for entry in listed}
        self._catalogue = catalogue

    def value(self, expression: Mapping[str, Any]) -> Any:
        """What an expression comes to.

        Raises:
            ExpressionError: it cannot be evaluated.
        """
        return _Evaluation(expression["values"], self._signatures, self._catalogue).of(
            expression["result"], {}
        )


class _Evaluation:
    """One expression under evaluation; what depends on no argument is worked out once."""

    def __init__(
        self, values: Mapping[str, Any], signatures: Mapping[str, Any], catalogue: Catalogue
    ) -> None:
        self._values, self._signatures, self._catalogue = values, signatures, catalogue
        self._known: dict[str, Any] = {}

    def of(self, reference: str, arguments: Mapping[str, Any]) -> Any:
        if arguments:
            return self._node(self._values[reference], arguments)
        if reference not in self._known:
            self._known[reference] = self._node(self._values[reference], arguments)
        return self._known[reference]

    def _node(self, node: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        if len(node) != 1:
            raise ExpressionError(f"a value of {len(node)} kinds")
        ((kind, content),) = node.items()
        if kind == "constantValue":
            return content
        if kind == "valueReference":
            return self.of(content, arguments)
        if kind == "argumentReference":
            return arguments[content]
        if kind == "arrayValue":
            return [self._node(item, arguments) for item in content["values"]]
        if kind == "dictionaryValue":
            return {name: self._node(item, arguments) for name, item in content["values"].items()}
        if kind == "functionDefinitionValue":
            return self._function(content, arguments)
        if kind == "functionInvocationValue":
            return self._call(content, arguments)
        raise ExpressionError(f"a value of the kind {kind}")

    def _function(self, content: Mapping[str, Any], arguments: Mapping[str, Any]) -> Callable[..., Any]:
        names = content["argumentNames"]
        return lambda *given: self.of(content["body"], {**arguments, **dict(zip(names, given))})

    def _call(self, content: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        name = content["functionName"]
        signature = self._signatures.get(name)
        if signature is None or name not in FUNCTIONS:
            raise ExpressionError(
                f"Unknown function '{name}'." if signature is None else f"{name} is not evaluated"
            )
        given = {key: self._node(item, arguments) for key, item in content["arguments"].items()}
        known = {entry["argumentName"]: entry for entry in signature}
        for key in given:
            if key not in known:
                raise ExpressionError(f"{name}: Unrecognized arguments: {key}.")
        for key, entry in known.items():
            if key not in given:
                if not entry.get("optional"):
                    raise ExpressionError(f"{name}: Parameter '{key}' is required and may not be null.")
                given[key] = entry.get("defaultValue")
        try:
            return FUNCTIONS[name](self._catalogue, given)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExpressionError(f"{name}: {error}") from error
