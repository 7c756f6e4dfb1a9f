"""A private certificate authority and what it signs, as PEM files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs for 127.0.0.1 and the host names given; all is good for an hour."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private authority")])
        self.file, self.key_file = self._sign("ca", self._name, self._key, [], ca=True)

    def issue(self, name: str, *, group: str = "", hosts: tuple[str, ...] = ()) -> tuple[str, str]:
        """The files of a certificate for this common name, and of its key."""
        words = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if group:
            words.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        key = ec.generate_private_key(ec.SECP256R1())
        return self._sign(name, x509.Name(words), key, list(hosts), ca=False)

    def _sign(
        self,
        name: str,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        hosts: list[str],
        *,
        ca: bool,
    ) -> tuple[str, str]:
        now = dt.datetime.now(dt.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = [address, *(x509.DNSName(host) for host in hosts)]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        file = name.replace(":", "-")
        certificate, secret = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        certificate.write_bytes(made.public_bytes(pem))
        form, open_key = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(pem, form, open_key))
        return str(certificate), str(secret)
