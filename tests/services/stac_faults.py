"""What a stand-in STAC server can be told to do wrong, and what it notes of each request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Fault:
    """Something that goes wrong.

    Attributes:
        kind: a status such as ``429``; ``slow`` (answers after ``seconds``), ``stalled`` (half of the body,
            then nothing for ``seconds``), ``cut`` (closes the connection at once), ``truncated`` (half of the
            body, then closes), ``html`` (a web page with status 200), ``nonsense`` (JSON that says nothing).
        where: part of the path of the requests that it strikes; of a file's, the name's.
        times: how often it strikes.
        after: requests of its kind that come through before.
        retry_after: header with it.
        seconds: of ``slow`` and ``stalled``.
        method: that it strikes; every one if empty.
    """

    kind: str
    where: str = ""
    times: int = 1
    after: int = 0
    retry_after: str = ""
    seconds: float = 0.0
    method: str = ""

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is struck; counts it."""
        if self.where not in path or self.method not in ("", method) or self.times <= 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Asked:
    """A request: method, path without query, range (empty for none), and whether it came to a proxy."""

    method: str
    path: str
    range: str
    proxied: bool
