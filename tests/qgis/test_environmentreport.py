from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from imagetodem_qgis.runtime.environment import make_environment
from imagetodem_qgis.runtime.profiles import PREDICT
from tests.tiny_wheels import PREDICT_MODULES, build_wheels

pytest.importorskip("qgis.core", reason="needs QGIS's Python")


@pytest.fixture
def home(qgis_app, tmp_path, monkeypatch) -> Path:
    from imagetodem_qgis.runtime.settings import set_python_setting

    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMAGETODEM_PYTHON", raising=False)
    set_python_setting("")
    yield tmp_path / "home"
    set_python_setting("")


def run(report: Path | str):
    import processing
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback(False)
    results = processing.run("imagetodem:environmentreport", {"REPORT": str(report)}, feedback=feedback)
    return results, feedback.textLog()


class Page(HTMLParser):
    """What a page's tags are, whether they close in order, and what it would load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_where_nothing_is_installed_it_succeeds_and_says_what_to_run(home, tmp_path):
    results, log = run(tmp_path / "report.html")
    assert results == {"REPORT": str(tmp_path / "report.html"), "READY": False}
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in (page.text, log):
        assert "Not ready." in text
        assert "imagetodem:setupenvironment" in text
    assert page.open == []
    assert page.links == []
    assert not home.exists()


def test_a_named_interpreter_that_is_gone_is_the_first_thing_it_says(home, tmp_path):
    from imagetodem_qgis.runtime.settings import set_python_setting

    set_python_setting("/gone/<python>")
    results, log = run(tmp_path / "report.html")
    assert results["READY"] is False
    assert "The interpreter that the setting imagetodem/python names cannot be used" in log
    assert "/gone/<python> does not exist" in log
    assert "/gone/&lt;python&gt; does not exist" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_with_an_environment_it_is_ready_and_names_what_it_found(home, tmp_path):
    requirements = build_wheels(tmp_path / "wheels", PREDICT_MODULES)
    (tmp_path / "wheels" / "onnxruntime-1.0-py3-none-any.whl").unlink()
    from tests.tiny_wheels import build_wheel

    providers = (
        "def get_available_providers():\n    return ['DmlExecutionProvider', 'CPUExecutionProvider']\n"
    )
    build_wheel(tmp_path / "wheels", "onnxruntime", "1.0", "onnxruntime", providers)
    python = make_environment(home / "environment", PREDICT, requirements, wheels=tmp_path / "wheels")
    results, log = run("TEMPORARY_OUTPUT")
    assert results["READY"] is True
    page = Page(Path(results["REPORT"]).read_text(encoding="utf-8"))
    assert results["REPORT"].endswith(".html")
    for text in (str(python), "onnxruntime", "DmlExecutionProvider"):
        assert text in page.text
        assert text in log
    assert "used: the first that can predict" in page.text
    assert "This version of the plugin comes with other packages" in page.text
    heavy = {"onnxruntime", "tensorflow", "keras", "torch", "scipy"}
    assert not heavy & {name.split(".")[0] for name in sys.modules}


def test_the_page_reads_in_light_and_dark(home, tmp_path):
    run(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    light, dark = page.split("@media (prefers-color-scheme: dark)")
    for style in (light, dark):
        pairs = re.findall(r"background: (#\w{6}); color: (#\w{6})", style)
        assert len(pairs) == 5
        assert min(contrast(paper, ink) for paper, ink in pairs) > 4.5
    assert luminance(re.findall(r"body \{ background: (#\w{6})", light)[0]) > 0.9
    assert luminance(re.findall(r"body \{ background: (#\w{6})", dark)[0]) < 0.1


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    channels = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))


def test_a_report_that_cannot_be_written_is_refused_by_name(home, tmp_path):
    from qgis.core import QgsProcessingException

    (tmp_path / "folder.html").mkdir()
    with pytest.raises(QgsProcessingException, match="REPORT"):
        run(tmp_path / "folder.html")


def test_its_outputs_are_declared(qgis_app):
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().algorithmById("imagetodem:environmentreport")
    kinds = {output.name(): output.type() for output in algorithm.outputDefinitions()}
    assert kinds == {"REPORT": "outputHtml", "READY": "outputBoolean"}
