"""Certificates of a test's own, made by the openssl program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
_ROOT = ("-addext", "basicConstraints=critical,CA:TRUE")
_LEAF = ("-addext", "basicConstraints=critical,CA:FALSE")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, both PEM."""

    certificate: Path
    key: Path

    def together(self) -> Path:
        """One file with both, as Kafka's key stores want it."""
        both = self.key.with_suffix(".both.pem")
        both.write_text(self.key.read_text() + self.certificate.read_text())
        return both


class Authority:
    """A certificate authority in `folder`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self.root = self._pair(name)
        _openssl("req", "-x509", "-nodes", "-days", "2", *_KEY, *self._out(self.root),
                 "-subj", f"/CN={name}", *_ROOT)  # fmt: skip

    def issue(self, name: str, *, address: str = "", password: str = "") -> Certificate:
        """A certificate for `name`.

        Args:
            address: IP address that a server answers at.
            password: encrypts the key.
        """
        made = self._pair(name)
        subject = ("-addext", f"subjectAltName=IP:{address}") if address else ()
        lock = ("-passout", f"pass:{password}") if password else ("-nodes",)
        _openssl("req", "-x509", "-days", "2", *lock, *_KEY, *self._out(made), *self._signed(),
                 "-subj", f"/CN={name}", *_LEAF, *subject)  # fmt: skip
        return made

    def issue_expired(self, name: str) -> Certificate:
        """A certificate whose time is over."""
        made = self._pair(name)
        request = self._folder / f"{name}.csr"
        _openssl("req", "-new", "-nodes", *_KEY, "-keyout", str(made.key), "-out", str(request),
                 "-subj", f"/CN={name}")  # fmt: skip
        _openssl("x509", "-req", "-in", str(request), "-days", "-1", *self._signed(),
                 "-CAcreateserial", "-out", str(made.certificate))  # fmt: skip
        return made

    def _pair(self, name: str) -> Certificate:
        stem = self._folder / f"{self._name}.{name}"
        return Certificate(stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key"))

    def _signed(self) -> tuple[str, ...]:
        return "-CA", str(self.root.certificate), "-CAkey", str(self.root.key)

    @staticmethod
    def _out(pair: Certificate) -> tuple[str, ...]:
        return "-keyout", str(pair.key), "-out", str(pair.certificate)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
