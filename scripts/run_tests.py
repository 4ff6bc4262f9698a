"""Run the tests, each stage where its code runs for users, and say in one line a stage what came of it.

``unit`` and ``qgis`` run in QGIS's Python, ``worker`` in the machine-learning environment.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_STAGES = ("unit", "qgis", "worker")
# Appended, not PYTHONPATH: where both folders have a library, the environment's own must win.
_PYTEST = "import sys; sys.path.append(sys.argv.pop(1)); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


@dataclass(frozen=True)
class Outcome:
    """What came of a stage; one without a single test that ran is a failure too."""

    stage: str
    status: int
    passed: int
    failed: int
    skipped: int
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every test passed and there was one."""
        return self.status == 0 and self.failed == 0 and self.passed > 0

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {self.seconds:.0f} s"
        return f"{self.stage:7} {'ok    ' if self.good else 'FAILED'} {counts}"


def run_stage(stage: str, pytest_command: list[str], arguments: list[str]) -> Outcome:
    """Run a stage's tests; their output goes straight through."""
    print(f"\n===== {stage} =====", flush=True)
    started = time.monotonic()
    status, passed, failed, skipped = _run([*pytest_command, f"tests/{stage}", *arguments])
    return Outcome(stage, status, passed, failed, skipped, time.monotonic() - started)


def _run(command: list[str]) -> tuple[int, int, int, int]:
    """Exit status, at least 0, and how many tests passed, failed and were skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        told = [*command, f"--junitxml={report}"]
        status = subprocess.run(told, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
        return (abs(status), *_counts(report))


def _counts(report: Path) -> tuple[int, int, int]:
    if not report.exists():
        return 0, 0, 0
    # pytest wrote this file a moment ago: it is no stranger's.
    suites = list(ElementTree.parse(report).iter("testsuite"))  # noqa: S314
    tests, failures, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    return tests - failures - errors - skipped, failures + errors, skipped


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"of {', '.join(_STAGES)} (default: all)")
    parser.add_argument("--worker-python", type=Path, required=True, help="interpreter of the environment")
    parser.add_argument("--worker-packages", type=Path, required=True, help="folder with pytest for it")
    options, arguments = parser.parse_known_args()
    unknown = set(options.stages) - set(_STAGES)
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    in_qgis = [sys.executable, "-m", "pytest"]
    in_environment = [
        str(options.worker_python.absolute()),
        "-c",
        _PYTEST,
        str(options.worker_packages.resolve()),
    ]
    outcomes = [
        run_stage(stage, in_environment if stage == "worker" else in_qgis, arguments)
        for stage in options.stages or _STAGES
    ]
    print("\n===== summary =====")
    for outcome in outcomes:
        print(outcome)
    totals = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed", "skipped"))
    print("{} passed, {} failed, {} skipped".format(*totals))
    if not all(outcome.good for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
