"""What the surroundings of a served studio may decide, and what they may not: variables, proxies, addresses, folders.

The library that serves the page reads dozens of variables of its own, among them ones that open the studio to the
internet or its files to everybody; what is promised here is said on the command line alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from studio.errors import AddressRefused, StorageError

OF_THE_PAGE = "GRADIO_"
TEMPORARY = "GRADIO_TEMP_DIR"
IN_A_SPACE = "SYSTEM"
"""By which the page's library knows that it is in a Space, where it would watch its files for changes and offer itself
as an app to be installed."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""
LARGE = 4 * 2**20
"""Bytes; a picture of more than a megapixel has more."""


def give_memory_back() -> None:
    """From now on this process hands what is large back to the system as soon as it is freed.

    glibc keeps pieces of up to 32 MB, in every thread's own heap: after a few photographs that is 400 MB of nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


@contextmanager
def own_surroundings(environment: MutableMapping[str, str] = os.environ) -> Iterator[tuple[str, ...]]:
    """Inside, the page's library finds none of its variables but a temporary folder that is this process's alone.

    Yields the names of those that were set. Must be entered before the library is imported, which reads some then.
    Raises `StorageError` where no folder for temporary files can be written.
    """
    set_before = {n: value for n, value in environment.items() if n.startswith(OF_THE_PAGE) or n == IN_A_SPACE}
    try:
        folder = tempfile.TemporaryDirectory(prefix="palimpsest-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            f"a folder for temporary files is needed, and none can be written ({error.strerror or error}); "
            "make room, or name one that you may write to in TMPDIR"
        ) from None
    with folder as own:
        try:
            for name in set_before:
                del environment[name]
            environment[TEMPORARY] = own
            yield tuple(sorted(set_before.keys() - {TEMPORARY, IN_A_SPACE}))
        finally:
            environment.pop(TEMPORARY, None)
            environment.update(set_before)


@contextmanager
def without_proxies(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Inside, nothing goes through a proxy: when the page is opened it is asked for once, on this very machine."""
    kept = {name: value for name, value in environment.items() if name.lower() in PROXIES}
    try:
        for name in kept:
            del environment[name]
        yield
    finally:
        environment.update(kept)


def check_address(host: str, port: int) -> None:
    """Raise `AddressRefused` with the true cause where nothing can listen there; port 0 is any."""
    place = f"the port {port} at {host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]"), port, type=socket.SOCK_STREAM
        )[0]
    except (OSError, UnicodeError):
        raise AddressRefused(
            f"the host {host!r:.80} is not known here: expected an address of this machine; say --host 127.0.0.1 for "
            "this machine alone, or --host 0.0.0.0 for everybody who can reach it"
        ) from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressRefused(f"{place} is taken; name another one, like --port 7861") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise AddressRefused(
                f"{host} is not an address of this machine; say --host 127.0.0.1, or --host 0.0.0.0 for all of its own"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AddressRefused(
                f"{place} is not open to you (ports below 1024 belong to the system); name another one, like "
                "--port 7861"
            ) from None
        raise AddressRefused(f"nothing can listen on {place} ({error.strerror or error}); name another one") from None
