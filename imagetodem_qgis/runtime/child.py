"""Child processes: a clean environment, their lines as they come, an end within half a second."""

from __future__ import annotations

import contextlib
import ntpath
import os
import posixpath
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from imagetodem_qgis.runtime.pipes import close_pipes

_DROPPED_PREFIXES = (
    "PYTHON",
    "PROJ_",
    "GDAL_",
    "OGR_",
    "QT_",
    "QGIS_",
    "DYLD_",
    "OSGEO4W",
    "GRASS_",
    "GISBASE",
)
_DROPPED_NAMES = (
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "__PYVENV_LAUNCHER__",
    "QML2_IMPORT_PATH",
)
_CERTIFICATE_NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_GPU_FOLDER_WORDS = ("cuda", "cudnn", "nvidia", "tensorrt", "rocm")

# The child ends with QGIS, however QGIS ends: the other end of its standard input closes with it.
_BOUND_MODULE = (
    "import os, runpy, signal, sys, threading\n"
    "def wait():\n"
    "    while os.read(0, 4096): pass\n"
    "    if hasattr(os, 'killpg'): os.killpg(0, signal.SIGKILL)\n"
    "    os._exit(3)\n"
    "threading.Thread(target=wait, daemon=True).start()\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
)


class ChildCancelled(Exception):
    """The user cancelled; the child has ended."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables to start a child with: this process's, less what QGIS sets for itself.

    Left out are variables that lead another Python, GDAL, PROJ or Qt into QGIS's own files, and QGIS's
    folders on the search path. What an application bundle saved under ``NAME_ORIG`` is restored. Proxies,
    ``PIP_*``, temporary folders and CUDA's variables stay.

    Args:
        extra: variables to add or to replace in the end.
    """
    roots = _application_roots()
    kept = {}
    for name, value in os.environ.items():
        upper = name.upper()
        if upper.startswith(_DROPPED_PREFIXES) or upper in _DROPPED_NAMES:
            continue
        if upper in _CERTIFICATE_NAMES and _lies_below(value, roots):
            continue
        kept[name] = _without_folders(value, roots) if upper == "PATH" else value
    for name in [name for name in kept if name.endswith("_ORIG")]:
        original = kept.pop(name)
        if original:
            kept[name[: -len("_ORIG")]] = original
    if "LD_LIBRARY_PATH" not in kept:
        gpu_folders = _gpu_folders(os.environ.get("LD_LIBRARY_PATH", ""))
        if gpu_folders:
            kept["LD_LIBRARY_PATH"] = gpu_folders
    kept.update(extra or {})
    return kept


def hidden_window_flags() -> dict[str, Any]:
    """Arguments of ``subprocess.Popen``: no console window on Windows, a group of its own elsewhere."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


class ChildStartError(OSError):
    """An interpreter that cannot be started; the message says what to run next."""


def start_worker(
    interpreter: Path, code: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start code of the worker in the machine-learning environment, with pipes to all its streams.

    Args:
        interpreter: of the environment.
        code: Python, which must not count on a module search path.
        variables: of the environment, beside those of `clean_environment`.

    Raises:
        ChildStartError: the interpreter cannot be started.
    """
    try:
        return subprocess.Popen(
            [str(interpreter), "-I", "-X", "utf8", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(variables),
            **hidden_window_flags(),
        )
    except OSError as error:
        raise ChildStartError(
            f"the interpreter {interpreter} cannot be started ({error}): run imagetodem:setupenvironment"
        ) from error


def end(process: subprocess.Popen[Any]) -> None:
    """End a child started with `hidden_window_flags`, and that child's children, within half a second."""
    if sys.platform == "win32":
        if process.poll() is None:
            # Ending the launcher of a virtual environment alone would leave the Python behind it at work.
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                **hidden_window_flags(),
            )
            if process.poll() is None:
                process.kill()
    else:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
        _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def bound_module(python: Path, module: str, *arguments: str) -> list[str]:
    """The command that runs a Python module and stops when the process that started it is gone.

    To be started by `run_streaming`, which holds the other end of the child's standard input.
    """
    return [str(python), "-I", "-X", "utf8", "-c", _BOUND_MODULE, module, *arguments]


def run_streaming(
    command: Sequence[str],
    on_line: Callable[[str], None],
    is_cancelled: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a child and hand on each line that it writes to either of its outputs, as it comes.

    Args:
        command: program and arguments.
        on_line: called in the calling thread with each line, less its end.
        is_cancelled: asked about ten times a second.
        env: the child's variables; None for `clean_environment()`.

    Returns:
        The child's exit status.

    Raises:
        ChildCancelled: it was cancelled; the child has ended.
        OSError: the program cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        env=dict(clean_environment() if env is None else env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **hidden_window_flags(),
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(process, lines), daemon=True)
    reader.start()
    try:
        while True:
            if is_cancelled():
                raise ChildCancelled("cancelled")
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                # A grandchild may hold the output open after the child itself has ended.
                if process.poll() is None:
                    continue
                line = None
            if line is None:
                break
            on_line(line)
        while process.poll() is None:
            if is_cancelled():
                raise ChildCancelled("cancelled")
            time.sleep(0.02)
        return process.returncode
    finally:
        end(process)
        close_pipes((process.stdin, None), (process.stdout, reader))


def _read_lines(process: subprocess.Popen[bytes], lines: queue.Queue[str | None]) -> None:
    try:
        for raw in process.stdout or ():
            for part in raw.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
                if part.strip():
                    lines.put(part.rstrip())
    except (OSError, ValueError):
        pass
    lines.put(None)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _application_roots() -> list[str]:
    """Folders that belong to QGIS's own bundle, where it brings a Python and libraries of its own."""
    names = ("OSGEO4W_ROOT",) if sys.platform == "win32" else ("APPDIR", "SNAP")
    roots = [os.environ[name] for name in names if os.environ.get(name)]
    if sys.platform == "win32":
        python_home = ntpath.normpath(sys.exec_prefix)
        if ntpath.basename(ntpath.dirname(python_home)).lower() == "apps":
            roots.append(ntpath.dirname(ntpath.dirname(python_home)))
    return roots


def _lies_below(path: str, roots: Sequence[str]) -> bool:
    flavour = ntpath if sys.platform == "win32" else posixpath
    separator = "\\" if sys.platform == "win32" else "/"
    folder = flavour.normcase(flavour.normpath(path)) + separator
    return any(
        folder.startswith(flavour.normcase(flavour.normpath(root)).rstrip(separator) + separator)
        for root in roots
    )


def _without_folders(search_path: str, roots: Sequence[str]) -> str:
    separator = ";" if sys.platform == "win32" else ":"
    return separator.join(
        part for part in search_path.split(separator) if not (part and _lies_below(part, roots))
    )


def _gpu_folders(search_path: str) -> str:
    """The entries of a library search path that hold a GPU's libraries, which the child does need."""
    parts = search_path.split(":")
    return ":".join(part for part in parts if any(word in part.lower() for word in _GPU_FOLDER_WORDS))
