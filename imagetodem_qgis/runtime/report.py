"""What the machine-learning environment is, whether it is ready, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from imagetodem_qgis.runtime import inspection
from imagetodem_qgis.runtime.inspection import InspectionError
from imagetodem_qgis.runtime.interpreter import (
    OWN_ENVIRONMENT,
    SETUP_ADVICE,
    Candidate,
    Interpreter,
    InterpreterError,
    candidates,
    find_interpreter,
)
from imagetodem_qgis.runtime.locations import environment_folder
from imagetodem_qgis.runtime.marker import read_marker
from imagetodem_qgis.runtime.profiles import PROFILES, TRAIN, requirements_file, requirements_hash
from imagetodem_qgis.runtime.setup_log import last_lines

# What an engine calls a device that is no graphics card.
_PROCESSOR_NAMES = ("CPU", "CPUExecutionProvider", "AzureExecutionProvider")


@dataclass(frozen=True)
class EngineDevices:
    """What an engine can compute on.

    Attributes:
        engine: its name.
        version: its version.
        distribution: the package that brought it.
        cards: graphics cards, or the engine's ways to use one; empty where it uses the processor alone.
        problem: why it does not work; empty where it does.
    """

    engine: str
    version: str
    distribution: str
    cards: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class EnvironmentReport:
    """All that the report says.

    Attributes:
        ready: whether a DEM can be predicted.
        verdict: that, in a sentence.
        advice: what to do next, a sentence each.
        interpreter: the one that is used; None where there is none.
        examined: each place where an interpreter was looked for.
        engines: the engines of the interpreter that is used.
        cards: graphics cards that the system reports.
        log: end of the log of the last setting up.
    """

    ready: bool
    verdict: str
    advice: tuple[str, ...]
    interpreter: Interpreter | None
    examined: tuple[Candidate, ...]
    engines: tuple[EngineDevices, ...]
    cards: tuple[str, ...]
    log: tuple[str, ...]


def make_report(setting: str | None, is_cancelled: Callable[[], bool] = lambda: False) -> EnvironmentReport:
    """Look at everything; that something is missing is an answer, not an error.

    Args:
        setting: value of the setting ``imagetodem/python``; None or empty for none.
        is_cancelled: asked while the engines are tried.

    Raises:
        ChildCancelled: it was cancelled.
    """
    examined = tuple(candidates(setting))
    log = tuple(last_lines())
    try:
        interpreter = find_interpreter(setting)
    except InterpreterError as error:
        return EnvironmentReport(False, "Not ready.", (str(error),), None, examined, (), (), log)
    found: dict[str, Any] = {"cards": [], "engines": {}}
    try:
        found = inspection.devices(interpreter.path, is_cancelled)
    except InspectionError as error:
        found["engines"] = {engine: {"error": str(error)} for engine in interpreter.engines}
    engines = _engines(interpreter, found["engines"])
    cards = tuple(found["cards"])
    working = [item.engine for item in engines if not item.problem and item.engine in interpreter.engines]
    verdict = f"Ready: Predict DEM runs with {' and '.join(working)}."
    return EnvironmentReport(
        ready=bool(working),
        verdict=verdict if working else "Not ready: no engine works.",
        advice=tuple(_advice(interpreter, engines, cards)),
        interpreter=interpreter,
        examined=examined,
        engines=engines,
        cards=cards,
        log=log,
    )


def _engines(interpreter: Interpreter, found: dict[str, dict[str, Any]]) -> tuple[EngineDevices, ...]:
    distributions = inspection.inspect(interpreter.path).distributions
    engines = []
    for engine, answer in found.items():
        cards = tuple(name for name in answer.get("devices", ()) if name not in _PROCESSOR_NAMES)
        version = interpreter.packages.get(engine, "")
        engines.append(
            EngineDevices(engine, version, distributions.get(engine, ""), cards, answer.get("error", ""))
        )
    return tuple(engines)


def _advice(
    interpreter: Interpreter, engines: tuple[EngineDevices, ...], cards: tuple[str, ...]
) -> list[str]:
    advice = [
        f"{item.engine} is installed but does not work ({item.problem}). {SETUP_ADVICE} to mend it."
        for item in engines
        if item.problem
    ]
    if interpreter.source == OWN_ENVIRONMENT:
        advice += _advice_on_update()
    works_on_card = [item.engine for item in engines if item.cards]
    if cards and not works_on_card:
        advice.append(
            f"The graphics card {cards[0]} is not used: the installed engines compute on the processor. "
            f"To train on the card: {SETUP_ADVICE} with PROFILE={TRAIN.name}."
        )
    if not any(module in interpreter.packages for module in TRAIN.backends):
        advice.append(
            "Training, and models in Keras' or TensorFlow's format, need more. "
            f"{SETUP_ADVICE} with PROFILE={TRAIN.name}."
        )
    return advice


def _advice_on_update() -> list[str]:
    """Which profiles of the plugin's environment this version of the plugin pins other packages for."""
    made = read_marker(environment_folder()).requirements
    outdated = [
        name
        for name, digest in made.items()
        if name in PROFILES and digest != requirements_hash(requirements_file(PROFILES[name]))
    ]
    return [
        f"This version of the plugin comes with other packages. {SETUP_ADVICE} with PROFILE={name} to update."
        for name in outdated
    ]
