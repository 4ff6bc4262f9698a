"""Parts of the Earth Engine worker that need no server."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ee", reason="needs earthengine-api")

import google.auth.exceptions
import googleapiclient.errors
import httplib2
import requests
from ee.ee_exception import EEException

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.worker.earthengine import redaction, transport
from imagetodem_qgis.worker.earthengine.expressions import runs_of_months
from imagetodem_qgis.worker.earthengine.failures import Failure, PassingFailure, translated
from imagetodem_qgis.worker.earthengine.fetching import Scene, clearest, windows
from imagetodem_qgis.worker.earthengine.products import BYTES_A_PIXEL, LARGEST_PICTURE
from imagetodem_qgis.worker.earthengine.session import Access, Session, picture_of
from imagetodem_qgis.worker.earthengine.templates import Template, blank

BANDS = ("B4", "height")


def http_error(status: int, message: str, **headers: str) -> Exception:
    """An error as the client library raises it: its own, with the HTTP error as context alone."""
    body = b'{"error": {"message": "%s"}}' % message.encode()
    response = httplib2.Response({"status": str(status), "content-type": "application/json", **headers})
    try:
        try:
            raise googleapiclient.errors.HttpError(
                response, body, uri="https://earthengine.example/v1?key=AIzaSy123"
            )
        except googleapiclient.errors.HttpError as error:
            raise EEException(error._get_reason())  # noqa: B904 - as the library does
    except EEException as error:
        return error


@pytest.mark.parametrize(
    ("error", "kind", "fatal", "words"),
    [
        (http_error(500, "Internal"), PassingFailure, None, "Earth Engine answers 500 (Internal)"),
        (http_error(429, "Too Many Requests"), PassingFailure, None, "429"),
        (http_error(403, "Rate Limit Exceeded"), PassingFailure, None, "403"),
        (http_error(403, "Permission denied"), Failure, True, "PROJECT: Earth Engine refuses the project"),
        (http_error(429, "Daily limit"), Failure, True, "quota of the Earth Engine project is used up"),
        (http_error(401, "Unauthenticated"), Failure, True, "does not accept the sign-in"),
        (http_error(404, "No such project"), Failure, True, "PROJECT and SERVER"),
        (http_error(400, "Image.gte: no band"), Failure, False, "400: Image.gte: no band"),
        (EEException("Invalid grid."), Failure, False, "Earth Engine: Invalid grid"),
        (google.auth.exceptions.TransportError("x"), PassingFailure, None, "sign-in server"),
        (
            google.auth.exceptions.RefreshError("invalid_grant: gone", {"a": 1}),
            Failure,
            True,
            "invalid_grant: gone",
        ),
        (transport.Unreachable("the answer broke off"), PassingFailure, None, "the answer broke off"),
        (transport.Unreachable("not trusted", may_pass=False), Failure, True, "not trusted"),
        (KeyError("result"), PassingFailure, None, "makes no sense (KeyError)"),
    ],
)
def test_errors_become_words(error: Exception, kind: type, fatal: bool | None, words: str) -> None:
    made = translated(error)
    assert isinstance(made, kind)
    assert words in str(made)
    assert getattr(made, "fatal", None) == fatal
    assert "AIza" not in str(made)


@pytest.mark.parametrize(
    "message", ["User memory limit exceeded.", "Computation timed out.", "Total request size (9)"]
)
def test_what_is_too_much_is_known(message: str) -> None:
    assert translated(http_error(400, message)).too_much
    assert not translated(http_error(400, "Image.load: not found")).too_much


def test_the_servers_wish_to_wait_is_kept() -> None:
    assert translated(http_error(503, "busy", **{"retry-after": "7"})).retry_after == 7.0
    assert translated(http_error(503, "busy")).retry_after is None


def test_a_page_of_words_is_cut_to_a_line() -> None:
    text = str(translated(http_error(502, "<html><h1>Bad  Gateway</h1>" + "x" * 1000)))
    assert "Bad Gateway" in text
    assert "<" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("error", "words", "may_pass"),
    [
        (requests.exceptions.ProxyError("http://me:secret@proxy:3128"), "proxy", True),
        (requests.exceptions.SSLError("x"), "certificate", False),
        (requests.exceptions.ConnectTimeout("x"), "could not be reached", True),
        (requests.exceptions.ReadTimeout("x"), "sent nothing for 9 s", True),
        (requests.exceptions.ChunkedEncodingError("x"), "broke off", True),
        (requests.exceptions.InvalidURL("http://me:secret@"), "address is none", False),
        (
            requests.exceptions.ConnectionError("http://me:secret@host"),
            "connection to the server broke",
            True,
        ),
    ],
)
def test_broken_connections_become_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, may_pass: bool
) -> None:
    def request(*details: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "request", request)
    with pytest.raises(transport.Unreachable, match=words) as told:
        transport.Transport(9.0).request("https://earthengine.example")
    assert told.value.may_pass == may_pass
    assert "secret" not in f"{told.value!r} {told.value.__cause__!r}"


SECRETS = [
    "ya29.a0AfB_byC-12345678",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0=\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBg",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "1//0gABCDEFGHIJKLMNOPQRSTUVWX",
]


@given(
    st.sampled_from(SECRETS),
    st.text(alphabet=" ,;:'\"(){}\n", max_size=3),
    st.sampled_from(["", "Bearer ", "key="]),
)
def test_secrets_are_struck_out_of_any_text(secret: str, around: str, before: str) -> None:
    text = redaction.redacted(f"it said {around}{before}{secret}{around} at the end")
    assert text.startswith("it said")
    assert text.endswith("at the end") or "BEGIN" in secret
    for part in secret.split("\n"):
        assert part not in text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:pass@proxy:3128 is down", "http://[left out]proxy:3128 is down"),
        ('{"private_key": "MIIE", "a": 1}', '{"[left out]", "a": 1}'),
        ("Image.select: Band pattern 'B4' did not match.", "Image.select: Band pattern 'B4' did not match."),
        ("KEY_FILE: /home/a/key.json cannot be read", "KEY_FILE: /home/a/key.json cannot be read"),
        ("with PROFILE=train, PROJECT: my-project-123", "with PROFILE=train, PROJECT: my-project-123"),
    ],
)
def test_what_is_no_secret_stays(text: str, clean: str) -> None:
    assert redaction.redacted(text) == clean


def test_secrets_that_are_known_are_struck_out_whatever_they_look_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "_known", set())
    redaction.strike_out("correct horse", None, "", "short")
    assert redaction.redacted("correct horse is short") == "[left out] is short"


@given(st.sets(st.integers(1, 12), min_size=1))
def test_runs_of_months_are_the_months(months: set[int]) -> None:
    runs = runs_of_months(tuple(months))
    assert {month for first, last in runs for month in range(first, last + 1)} == months
    assert all(later[0] > earlier[1] + 1 for earlier, later in zip(runs, runs[1:]))


@given(st.integers(1, 700), st.integers(20, 300))
def test_windows_cover_a_square_once_and_are_small_enough(size: int, largest: int) -> None:
    covered = np.zeros((size, size), np.uint8)
    for row, column, side in windows(size, largest):
        assert 0 < side <= largest
        covered[row : row + side, column : column + side] += 1
    assert (covered == 1).all()


def test_a_picture_fits_the_limit_of_a_request() -> None:
    assert LARGEST_PICTURE**2 * (BYTES_A_PIXEL + 5) < 48 * 1024 * 1024 / 2


def scene(index: str, datatake: str) -> Scene:
    return Scene(index, "2021-06-15", 150.0, 30.0, datatake)


def test_the_clearest_pass_is_chosen_and_among_equals_the_first() -> None:
    images = [scene("b2", "B"), scene("a", "A"), scene("b1", "B"), scene("c", "C")]
    assert [one.index for one in clearest(images, {"A": 0.2, "B": 0.9, "C": 0.9})] == ["b1", "b2"]
    assert [one.index for one in clearest(images, {"A": 0.2, "B": None})] == ["a"]
    assert [one.index for one in clearest(images, {})] == ["b1", "b2"]


def npy(shape: tuple[int, int] = (2, 3), names: tuple[str, ...] = BANDS) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones(shape, [(name, np.float32) for name in names]))
    return stream.getvalue()


def test_whole_pixels_are_taken() -> None:
    assert picture_of(npy(), (2, 3), BANDS)["height"].shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>", "no pixels but something else"),
        ("text", "no pixels but something else"),
        (npy()[:-1], "broke off"),
        (npy()[:20], "broke off"),
        (npy((3, 2)), "not .2, 3. of"),
        (npy(names=("B4",)), "not .2, 3. of"),
    ],
)
def test_what_is_no_whole_picture_is_asked_for_again(content: object, words: str) -> None:
    with pytest.raises(PassingFailure, match=words):
        picture_of(content, (2, 3), BANDS)


def test_pickles_are_not_opened() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PassingFailure, match="broke off"):
        picture_of(stream.getvalue(), (1, 1), BANDS)


def test_a_key_that_is_none_is_told_before_anything_is_asked(tmp_path) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"type": "service_account", "private_key": "MIIEvQ"}', encoding="utf-8")
    access = Access("http://127.0.0.1:9", "p", str(path), 1.0, BackOff(attempts=1))
    with pytest.raises(Failure, match="KEY_FILE: .* is no key of a service account") as told:
        Session(access, tell=print)
    assert told.value.fatal
    assert "MIIEvQ" not in str(told.value)


def test_a_templates_blanks_are_filled_wherever_they_stand() -> None:
    template = Template(
        {"one": [blank("corners"), 1], "two": blank("corners"), "three": blank("crs")}, "crs", "corners"
    )
    filled = json.loads(template.filled(corners=[1.5, -2.0], crs='EPSG:32633 "quoted"'))
    assert "argumentReference" not in json.dumps(filled)
    constants = [value["constantValue"] for value in values_in(filled) if "constantValue" in value]
    assert constants.count([1.5, -2.0]) >= 1
    assert 'EPSG:32633 "quoted"' in constants
    assert json.loads(template.filled(corners=[], crs=""))["result"] == filled["result"]


def values_in(node: object) -> list[dict[str, object]]:
    """All objects in JSON, the outer ones first."""
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in values_in(value))]
    return [found for value in node for found in values_in(value)] if isinstance(node, list) else []


def test_arrays_of_both_versions_and_orders_are_read_without_a_copy() -> None:
    pixels = np.zeros((2, 3), [("B4", np.float32), ("height", np.float32)])
    pixels["height"] = [[1, 2, 3], [4, 5, 6]]
    for order, version in (("C", (1, 0)), ("F", (1, 0)), ("C", (2, 0))):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.asarray(pixels, order=order), version)
        read = picture_of(stream.getvalue(), (2, 3), BANDS)
        np.testing.assert_array_equal(read["height"], pixels["height"])
        assert not read.flags.owndata
