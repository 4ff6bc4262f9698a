from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.browser import Browser, find_browser
from tests.page_contrast import CONTRASTS
from training.report import TilePictures, write_report

HISTORY = [
    {
        "epoch": epoch,
        "stage": 1,
        "step": 20 * epoch,
        "seconds": 3.5 * epoch,
        "learning_rate": 1e-3,
        "loss": 2.0 / epoch,
        "l1": 90.0 / epoch**2,
        "validation_loss": 2.0 / epoch + 0.01 * epoch,
        "validation_rmse": 200.0 / epoch + 90.0,
    }
    for epoch in range(1, 13)
]
FIGURES = {
    "valley": {
        "model": {"tiles": 12, "rmse_by_sigma_shift_scale": 0.72, "correlation": 0.69, "rmse_raw_m": 900.0},
        "before fine-tuning": {"tiles": 12, "rmse_by_sigma_shift_scale": 0.9, "correlation": 0.4},
        "luminance": {"tiles": 12, "rmse_by_sigma_shift_scale": 0.96, "correlation": 0.2},
    }
}
FACTS = {
    "Recipe": {"name": "default", "losses": {"relief": 1.0}, "stages": ["coarse_unet", "light_unet"]},
    "Data": {"folder": 'C:\\pairs\\<b>"A & B"</b>'},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(1)
    heights = random.normal(size=(2, 32, 32)).cumsum(axis=1).cumsum(axis=2)
    images = random.uniform(-1, 1, (2, 32, 32, 3))
    pictures = TilePictures(folder / "tiles")
    for epoch in (1, 5, 9):
        pictures.add(epoch, images, heights / epoch, heights, np.ones(heights.shape, bool))
    path = folder / "report.html"
    write_report(path, FACTS, HISTORY, pictures, FIGURES, best_epoch=9, notes=["No <graphics> card."])
    return path


class _Text(HTMLParser):
    """A page's text, the tags it opens, and the addresses it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = ("src", "href", "srcset", "data", "poster", "action")
        self.addresses += [value or "" for name, value in attributes if name in named]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_by_itself(report):
    page = report.read_text(encoding="utf-8")
    parsed = _Text(page)
    assert len(parsed.addresses) == 3
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert "script" not in parsed.tags
    assert "url(" not in page
    assert "@import" not in page
    assert parsed.tags.count("svg") == 3
    assert not list(report.parent.glob("*.partial"))


def test_what_users_wrote_is_text(report):
    parsed = _Text(report.read_text(encoding="utf-8"))
    assert 'C:\\pairs\\<b>"A & B"</b>' in parsed.words
    assert "No <graphics> card." in parsed.words
    assert "b" not in parsed.tags


def test_it_says_in_words_what_the_model_is_worth(report):
    words = " ".join(_Text(report.read_text(encoding="utf-8")).words)
    assert "valley, 12 tiles: the model's heights are off by 0.72 of a tile's relief" in words
    assert "20 % less than before fine-tuning (0.90)" in words
    assert "25 % less than the image's brightness fitted to the heights (0.96)" in words
    assert "12 epochs were trained; the weights of epoch 9 were kept" in words


def test_an_empty_run_has_a_page_too(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, {}, [])
    assert _Text(path.read_text(encoding="utf-8")).tags.count("h2") == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("needs Chromium or Chrome, of which there is none")
    with Browser(program, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_leaves_the_page_and_all_text_can_be_read(browser, report, dark):
    browser.open(report, dark=dark)
    assert report.as_uri() in browser.requests()
    assert [r for r in browser.requests() if not r.startswith("data:")] == [report.as_uri()]
    assert browser.complaints() == []
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.evaluate("document.images.length") == 2
    assert browser.evaluate(broken) == 0
    contrasts = browser.evaluate(CONTRASTS)
    assert {"H1.", "P.", "TH.", "TD.", "text.", "SPAN.key training", "SPAN.key validation"} <= set(contrasts)
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")


def test_it_fits_a_phone(browser, report):
    browser.open(report, width=390)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert browser.evaluate("document.querySelector('svg').getBoundingClientRect().width") > 320


def test_nothing_moves_for_those_who_ask_for_it(browser, report):
    shown = "getComputedStyle(document.querySelector('.animation')).display"
    browser.open(report, motion=False)
    assert browser.evaluate(shown) == "none"
    browser.open(report)
    assert browser.evaluate(shown) == "inline-block"
