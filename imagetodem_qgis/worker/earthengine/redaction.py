"""Texts without secrets: whatever a server or a library says, keys and tokens are struck out of it."""

from __future__ import annotations

import re

_STRUCK = "[left out]"
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\bya29\.[\w.-]+"),
    re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"\bAIza[\w-]{20,}"),
    re.compile(r"\b1//[\w-]{20,}"),
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]+"),
    re.compile(
        r"(?i)(?<![\w-])(?:access_token|refresh_token|id_token|client_secret|private_key(?:_id)?|assertion|key"
        r")[\"']?\s*[:=]\s*[\"']?[^\s\"',;&}]+"
    ),
    re.compile(r"(?<=://)[^/\s@]+@"),
)
"""Keys as PEM, Google's tokens, signed tokens, API keys, refresh tokens, headers, named values, logins in
addresses."""
_known: set[str] = set()


def strike_out(*secrets: str | None) -> None:
    """Have these strings struck out of every text from now on, but those too short to be secrets."""
    _known.update(secret for secret in secrets if secret and len(secret) >= 8)


def redacted(text: str) -> str:
    """The text without the secrets that are known or look like some."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _STRUCK)
    for pattern in _SECRETS:
        text = pattern.sub(_STRUCK, text)
    return text
