"""Debian's docker-registry as a peer: plain, or with TLS by a CA of our own and htpasswd."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "reader", "open sesame: a secret"
PROGRAMS = {"docker-registry": "docker-registry", "htpasswd": "apache2-utils", "skopeo": "skopeo"}


class DockerRegistry:
    """A registry on a loopback port, a free one if none is given, its storage below ``folder``.

    Deleting is allowed. With ``secure`` it speaks TLS (``ca`` is the authority's PEM file) and wants
    USER and PASSWORD. On port 443 its name is the address alone. It tells ``notify`` (address and
    secret) of pushes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        secure: bool = False,
        port: int | None = None,
        notify: tuple[str, str] | None = None,
    ) -> None:
        for program, package in PROGRAMS.items():
            assert shutil.which(program), f"{program} is missing: install the package {package}"
        self.folder = folder
        self.secure = secure
        self._notify = notify
        self._address = f"127.0.0.1:{port or free_port()}"
        self.host = self._address.removesuffix(":443")
        self.url = f"{'https' if secure else 'http'}://{self.host}"
        self.ca = folder / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to serve; returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text(self._configure())
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(config)], stdout=log, stderr=log
            )
        self._wait()

    def stop(self) -> None:
        """End the process that ``start`` began."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def push(self, source: str, name: str, *options: str) -> None:
        """``skopeo copy SOURCE`` to ``name`` (``repository:tag``) of this registry."""
        self._skopeo("copy", "--all", *options, "--dest-{}", source, f"docker://{self.host}/{name}")

    def delete(self, name: str) -> None:
        """Delete the manifest that ``name`` points to."""
        self._skopeo("delete", "--{}", f"docker://{self.host}/{name}")

    def _skopeo(self, verb: str, *arguments: str) -> None:
        words: list[str] = []
        for argument in arguments:
            if argument.endswith("-{}") and self.secure:
                words += [argument.format(f"cert-dir={self.folder / 'certs'}")]
                words += [argument.format(f"creds={USER}:{PASSWORD}")]
            elif argument.endswith("-{}"):
                words += [argument.format("tls-verify=false")]
            else:
                words.append(argument)
        command = ["skopeo", "--insecure-policy", verb, *words]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, f"skopeo {verb}: {run.stderr}"

    def _configure(self) -> str:
        config = (
            "version: 0.1\nlog: {level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder / 'storage'}}},"
            " delete: {enabled: true}}\n"
        )
        if self._notify is not None:
            address, secret = self._notify
            config += (
                f"notifications: {{endpoints: [{{name: catalog, url: '{address}', timeout: 5s,"
                f" headers: {{Authorization: ['Bearer {secret}']}}, threshold: 3, backoff: 1s}}]}}\n"
            )
        if not self.secure:
            return f"{config}http: {{addr: '{self._address}'}}\n"
        _write_certificates(self.folder)
        entry = subprocess.run(
            ["htpasswd", "-Bnb", USER, PASSWORD], capture_output=True, check=True
        ).stdout
        (self.folder / "htpasswd").write_bytes(entry)
        return (
            f"{config}http: {{addr: '{self._address}',"
            f" tls: {{certificate: {self.folder / 'server.pem'}, key: {self.folder / 'server.key'}}}}}\n"
            f"auth: {{htpasswd: {{realm: images, path: {self.folder / 'htpasswd'}}}}}\n"
        )

    def _wait(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca)) if self.secure else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                opener.open(f"{self.url}/v2/", timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"docker-registry gave no answer: {(self.folder / 'log').read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_certificates(folder: Path) -> None:
    """Make an authority and a server certificate for 127.0.0.1, valid for a day."""
    now = dt.datetime.now(dt.UTC)
    authority, server = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])

    def build(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        known = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(known, critical=False)
            .add_extension(signer, critical=False)
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    root = build(issuer, authority).add_extension(constraints, critical=True)
    root_certificate = root.add_extension(usage, critical=True).sign(authority, hashes.SHA256())
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = build(subject, server).add_extension(address, critical=False)
    leaf_certificate = leaf.sign(authority, hashes.SHA256())
    pem = root_certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "certs").mkdir(exist_ok=True)
    (folder / "certs" / "ca.crt").write_bytes(pem)
    (folder / "server.pem").write_bytes(leaf_certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
