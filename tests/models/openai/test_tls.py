"""Over TLS: a server whose certificate is trusted is talked to, and any other is not, at once and with the way out."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

import flowchain as fc
from tests.models.openai.asking import model_at
from tests.models.openai.loopback import serving, streamed


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of this machine that nobody has signed, and a server's way to show it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    made = f"openssl req {kind} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", file], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


def test_a_certificate_decides(certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate
    with serving(lambda call: streamed("safe"), context) as server:
        with pytest.raises(fc.NodeError, match=r"can't be reached.*CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
            fc.Chain(fc.Generate(prompt="a", model=model_at(server))).run()
        assert (server.calls, server.connections) == ([], 0)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert fc.Chain(fc.Generate(prompt="a", model=model_at(server))).run() == "safe"
