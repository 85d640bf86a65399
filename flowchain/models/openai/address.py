"""Which servers may be talked to? Decided before anything is sent: a key that has left can't be called back.

Clear text goes to this machine alone, unless allowed. Link-local addresses are refused, whoever names them: in clouds
they are where a machine's own credentials are handed out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import inet_aton
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from flowchain.errors import ModelError, shown

_Address: TypeAlias = IPv4Address | IPv6Address

# Where clouds answer with the credentials of the machine that asks, beside 169.254.0.0/16 and fe80::/10.
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))


def checked(base_url: str, *, allow_http: bool) -> str:
    """Give the address without its last slash.

    Raises:
        ModelError: a scheme other than https (http for this machine alone, unless allowed), credentials, a query, a
            link-local or metadata address. Credentials are not repeated.

    >>> checked("http://127.0.0.1:8000/v1/", allow_http=False)
    'http://127.0.0.1:8000/v1'
    """
    # urlsplit drops tabs and line ends without a word, so that what is checked would not be what was written.
    if any(character <= " " or character == "\x7f" for character in base_url):
        raise _refused("an address with spaces or control characters", "a plain https:// address")
    try:
        parts = urlsplit(base_url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
        if _literal(host) is None:
            host.encode("idna")  # refuses labels that are empty or too long, which no resolver takes
    except ValueError as error:
        raise _refused(f"an address that can't be read: {error}", "https://host/v1") from None
    if parts.username is not None or parts.password is not None:
        raise _refused("an address with credentials in it", "an address without them", "Pass the key as api_key=….")
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(shown(base_url), "https://host/v1, or http://127.0.0.1:port/v1")
    if parts.query or parts.fragment:
        raise _refused("an address with a query or fragment", "an address that ends in its path, as in https://host/v1")
    if host in _METADATA_NAMES or is_refused(_literal(host)):
        raise _refused(f"{shown(host)}, a link-local or metadata address", "the address of a model server")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise _refused(
            f"http to {shown(host)}, where others can read along",
            "https, or http to this machine",
            "Write https://, or say allow_http=True for a network you trust.",
        )
    return base_url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Does a host's name mean this machine?

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("example.org")
    (True, True, False)
    """
    address = _literal(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def is_refused(address: _Address | None) -> bool:
    """Is it an address that no model server has?"""
    if address is None:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address in _METADATA_ADDRESSES


def refuse_resolved(host: str, addresses: Iterable[str]) -> None:
    """Refuse a name that leads to a refused address.

    Raises:
        ModelError: with the name and the address.
    """
    for address in addresses:
        if is_refused(ip_address(address.partition("%")[0])):
            raise _refused(f"{shown(host)}, which is at {address}", "a server at an address that is not link-local")


def proxy_for(base_url: str, trust_env: bool | None) -> str | None:
    """Give the proxy that the environment names for an address (``HTTPS_PROXY``, ``ALL_PROXY``, less ``NO_PROXY``).

    Args:
        base_url: whereto.
        trust_env: heed the environment? None: for all but this machine.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if trust_env is False or (trust_env is None and is_loopback(host)):
        return None
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies_environment, proxy_bypass  # brings http.client along

    proxies = getproxies_environment()
    if proxy_bypass(_with_port(parts)):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def without_credentials(url: str) -> str:
    """Give an address as it may be shown.

    >>> without_credentials("http://me:pass@proxy:3128")
    'http://proxy:3128'
    """
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _with_port(parts: SplitResult) -> str:
    return parts.netloc if parts.port else parts.hostname or ""


def _literal(host: str) -> _Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:  # the older ways to write one, which every resolver still takes: 2852039166, 0xa9fea9fe, 127.1
        return IPv4Address(inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def _refused(got: str, wanted: str, fix: str = 'Write base_url="https://host/v1".') -> ModelError:
    return ModelError(f"base_url: got {got}, wanted {wanted}. {fix}", field="base_url", got=got, wanted=wanted, fix=fix)
