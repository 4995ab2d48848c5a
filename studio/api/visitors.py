"""Tells visitors apart by the account that is signed in, by whom a proxy signed in, or by their address: by a salted
hash of it, which is written down nowhere.

The salt is made anew at each start and never leaves the process, so nothing that is kept says who was here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping

from studio.settings import Settings

LONGEST = 256
"""Characters of a name or an address that are read."""
HOME = 64
"""Bits of an IPv6 address that stay the same: the rest is the device's to choose, anew every day."""


class Visitors:
    """The visitors of one studio, from its start to its end."""

    def __init__(self, settings: Settings) -> None:
        self._name_header = settings.name_header
        self._proxies = settings.proxies_in_front
        self._salt = secrets.token_bytes(32)

    def of(self, headers: Mapping[str, str], peer: str, account: str = "") -> str:
        """What tells this visitor from others. `peer` is the address of whoever is connected; `headers` in lower case;
        `account` is the one that is signed in here.

        Who signed in counts before an address.
        """
        if account:
            return self._mark("account", account)
        if self._name_header and (name := headers.get(self._name_header.lower(), "").strip()):
            return self._mark("name", name)
        return self._mark("address", self._address(headers, peer))

    def _address(self, headers: Mapping[str, str], peer: str) -> str:
        """What the outermost proxy that is ours heard from; what stands before that in the header anybody may say."""
        heard = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
        if not self._proxies or not heard:
            return network(peer)
        return network(heard[max(len(heard) - self._proxies, 0)])

    def _mark(self, kind: str, text: str) -> str:
        said = f"{kind} {text[:LONGEST]}".encode(errors="replace")
        return hashlib.blake2b(said, key=self._salt, digest_size=16).hexdigest()


def network(address: str) -> str:
    """The address without its port; of IPv6, the part that is a home's and not a device's."""
    text = address.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, HOME), strict=False))
    return str(found)
