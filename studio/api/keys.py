"""Who may come in: a password for people, a token for programs, and how wrong ones are slowed.

Both are kept as what they are told by: of a password its scrypt hash, of a token its SHA-256. A browser asks for name
and password by itself (``Basic``), and a program sends its token (``Bearer``); a browser may give the token as password
too, under any name. Neither hides what is sent from who listens on the way: beyond this machine a proxy with TLS should
stand in front.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from hmac import compare_digest

from anyio import to_thread

from studio.passwords import matches
from studio.settings import PASSWORD, Settings, check_keys

SECONDS = 1.0
"""For which the answer to a wrong key waits."""
MOST_WAITING = 8
"""Wrong keys that wait at once, all visitors together; the next ones are told to come later, so this many are tried a
second at the most."""

WRONG = "That is not the key of this studio. Send its token as `Authorization: Bearer TOKEN`, or its name and password."
NEEDED = "This studio has a key. Send its token as `Authorization: Bearer TOKEN`, or its name and password."
NO_KEY = (
    "Beyond its own machine the studio answers programs only with a token, and it has none. "
    "Start it with --token, or ask it on its own machine."
)
TOO_MANY = "Too many wrong keys were sent just now. Try again in {seconds:.0f} s."


class Keys:
    """The keys of one studio; it may have none. Asked by one event loop."""

    def __init__(self, settings: Settings, seconds: float = SECONDS, check: Callable[[str, str], bool] = matches):
        """The answer to a wrong key waits `seconds`; `check` compares a password with a kept one.

        Raises `BadKey`: a studio that was to have a key is not served without one.
        """
        check_keys(settings.password, settings.token)
        self._seconds, self._check = seconds, check
        found = PASSWORD.fullmatch(settings.password)
        self._name, self._kept = (found["name"], found["hash"]) if found else ("", "")
        self._token = _digest(settings.token) if settings.token else b""
        self._secret = secrets.token_bytes(32)
        self._known = b""
        self._waiting = 0

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._kept or self._token)

    async def refusal(self, sent: str) -> tuple[int, str] | None:
        """Status and words for whoever `sent` this as ``Authorization``; ``None`` for one who may come in."""
        if not sent:
            return 401, NEEDED
        if self._is_known(sent) or self._is_token(sent):
            return None
        if self._waiting >= MOST_WAITING:
            return 429, TOO_MANY.format(seconds=self._seconds)
        self._waiting += 1
        try:
            name, password = _basic(sent)
            right = self._kept and await to_thread.run_sync(self._check, password, self._kept)
            if right and compare_digest(name.encode(), self._name.encode()):
                self._known = self._mark(sent)
                return None
            await asyncio.sleep(self._seconds)
        finally:
            self._waiting -= 1
        return 401, WRONG

    def _is_token(self, sent: str) -> bool:
        kind, _, value = sent.partition(" ")
        given = value.strip() if kind.lower() == "bearer" else _basic(sent)[1]
        return bool(self._token) and compare_digest(_digest(given), self._token)

    def _is_known(self, sent: str) -> bool:
        """Whether it is what was right before: scrypt is only for what is not known."""
        return bool(self._known) and compare_digest(self._mark(sent), self._known)

    def _mark(self, sent: str) -> bytes:
        return hashlib.blake2b(sent.encode(errors="replace"), key=self._secret).digest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _basic(sent: str) -> tuple[str, str]:
    """Name and password of a ``Basic`` header; two empty ones where it is none."""
    kind, _, value = sent.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
