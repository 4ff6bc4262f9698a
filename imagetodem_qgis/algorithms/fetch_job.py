"""The data set and the source that the parameters of Fetch Sentinel-2 / AW3D30 pairs ask for."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Callable

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext

from imagetodem_qgis.algorithms import fetch_parameters as parameter
from imagetodem_qgis.algorithms import pair_parameters as shared
from imagetodem_qgis.algorithms.area_inputs import AREAS, DEM, EXTENT, areas_of
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal
from imagetodem_qgis.pairs.areas import AreaError
from imagetodem_qgis.pairs.dataset import Job
from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource, check_earth_engine
from imagetodem_qgis.pairs.plan import plan_areas
from imagetodem_qgis.pairs.source import CLOUD, PairSource, Query, SourceError
from imagetodem_qgis.pairs.stac_source import StacSource, check_stac
from imagetodem_qgis.runtime.interpreter import find_interpreter
from imagetodem_qgis.runtime.settings import python_setting


def job_of(algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext) -> Job:
    """The data set that the parameters ask for.

    Raises:
        Refusal: a parameter cannot be used.
    """
    query = query_of(algorithm, parameters, context)
    resolution = algorithm.parameterAsDouble(parameters, shared.RESOLUTION, context)
    size = algorithm.parameterAsInt(parameters, shared.TILE_SIZE, context)
    areas = areas_of(algorithm, parameters, context)
    shares = shared.shares_of(algorithm, parameters, context, resolution * size)
    try:
        plan = plan_areas(areas, resolution, size, shares)
    except AreaError as error:
        raise Refusal(next(n for n in (EXTENT, AREAS, DEM) if parameters.get(n)), str(error)) from error
    limits = shared.limits_of(algorithm, parameters, context, CLOUD)
    source = algorithm.parameterAsEnumString(parameters, parameter.SOURCE, context)
    asked = {
        parameter.START: query.start.isoformat(),
        parameter.END: query.end.isoformat(),
        parameter.MONTHS: list(query.months),
        parameter.CLOUD: query.cloud,
        parameter.COMPOSITE: query.composite,
        parameter.ELEVATION: query.elevation,
    }
    origin = {parameter.SOURCE: source}
    if source == parameter.STAC:
        origin[parameter.CATALOGUE] = algorithm.parameterAsEnumString(
            parameters, parameter.CATALOGUE, context
        )
    recorded = {**origin, **asked, shared.RESOLUTION: resolution, shared.TILE_SIZE: size}
    return Job(
        shared.output_folder(algorithm, parameters, context),
        plan,
        resolution,
        size,
        limits,
        {**recorded, **shared.recorded(plan, limits)},
        description={"stretch": "none: reflectance, 1 is all light", "query": {**origin, **asked}},
    )


def query_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> Query:
    """The images and heights that the parameters ask for.

    Raises:
        Refusal: no day is left.
    """
    start, end = (_day(algorithm, parameters, name, context) for name in (parameter.START, parameter.END))
    if start > end:
        raise Refusal(parameter.END, f"{end} lies before {parameter.START} ({start})")
    months = tuple(
        sorted(month + 1 for month in algorithm.parameterAsEnums(parameters, parameter.MONTHS, context))
    )
    if not months:
        raise Refusal(parameter.MONTHS, "choose one at least")
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    if not {month % 12 + 1 for month in range(first, last + 1)} & set(months):
        raise Refusal(parameter.MONTHS, f"none of them lies between {start} and {end}")
    return Query(
        start,
        end,
        months,
        algorithm.parameterAsDouble(parameters, parameter.CLOUD, context),
        algorithm.parameterAsEnumString(parameters, parameter.COMPOSITE, context),
        algorithm.parameterAsEnumString(parameters, parameter.ELEVATION, context),
    )


def _day(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, name: str, context: QgsProcessingContext
) -> date:
    moment = algorithm.parameterAsDateTime(parameters, name, context)
    if not moment.isValid():
        raise Refusal(name, f"{parameters.get(name)!r} is no day: write it as 2023-06-01")
    return date(moment.date().year(), moment.date().month(), moment.date().day())


def check_source(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, query: Query
) -> None:
    """Look at what the source needs, without asking it anything.

    Raises:
        Refusal: something is missing; the message says what to do.
    """
    is_stac = algorithm.parameterAsEnumString(parameters, parameter.SOURCE, context) == parameter.STAC
    try:
        if is_stac:
            check_stac(query, algorithm.parameterAsEnumString(parameters, parameter.CATALOGUE, context))
        else:
            check_earth_engine(*_account(algorithm, parameters, context))
    except SourceError as error:
        name, _, reason = str(error).partition(": ")
        # A source that knows the parameter at fault names it first.
        named = algorithm.parameterDefinition(name) is not None
        raise (Refusal(name, reason) if named else Refusal(parameter.SOURCE, str(error))) from error


def opened_source(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    context: QgsProcessingContext,
    query: Query,
    log: Callable[[str], None],
) -> PairSource:
    """The source that the parameters name.

    Raises:
        InterpreterError: Earth Engine's client has no interpreter to run in.
        SourceError: it cannot be used.
    """
    server = algorithm.parameterAsString(parameters, parameter.SERVER, context).strip()
    simultaneous = algorithm.parameterAsInt(parameters, parameter.SIMULTANEOUS, context)
    if algorithm.parameterAsEnumString(parameters, parameter.SOURCE, context) == parameter.STAC:
        catalogue = algorithm.parameterAsEnumString(parameters, parameter.CATALOGUE, context)
        return StacSource(query, catalogue, server, simultaneous, log)
    project, key_file = _account(algorithm, parameters, context)
    interpreter = find_interpreter(python_setting()).path
    return EarthEngineSource(query, interpreter, project, key_file, server, simultaneous, log)


def _account(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> tuple[str, Path | None]:
    """The project, empty for that of the settings or of the key, and the key's file."""
    key_file = algorithm.parameterAsFile(parameters, parameter.KEY_FILE, context)
    project = algorithm.parameterAsString(parameters, parameter.PROJECT, context).strip()
    return project, Path(key_file).expanduser() if key_file else None
