"""No prompt and no key goes to an address that it should not go to, however that address is written."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.models.openai.address import checked, is_refused, proxy_for, refuse_resolved, without_credentials
from flowchain.records import GenerateRequest
from tests.models.openai.loopback import Answer, serving, streamed

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org/v1",
        "https://203.0.113.7:8443/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.1:8000/v1",
        "http://localhost/v1",
        "https://bücher.example/v1",
        "http://model.localhost/v1",
        "http://[::1]:8000/v1",
    ],
)
def test_what_is_fine(url: str) -> None:
    assert checked(url, allow_http=False) == checked(url + "/", allow_http=False) == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"https://me:{SECRET}@example.org/v1", "credentials"),
        (f"https://{SECRET}@example.org/v1", "credentials"),
        ("file:///etc/passwd", "https://host/v1"),
        ("example.org/v1", "https://host/v1"),
        ("https:///v1", "https://host/v1"),
        ("ftp://example.org", "https://host/v1"),
        ("https://example.org:99999/v1", "can't be read"),
        ("https://exam\tple.org/v1", "control characters"),
        ("https://example.org/v1\r\nHost: evil", "control characters"),
        ("https://example..org/v1", "can't be read"),
        (f"https://{'a' * 64}.org/v1", "can't be read"),
        ("https://[::1/v1", "can't be read"),
        ("https://example.org/v1?key=1", "query"),
        ("", "wanted https://host/v1"),
        ("https://example.org/v1#a", "query or fragment"),
        ("http://example.org/v1", "allow_http=True"),
        ("http://203.0.113.7/v1", "allow_http=True"),
        ("http://127.0.0.1.example.org/v1", "allow_http=True"),
        ("https://169.254.169.254/latest", "link-local or metadata"),
        ("https://[fe80::1]/v1", "link-local or metadata"),
        ("https://[fe80::1%25eth0]/v1", "link-local or metadata"),
        ("https://[::ffff:169.254.169.254]/v1", "link-local or metadata"),
        ("https://metadata.google.internal./v1", "link-local or metadata"),
        ("https://2852039166/v1", "link-local or metadata"),
        ("https://0xa9fea9fe/v1", "link-local or metadata"),
        ("https://0251.0376.0251.0376/v1", "link-local or metadata"),
        ("https://100.100.100.200/v1", "link-local or metadata"),
    ],
)
def test_what_is_refused_before_anything_is_sent(url: str, says: str) -> None:
    with pytest.raises(fc.ModelError, match=says) as caught:
        fc.OpenAIModel("m", base_url=url)
    assert caught.value.field == "base_url"
    assert SECRET not in str(caught.value) + repr(caught.value.__dict__)


def test_http_to_others_can_be_allowed() -> None:
    assert checked("http://203.0.113.7/v1", allow_http=True) == "http://203.0.113.7/v1"
    with pytest.raises(fc.ModelError, match="link-local"):
        checked("http://169.254.169.254/v1", allow_http=True)


@given(st.ip_addresses(v=4, network="169.254.0.0/16") | st.ip_addresses(v=6, network="fe80::/10"))
def test_every_link_local_address_is_refused_wherever_a_name_leads_to_it(address: Any) -> None:
    assert is_refused(address)
    with pytest.raises(fc.ModelError, match="host"):
        refuse_resolved("host", ["203.0.113.7", f"{address}"])


def test_a_name_that_leads_to_a_refused_address_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver is the system's own, so it is the one seam that has to be replaced from outside."""

    def resolved(*args: Any, **named: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    model = fc.OpenAIModel("m", base_url="https://models.example.org/v1")
    (found,) = asyncio.run(model.generate([GenerateRequest(prompt="a", max_tokens=1)]))
    assert isinstance(found, fc.ModelError)
    assert "169.254.169.254" in str(found)


def test_a_redirect_is_an_error_and_is_not_followed() -> None:
    """Row 81."""
    with serving(lambda call: streamed("stolen")) as evil:
        answer = Answer([b"{}"], status=307, headers={"location": f"{evil.url}/chat/completions"})
        with serving(lambda call: answer) as server:
            model = fc.OpenAIModel("m", base_url=server.url, api_key="k" * 20)
            with pytest.raises(fc.NodeError, match=r"redirects \(307\) to http://127") as caught:
                fc.Chain(fc.Generate(prompt="a", model=model)).run()
            assert len(server.calls) == 1
        assert evil.calls == []
        assert isinstance(caught.value.__cause__, fc.ServerError)


def test_proxies_of_the_environment_are_heeded_but_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 82."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example.org")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    named = f"http://me:{SECRET}@proxy:3128"
    assert proxy_for("https://example.org/v1", None) == named
    assert proxy_for("https://example.org/v1", False) is None
    assert proxy_for("https://inside.example.org/v1", None) is None
    assert proxy_for("https://127.0.0.1:1/v1", None) is None
    assert without_credentials(named) == "http://proxy:3128"


def test_the_proxy_is_asked_and_shown_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Row 82."""
    with serving(lambda call: streamed("by proxy")) as proxy:
        address = proxy.url.removesuffix("/v1").replace("http://", f"http://me:{SECRET}@")
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("http_proxy", address)
        model = fc.OpenAIModel("m", base_url="http://models.example.org/v1", allow_http=True)
        chain = fc.Chain(fc.Generate(prompt="a", model=model, name="poem"))
        run = chain.trace()
        run.save_html(tmp_path / "run.html")
        assert run.value == "by proxy"
        assert proxy.calls[0].path == "http://models.example.org/v1/chat/completions"
        report = chain.check()
    for shown in (repr(run), repr(report), (tmp_path / "run.html").read_text("utf-8")):
        assert f"proxy {without_credentials(address)}" in shown
        assert SECRET not in shown
