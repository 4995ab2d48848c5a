"""Files that browsers send: whose they are, how many wait, and what is left of them."""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from studio.api import uploads
from studio.api.uploads import MOST_WAITING, NO_ROOM, WAITING_BYTES, Uploads
from studio.errors import UserError


@pytest.fixture
def kept() -> Iterator[Uploads]:
    kept = Uploads(1000)
    yield kept
    kept.close()


def sent(kept: Uploads, data: bytes) -> str:
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  whoever takes it closes it
    file.write(data)
    return kept.keep(file)


def test_the_same_file_of_two_people_is_two_files(kept: Uploads) -> None:
    one, two = sent(kept, b"picture"), sent(kept, b"picture")
    assert one != two and kept.take(one) == kept.take(two) == b"picture"


def test_a_file_is_taken_once_and_by_its_ticket_only(kept: Uploads) -> None:
    ticket = sent(kept, b"picture")
    for wrong in ("", "x", ticket[:-1], None, 3, [ticket], {"path": "/etc/hostname"}, "/etc/hostname", "a\0b"):
        with pytest.raises(UserError, match="did not arrive"):
            kept.take(wrong)
    assert kept.take(ticket) == b"picture"
    with pytest.raises(UserError, match="did not arrive"):
        kept.take(ticket)


def test_of_too_many_and_too_large_files_the_oldest_go(kept: Uploads) -> None:
    tickets = [sent(kept, b"x") for _ in range(MOST_WAITING + 1)]
    with pytest.raises(UserError):
        kept.take(tickets[0])
    assert kept.take(tickets[1]) == b"x"
    large = [sent(kept, bytes(1000)) for _ in range(WAITING_BYTES + 1)]
    with pytest.raises(UserError):
        kept.take(large[0])
    assert len(kept.take(large[-1])) == 1000


def test_a_file_is_sent_as_it_is_in_as_many_pieces_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Uploads(100_000)
    monkeypatch.setattr(uploads, "CHUNK", 10)
    client = TestClient(FastAPI(routes=kept.routes()))
    for data in (b"", b"x" * 25, bytes(range(256)) * 300):
        ticket = client.post("/studio/upload", content=data).json()["ticket"]
        assert kept.take(ticket) == data


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, NO_ROOM), (errno.EDQUOT, NO_ROOM), (errno.EIO, "could not write it")]
)
def test_a_full_disk_is_told_without_naming_a_folder(
    kept: Uploads, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(code, "the disk has a fault", "/secret/folder")

    def fuller() -> None:
        raise OSError(code, "the disk has a fault", "/secret/folder")

    for full in (Full, fuller):
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        answer = TestClient(FastAPI(routes=kept.routes())).post("/studio/upload", content=b"x")
        assert answer.status_code == 507 and words in answer.text and "secret" not in answer.text
