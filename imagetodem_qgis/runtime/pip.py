"""Installing packages into the plugin's environment with its own pip; never into QGIS's Python."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from imagetodem_qgis.runtime.child import bound_module, clean_environment, run_streaming
from imagetodem_qgis.runtime.errors import SetupError

_LAST_LINES = 25
_RAW_PROGRESS_SINCE = (24, 1)
# Where a user's own configuration of pip would install somewhere else than into the environment.
_MISLEADING = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_PYTHON",
    "PIP_REQUIREMENT",
)

_EXPLANATIONS = (
    (
        r"No space left|There is not enough space|Errno 28",
        "The disk is full. Free some room, or set the environment variable IMAGETODEM_HOME to a folder on "
        "another disk.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError",
        "A server's certificate is not trusted, most often because a company's proxy opens secure "
        "connections. Ask for its certificate file and set the environment variable PIP_CERT to it, or "
        "use WHEELS.",
    ),
    (
        r"SSL module is not available",
        "This Python cannot open secure connections. Install Python 3.12 from python.org and name it in "
        "PYTHON, or use WHEELS.",
    ),
    (
        r"407 Proxy Authentication|ProxyError|Cannot connect to proxy",
        "The proxy refused. Check it in Settings > Options > Network, its user and password too, or use "
        "WHEELS.",
    ),
    (
        r"NewConnectionError|Failed to establish a new connection|Temporary failure in name resolution"
        r"|getaddrinfo failed|Network is unreachable|(Read|Connect) ?Timeout|Connection (aborted|reset)"
        r"|\(from versions: none\)",
        "The package index cannot be reached. Check the connection and, behind a proxy, Settings > "
        "Options > Network; without a connection, use WHEELS. What was downloaded is kept for the next "
        "run.",
    ),
    (
        r"Windows Long Path|WinError 206",
        "The folder's path is too long for Windows. Set the environment variable IMAGETODEM_HOME to a "
        "short folder, "
        r"such as C:\imagetodem, and run this again.",
    ),
    (
        r"Access is denied|WinError (5|32)\b|Permission denied",
        "Files of the environment are in use or protected. Close other QGIS windows that predict, and run "
        "this again.",
    ),
)


def install(
    python: Path,
    requirements: Path,
    wheels: Path | None,
    count: int,
    on_line: Callable[[str], None],
    on_progress: Callable[[float], None],
    is_cancelled: Callable[[], bool],
    temporary: Path,
    pip_version: str,
    variables: Mapping[str, str],
) -> None:
    """Install a requirements file into the environment of an interpreter.

    Only ready-made wheels are installed: nothing is compiled, and no package's own code runs.

    Args:
        python: interpreter of the environment.
        requirements: pinned requirements.
        wheels: folder to take wheels from, in place of the network; None for the network.
        count: about how many packages there are, for the progress.
        on_line: given each line that pip writes.
        on_progress: given the share that is done, from 0 to 1.
        is_cancelled: asked about ten times a second.
        temporary: folder for what pip unpacks; it must have the room.
        pip_version: of the environment's pip.
        variables: for pip, such as those of a proxy; this process's own come first.

    Raises:
        ChildCancelled: it was cancelled.
        SetupError: pip failed.
    """
    reports_bytes = _numbers(pip_version) >= _RAW_PROGRESS_SINCE
    arguments = ["install", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
    arguments += ["--no-warn-script-location", "--progress-bar", "raw" if reports_bytes else "off"]
    if wheels is not None:
        arguments += ["--no-index", "--find-links", str(wheels)]
    arguments += ["--requirement", str(requirements)]

    environment = {name: value for name, value in clean_environment().items() if name not in _MISLEADING}
    for name, value in variables.items():
        environment.setdefault(name, value)
    temporary.mkdir(parents=True, exist_ok=True)
    environment.update({name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}, PIP_USER="0")

    progress = _Progress(count)
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    def heard(line: str) -> None:
        if progress.hear(line):
            last_lines.append(line)
            on_line(line)
        on_progress(progress.share)

    status = run_streaming(bound_module(python, "pip", *arguments), heard, is_cancelled, environment)
    if status != 0:
        raise SetupError(_explanation(list(last_lines), status, requirements, wheels))


class _Progress:
    """How far pip is, told from what it writes: it collects, downloads, and installs all at the end."""

    _COLLECTED = 0.75
    _INSTALLING = 0.8

    def __init__(self, count: int) -> None:
        self._count = max(count, 1)
        self._names: set[str] = set()
        self._part = 0.0
        self.share = 0.0

    def hear(self, line: str) -> bool:
        """Take a line into account; whether it says anything to a reader."""
        raw = re.match(r"Progress (\d+) of (\d+)", line)
        if raw:
            self._part = int(raw.group(1)) / max(int(raw.group(2)), 1)
        elif line.startswith("Ignoring ") and " markers " in line:
            # A pin for another system or another version of Python.
            self._count = max(self._count - 1, 1)
            return False
        elif line.startswith("Installing collected packages"):
            self.share = self._INSTALLING
            return True
        else:
            named = re.match(r"(?:Collecting|Processing|Requirement already satisfied:) (\S+)", line)
            if named:
                self._names.add(named.group(1))
                self._part = 0.0
        done = max(len(self._names) - 1 + self._part, 0.0) / self._count
        self.share = max(self.share, min(done, 1.0) * self._COLLECTED)
        return raw is None


def _explanation(lines: list[str], status: int, requirements: Path, wheels: Path | None) -> str:
    text = "\n".join(lines)
    advice = next((words for pattern, words in _EXPLANATIONS if re.search(pattern, text, re.IGNORECASE)), "")
    missing = re.search(r"No matching distribution found for (\S+)", text)
    if missing and wheels is not None:
        advice = (
            f"The folder WHEELS ({wheels}) has no wheel of {missing.group(1)} for this computer and this "
            "version of Python. Fill it, on a computer of the same kind with a connection, with: python -m "
            "pip download --only-binary :all: --dest FOLDER --requirement "
            f'"{requirements}".'
        )
    elif missing and not advice:
        advice = (
            f"The package index has no {missing.group(1)} for this computer and this version of Python. "
            "Name another Python in PYTHON."
        )
    return f"pip failed (exit status {status}). {advice}\nIts last lines:\n{text}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
