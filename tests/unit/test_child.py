from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.runtime.child import (
    ChildCancelled,
    bound_module,
    clean_environment,
    end,
    hidden_window_flags,
    run_streaming,
)

LEAKING = {
    "PYTHONHOME": "/qgis",
    "PYTHONPATH": "/qgis/python",
    "PYTHONEXECUTABLE": "/qgis/bin",
    "PROJ_LIB": "/qgis/proj",
    "PROJ_DATA": "/qgis/proj",
    "GDAL_DATA": "/qgis/gdal",
    "GDAL_DRIVER_PATH": "/qgis/gdalplugins",
    "LD_LIBRARY_PATH": "/qgis/lib",
    "DYLD_LIBRARY_PATH": "/qgis/lib",
    "QT_PLUGIN_PATH": "/qgis/qt",
    "QGIS_PREFIX_PATH": "/qgis",
    "OSGEO4W_ROOT": "/qgis",
    "VIRTUAL_ENV": "/somewhere",
    "__PYVENV_LAUNCHER__": "/somewhere",
}
NEEDED = {
    "HTTPS_PROXY": "http://proxy:8080",
    "no_proxy": "localhost",
    "PIP_CERT": "/etc/certificate.pem",
    "CUDA_VISIBLE_DEVICES": "0",
    "IMAGETODEM_HOME": "/home/user/dem",
    "TMPDIR": "/tmp",
}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_what_qgis_sets_for_itself_stays_out_and_what_the_user_set_stays_in(monkeypatch):
    for name, value in {**LEAKING, **NEEDED}.items():
        monkeypatch.setenv(name, value)
    environment = clean_environment({"EXTRA": "1"})
    assert not set(LEAKING) & set(environment)
    assert {name: environment[name] for name in NEEDED} == NEEDED
    assert environment["EXTRA"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


@given(
    st.sampled_from(["PYTHON", "PROJ_", "GDAL_", "QT_", "QGIS_", "DYLD_"]),
    st.from_regex(r"[A-Z0-9]{1,9}", fullmatch=True),
)
def test_no_variable_of_a_dropped_family_passes(prefix, rest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(prefix + rest, "1")
        patch.setenv("KEPT_" + rest, "1")
        environment = clean_environment()
    assert prefix + rest not in environment
    assert environment["KEPT_" + rest] == "1"


def test_an_application_bundles_saved_originals_are_restored(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/bundle/lib")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/user/lib")
    monkeypatch.setenv("PYTHONHOME_ORIG", "")
    environment = clean_environment()
    assert environment["LD_LIBRARY_PATH"] == "/user/lib"
    assert "PYTHONHOME" not in environment
    assert not [name for name in environment if name.endswith("_ORIG")]


def test_a_library_path_keeps_the_graphics_cards_libraries_alone(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/qgis/lib:/usr/local/cuda-12.4/lib64:/opt/other")
    assert clean_environment()["LD_LIBRARY_PATH"] == "/usr/local/cuda-12.4/lib64"


def test_on_windows_qgis_own_folders_leave_the_search_path(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "exec_prefix", r"D:\Apps\QGIS 3.34\apps\Python312")
    monkeypatch.setenv("OSGEO4W_ROOT", "C:\\OSGeo4W\\")
    monkeypatch.setenv(
        "PATH",
        r"C:\osgeo4w\bin;C:\OSGeo4W\apps\qgis\bin;d:\apps\QGIS 3.34\bin;C:\Windows\System32;"
        r"C:\OSGeo4Wide\bin",
    )
    monkeypatch.setenv("SSL_CERT_FILE", r"C:\OSGeo4W\bin\curl-ca-bundle.crt")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", r"C:\company\root.pem")
    environment = clean_environment()
    assert environment["PATH"] == r"C:\Windows\System32;C:\OSGeo4Wide\bin"
    assert "SSL_CERT_FILE" not in environment
    assert environment["REQUESTS_CA_BUNDLE"] == r"C:\company\root.pem"


def test_on_windows_a_child_opens_no_window(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    assert hidden_window_flags() == {"creationflags": 0x08000000}


def test_lines_of_both_outputs_come_as_they_are_written_with_the_exit_status():
    code = (
        "import sys, time\n"
        "print('first', flush=True)\n"
        "sys.stderr.write('second\\n'); sys.stderr.flush()\n"
        "time.sleep(0.6)\n"
        "sys.stdout.buffer.write('10 %\\r20 %\\r\\ndonn\u00e9es\\n\\n'.encode()); sys.stdout.flush()\n"
        "sys.exit(7)\n"
    )
    heard = []
    status = run_streaming(
        [sys.executable, "-c", code], lambda line: heard.append((time.monotonic(), line)), lambda: False
    )
    assert status == 7
    assert [line for _, line in heard] == ["first", "second", "10 %", "20 %", "données"]
    assert heard[2][0] - heard[1][0] > 0.4


def test_a_child_sees_the_clean_environment_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("PROJ_LIB", "/qgis/proj")
    question = [sys.executable, "-c", "import os; print(os.environ.get('PROJ_LIB'))"]
    heard = []
    run_streaming(question, heard.append, lambda: False)
    run_streaming(question, heard.append, lambda: False, {**os.environ, "PROJ_LIB": "/own"})
    assert heard == ["None", "/own"]


def test_a_program_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match="missing"):
        run_streaming([str(tmp_path / "missing")], lambda line: None, lambda: False)


def stubborn(folder: Path) -> list[str]:
    """A child, and its own child, that both ignore a request to end; they write their process ids."""
    grandchild = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    script = folder / "stubborn.py"
    script.write_text(
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        f"subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "time.sleep(60)\n"
    )
    return [sys.executable, str(script)]


def test_cancel_ends_a_stubborn_child_and_its_child_within_a_second(tmp_path):
    pids: list[int] = []
    cancelled = []

    def is_cancelled() -> bool:
        if len(pids) == 2 and not cancelled:
            cancelled.append(time.monotonic())
        return bool(cancelled)

    with pytest.raises(ChildCancelled):
        run_streaming(stubborn(tmp_path), lambda line: pids.append(int(line)), is_cancelled)
    assert time.monotonic() - cancelled[0] < 1.0
    assert len(set(pids)) == 2
    assert wait_for(lambda: not any(alive(pid) for pid in pids), 1.0)


def test_a_listener_that_fails_does_not_leave_the_child_behind(tmp_path):
    pids = []

    def on_line(line: str) -> None:
        pids.append(int(line))
        raise RuntimeError("the listener failed")

    with pytest.raises(RuntimeError, match="the listener failed"):
        run_streaming(stubborn(tmp_path), on_line, lambda: False)
    assert not alive(pids[0])


def test_end_may_be_called_again():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **hidden_window_flags())
    started = time.monotonic()
    end(process)
    end(process)
    assert process.returncode != 0
    assert time.monotonic() - started < 0.6


def test_a_bound_module_gets_its_arguments_and_gives_its_status():
    heard = []
    status = run_streaming(
        bound_module(Path(sys.executable), "json.tool", "--help"), heard.append, lambda: False
    )
    assert status == 0
    assert any("json.tool" in line for line in heard)


def test_a_bound_module_ends_when_its_parent_is_killed(tmp_path):
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    parent_code = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "from pathlib import Path\n"
        "from imagetodem_qgis.runtime.child import bound_module, run_streaming\n"
        "command = bound_module(Path(sys.executable), 'sleeper')\n"
        # The sleeping module is no installed one: isolation is lifted for it.
        "command.remove('-I')\n"
        f"variables = {{'PYTHONPATH': {str(tmp_path)!r}}}\n"
        "run_streaming(command, lambda line: print(line, flush=True), lambda: False, variables)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        assert alive(child)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert wait_for(lambda: not alive(child), 3.0)
