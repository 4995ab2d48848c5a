"""Passwords as they are kept: by their scrypt hash (RFC 7914), which says nothing of them and costs whoever guesses."""

from __future__ import annotations

import base64
import hashlib
import secrets
from hmac import compare_digest

COST = 2**14
"""Of scrypt: about 16 MB and some hundredths of a second for each guess."""


def hashed(password: str, salt: bytes | None = None) -> str:
    """A password as it is kept: ``scrypt.SALT.HASH``."""
    salt = secrets.token_bytes(16) if salt is None else salt
    digest = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=8, p=1, dklen=32)
    return ".".join(("scrypt", *(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (salt, digest))))


def matches(password: str, kept: str) -> bool:
    """Whether `password` is the one that was `hashed`."""
    salt = kept.split(".")[1]
    return compare_digest(hashed(password, base64.urlsafe_b64decode(salt + "=" * (-len(salt) % 4))), kept)
