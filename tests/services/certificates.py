"""A certificate authority of one's own, and a server's certificate that it signed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

_MAKE = """
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
now = datetime.datetime.now(datetime.timezone.utc)
def made(name, issuer, key, signer, extension, is_authority):
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, False)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=2))
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), True)
    return builder.sign(signer, hashes.SHA256()).public_bytes(s.Encoding.PEM)
def named(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
root, leaf = (rsa.generate_private_key(65537, 2048) for _ in range(2))
authority, server = named("Stand-in authority"), named("127.0.0.1")
usage = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
key = leaf.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
open(sys.argv[1], "wb").write(made(authority, authority, root, root, usage, True))
open(sys.argv[2], "wb").write(key + made(server, authority, leaf, root, places, False))
"""


class Certificates(NamedTuple):
    """Files: the authority's certificate, and the server's key and certificate together."""

    authority: Path
    server: Path


def make_certificates(interpreter: Path, folder: Path) -> Certificates:
    """New ones for this computer, by an interpreter that has the library for it, as Earth Engine's client's
    has."""
    made = Certificates(folder / "authority.pem", folder / "server.pem")
    subprocess.run([interpreter, "-I", "-c", _MAKE, made.authority, made.server], check=True)
    return made
