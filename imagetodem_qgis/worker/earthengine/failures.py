"""What went wrong, in words that tell a user what to do, and whether it may pass."""

from __future__ import annotations

import re
from dataclasses import dataclass

import google.auth.exceptions
import googleapiclient.errors
import httplib2
from ee.ee_exception import EEException

from imagetodem_qgis.core.retry import RETRYABLE_STATUS, RetryableError, seconds_of_retry_after
from imagetodem_qgis.worker.earthengine import advice
from imagetodem_qgis.worker.earthengine.redaction import redacted
from imagetodem_qgis.worker.earthengine.transport import Unreachable

_USED_UP = re.compile(r"(?i)\b(per|a) (day|month)\b|\bdaily\b|\bmonthly\b|\beecu|compute quota|billing")
_RATE = re.compile(
    r"(?i)rate ?limit|too many (concurrent )?(requests|aggregations)|queries per|quota exceeded"
)
_TOO_MUCH = re.compile(
    r"(?i)memory limit|computation timed out|request size|too many pixels|deadline exceeded"
)
_LONGEST_QUOTE = 400


class Failure(Exception):
    """A request that failed for good.

    Attributes:
        fatal: whether every other request would fail alike.
        too_much: whether a smaller part of the picture might work.
    """

    def __init__(self, message: str, fatal: bool = False, too_much: bool = False) -> None:
        super().__init__(redacted(message))
        self.fatal = fatal
        self.too_much = too_much


class PassingFailure(RetryableError):
    """A request that failed and may work when it is made again."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(redacted(message), retry_after)


@dataclass(frozen=True)
class _Answer:
    """An answer that is an error: HTTP status, what it says, and its Retry-After in seconds."""

    status: int
    text: str
    retry_after: float | None


def translated(error: Exception) -> Exception:
    """An error of the client library as a :class:`Failure` or a :class:`PassingFailure`."""
    if isinstance(error, (Failure, PassingFailure)):
        return error
    if isinstance(error, Unreachable):
        text = f"Earth Engine: {error}"
        return PassingFailure(text) if error.may_pass else Failure(text, fatal=True)
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return _of_sign_in(error)
    answer = _answer_of(error)
    if answer is not None:
        return _of_answer(answer)
    if isinstance(error, EEException):
        return Failure(f"Earth Engine: {_quoted(str(error))}")
    # Whatever the libraries stumble over in an answer: a page of HTML, half a document, other fields.
    return PassingFailure(
        f"Earth Engine's answer makes no sense ({type(error).__name__}): a web page or half an answer in "
        "place of data, as proxies and the sign-in pages of networks send it"
    )


def _answer_of(error: Exception) -> _Answer | None:
    # The client library keeps the words of an HTTP error, and hands on the error itself as context only.
    found = error if isinstance(error, googleapiclient.errors.HttpError) else error.__context__
    if not isinstance(found, googleapiclient.errors.HttpError):
        return None
    response: httplib2.Response = found.resp
    header = str(response.get("retry-after", ""))
    return _Answer(int(response.status), str(found.reason), seconds_of_retry_after(header))


def _of_answer(answer: _Answer) -> Exception:
    status, said = answer.status, _quoted(answer.text)
    if status == 401:
        return Failure(
            f"Earth Engine does not accept the sign-in ({said}): it has expired or was withdrawn. Sign in "
            "again, or make a new key for the service account (KEY_FILE)",
            fatal=True,
        )
    if status in (403, 429) and _USED_UP.search(answer.text):
        return Failure(
            f"the quota of the Earth Engine project is used up ({said}). What was fetched is kept: run "
            f"this again when the quota is renewed, or with another PROJECT ({advice.REGISTER} shows how "
            "much is left)",
            fatal=True,
        )
    if status == 403 and not _RATE.search(answer.text):
        return Failure(
            f"PROJECT: Earth Engine refuses the project ({said}). Register it at {advice.REGISTER}, enable "
            f"the Earth Engine API at {advice.ENABLE}, and give your account (or the service account) the "
            "roles 'Earth Engine Resource Viewer' and 'Service Usage Consumer' in it",
            fatal=True,
        )
    if status == 404:
        return Failure(
            f"Earth Engine does not know what was asked for ({said}): look at PROJECT and SERVER", fatal=True
        )
    if _TOO_MUCH.search(answer.text):
        return Failure(f"Earth Engine: {said}", too_much=True)
    if status in RETRYABLE_STATUS or status == 403:
        return PassingFailure(f"Earth Engine answers {status} ({said})", answer.retry_after)
    return Failure(f"Earth Engine answers {status}: {said}")


def _of_sign_in(error: google.auth.exceptions.GoogleAuthError) -> Exception:
    if isinstance(error, google.auth.exceptions.TransportError) or error.retryable:
        return PassingFailure("Google's sign-in server cannot be reached, or is out of order")
    # The rest of what it carries is the server's whole answer.
    said = _quoted(str(error.args[0]) if error.args else type(error).__name__)
    return Failure(
        f"Google refuses the sign-in ({said}). Sign in again, or give the key file of a service account "
        "that is in use (KEY_FILE); a clock that is wrong by minutes has the same effect",
        fatal=True,
    )


def _quoted(text: str) -> str:
    """What a server says, on one line and not endless, without a full stop."""
    line = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    cut = line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
    return cut.rstrip(". ") or "without a word"
