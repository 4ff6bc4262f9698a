"""Signing: the tokens that a catalogue gives to anyone, and wants to see when its files are read."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Any, Callable

from imagetodem_qgis.pairs.source import RetryableSourceError
from imagetodem_qgis.pairs.stac_catalogue import Catalogue
from imagetodem_qgis.pairs.stac_network import get_json, host

_RENEWED_BEFORE = 120.0
"""Seconds before its end at which a token is asked for anew: reading a window takes its time."""
_SHORTEST = 60.0
"""Seconds that a token is used at least, whatever this computer's clock says of its end."""


class Tokens:
    """The tokens of a catalogue's collections (Azure: shared access signatures), each asked for once until
    it ends. It may be used from several threads.

    Args:
        clock: seconds that never go back.
        now: seconds since 1970.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def sign(
        self,
        catalogue: Catalogue,
        collection: str,
        href: str,
        is_cancelled: Callable[[], bool],
    ) -> str:
        """The address of a file with its token; as it is where the catalogue needs none.

        Raises:
            FetchCancelled: the user cancelled.
            RetryableSourceError: there may be a token later.
            SourceError: there is none.
        """
        address = catalogue.token_address(collection)
        if not address:
            return href
        with self._lock:
            token, end = self._tokens.get(address, ("", 0.0))
            if not token or self._clock() >= end:
                token, end = self._ask(address, f"{catalogue.name}'s token", is_cancelled)
                self._tokens[address] = (token, end)
        return f"{href}{'&' if '?' in href else '?'}{token}"

    def forget(self, catalogue: Catalogue, collection: str, signed: str) -> None:
        """Ask for a new token the next time, where the last one is still the one that a file refused."""
        address = catalogue.token_address(collection)
        with self._lock:
            token = self._tokens.get(address, ("", 0.0))[0]
            if token and signed.endswith(token):
                del self._tokens[address]

    def _ask(self, address: str, what: str, is_cancelled: Callable[[], bool]) -> tuple[str, float]:
        answer = get_json(address, is_cancelled, what)
        token = answer.get("token")
        if not isinstance(token, str) or not token:
            raise RetryableSourceError(f"{what}: {host(address)} answered without one")
        return token.lstrip("?"), self._clock() + self._life(answer.get("msft:expiry"))

    def _life(self, expiry: Any) -> float:
        try:
            end = datetime.fromisoformat(str(expiry).replace("Z", "+00:00"))
        except ValueError:
            return _SHORTEST
        if end.tzinfo is None:
            end = end.replace(tzinfo=timezone.utc)
        return max(_SHORTEST, end.timestamp() - self._now() - _RENEWED_BEFORE)
