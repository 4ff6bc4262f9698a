"""The runner of the tests: what it calls good, and what it must not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import run_tests

IN_HERE = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stage ``unit`` has no test yet."""
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "counts", "good"),
    [
        ("def test_a(): pass\ndef test_b(): pass", (2, 0, 0), True),
        ("def test_a(): pass\ndef test_b(): assert 0", (1, 1, 0), False),
        ("import pytest\ndef test_a(): pytest.skip('why')\ndef test_b(): pass", (1, 0, 1), True),
        ("import pytest\ndef test_a(): pytest.skip('why')", (0, 0, 1), False),
        ("import nothing_of_that_name", (0, 1, 0), False),
        ("", (0, 0, 0), False),
    ],
    ids=["passes", "fails", "skips one", "skips all", "cannot be imported", "no test"],
)
def test_an_outcome(project: Path, source: str, counts: tuple[int, int, int], good: bool) -> None:
    (project / "tests" / "unit" / "test_of_a_stage.py").write_text(source)
    outcome = run_tests.run_stage("unit", IN_HERE, [])
    assert (outcome.passed, outcome.failed, outcome.skipped) == counts
    assert outcome.good is good


def test_an_interpreter_that_dies_is_a_failure(project: Path) -> None:
    outcome = run_tests.run_stage("unit", [sys.executable, "-c", "import os; os.abort()"], [])
    assert not outcome.good
    assert "FAILED 0 passed" in str(outcome)
