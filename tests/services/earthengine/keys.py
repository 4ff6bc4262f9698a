"""Key files of a service account that does not exist, and the tokens that a sign-in server gives for them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "pairs@stand-in-project.iam.gserviceaccount.com"
PROJECT = "stand-in-project"

_MAKE = """
import json
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
print(json.dumps({"pem": pem, "modulus": str(key.public_key().public_numbers().n)}))
"""
# Google's library names this audience wherever the token comes from.
_AUDIENCE = "https://oauth2.googleapis.com/token"
# What stands before the hash in a signature, RFC 8017, 9.2.
_SHA_256 = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True)
class Key:
    """A private key as PEM, and its modulus."""

    pem: str
    modulus: int

    @classmethod
    def made_by(cls, interpreter: Path) -> Key:
        """A new key, by an interpreter that has the library for it, as the client's own has."""
        done = subprocess.run([interpreter, "-I", "-c", _MAKE], capture_output=True, text=True, check=True)
        made = json.loads(done.stdout)
        return cls(made["pem"], int(made["modulus"]))

    def write(self, path: Path, token_address: str) -> Path:
        """Write a service account's key file."""
        content = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": self.pem,
            "client_email": ACCOUNT,
            "client_id": "100000000000000000000",
            "token_uri": token_address,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's, RSASSA-PKCS1-v1_5 with SHA-256."""
        size = (self.modulus.bit_length() + 7) // 8
        opened = pow(int.from_bytes(signature, "big"), 65537, self.modulus).to_bytes(size, "big")
        digest = _SHA_256 + hashlib.sha256(text).digest()
        return opened == b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest


class SignIn:
    """Gives tokens for signed assertions, RFC 7523, and knows which of them are good."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._good: set[str] = set()
        self.given: list[str] = []

    def token(self, form: str) -> dict[str, Any]:
        """The answer to a request for a token; with ``error`` in it where it is refused."""
        fields = parse_qs(form)
        head, claims, signature = fields.get("assertion", ["."])[0].split(".")
        said = json.loads(_decoded(claims))
        signed = self._key.signed(f"{head}.{claims}".encode(), _decoded(signature))
        if not signed or said["iss"] != ACCOUNT or said["aud"] != _AUDIENCE or said["exp"] < time.time():
            return {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if "https://www.googleapis.com/auth/earthengine" not in said["scope"].split():
            return {"error": "invalid_scope", "error_description": "Earth Engine is not in the scopes."}
        made = f"ya29.{secrets.token_urlsafe(24)}"
        with self._lock:
            self._good.add(made)
            self.given.append(made)
        return {"access_token": made, "expires_in": 3600, "token_type": "Bearer"}

    def accepts(self, header: str) -> bool:
        """Whether an Authorization header has a token that is good."""
        with self._lock:
            return header.partition("Bearer ")[2] in self._good

    def withdraw(self) -> None:
        """Take no token any more that was given so far."""
        with self._lock:
            self._good.clear()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
