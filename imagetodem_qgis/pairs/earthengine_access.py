"""Which project and which credentials Earth Engine is used with, looked at without asking the server."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetodem_qgis.pairs.source import SourceError
from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter
from imagetodem_qgis.runtime.settings import earth_engine_key_file, earth_engine_project, python_setting
from imagetodem_qgis.worker.earthengine import advice

_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{6,20}")
_KEY_FIELDS = ("client_email", "private_key", "token_uri")
_LARGEST_KEY_FILE = 100_000


@dataclass(frozen=True)
class Access:
    """What Earth Engine is used with.

    Attributes:
        project: id of the Cloud project; empty for the one of the user's sign-in.
        key_file: of a service account; empty for the user's own sign-in.
    """

    project: str
    key_file: str


def access_to_earth_engine(project: str, key_file: Path | None) -> Access:
    """The project and the credentials of the parameters, else of the plugin's settings, else of the computer.

    Args:
        project: parameter PROJECT, or empty.
        key_file: parameter KEY_FILE.

    Raises:
        SourceError: one of them is missing or wrong; the message begins with the parameter's name, and says
            what to do.
    """
    named = key_file or (Path(earth_engine_key_file()) if earth_engine_key_file() else None)
    chosen = project.strip() or earth_engine_project()
    if named is not None:
        own_project = _project_of_key(named)
    else:
        _check_sign_in()
        own_project = _project_of_sign_in()
    if not (chosen or own_project):
        raise SourceError(advice.NO_PROJECT, fatal=True)
    if chosen and not _PROJECT.fullmatch(chosen):
        raise SourceError(
            f"PROJECT: '{chosen}' is no id of a Google Cloud project: an id has small letters, digits and "
            f"hyphens, such as my-project-123; {advice.REGISTER} shows those of yours",
            fatal=True,
        )
    return Access(chosen or own_project, "" if named is None else str(named.expanduser().absolute()))


def _project_of_key(path: Path) -> str:
    """The project of a service account's key file; nothing else of the file is kept."""
    try:
        with open(path.expanduser(), encoding="utf-8") as file:
            content = file.read(_LARGEST_KEY_FILE)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SourceError(advice.unreadable_key(str(path), reason), fatal=True) from None
    fields = _fields(content)
    if fields.get("type") != "service_account" or not all(fields.get(name) for name in _KEY_FIELDS):
        # Not chained: errors of the JSON reader carry the text that they were given.
        raise SourceError(advice.no_key(str(path)), fatal=True) from None
    return str(fields.get("project_id") or "")


def _check_sign_in() -> None:
    if _stored_sign_in().is_file() or _default_credentials().is_file():
        return
    try:
        interpreter = find_interpreter(python_setting())
    except InterpreterError as error:
        raise SourceError(str(error), fatal=True) from error
    raise SourceError(advice.sign_in(str(interpreter.path)), fatal=True)


def _project_of_sign_in() -> str:
    stored = _stored_sign_in()
    name = "project" if stored.is_file() else "quota_project_id"
    try:
        content = (stored if stored.is_file() else _default_credentials()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return str(_fields(content).get(name) or "")


def _fields(content: str) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _stored_sign_in() -> Path:
    """What ``earthengine authenticate`` writes."""
    return Path.home() / ".config" / "earthengine" / "credentials"


def _default_credentials() -> Path:
    """What Google's own tools write, by their rules."""
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    if os.environ.get("CLOUDSDK_CONFIG"):
        folder = Path(os.environ["CLOUDSDK_CONFIG"])
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA", "")) / "gcloud"
    else:
        folder = Path.home() / ".config" / "gcloud"
    return folder / "application_default_credentials.json"
