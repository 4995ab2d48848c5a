from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from studio.errors import DamagedFile, StorageError, StorageFull
from studio.store.blobs import GRACE, Blobs


def test_a_file_is_named_by_its_bytes_and_written_in_the_safe_order(tmp_path: Path, faulty: Any) -> None:
    files = faulty()
    blobs = Blobs(tmp_path, ".png", files)
    digest = blobs.put(b"picture")
    assert digest == hashlib.sha256(b"picture").hexdigest() and blobs.get(digest) == b"picture"
    assert files.log == ["create", "write", "fsync", "rename", "fsync_dir"]
    assert blobs.put(b"picture") == digest and len(files.log) == 5, "the same bytes are written once"
    assert [path.name for path in tmp_path.iterdir()] == [f"{digest}.png"]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (errno.ENOSPC, StorageFull, "no space left"),
        (errno.EIO, StorageError, "Input/output error"),
        (errno.EROFS, StorageError, "Read-only"),
        (errno.EMFILE, StorageError, "Too many open files"),
    ],
)
def test_any_failing_call_leaves_nothing_and_the_next_try_succeeds(
    tmp_path: Path, faulty: Any, error: int, kind: type[Exception], words: str
) -> None:
    for k in range(1, 6):
        files = faulty(k, error)
        blobs = Blobs(tmp_path / f"{error}-{k}", ".png", files)
        with pytest.raises(kind, match=words) as caught:
            blobs.put(b"picture")
        assert str(tmp_path) not in str(caught.value)
        assert list((tmp_path / f"{error}-{k}").iterdir()) == [], f"call {k} left something"
        assert blobs.get(blobs.put(b"picture")) == b"picture"


def test_after_a_failed_fsync_the_file_is_written_again_and_not_only_synced(tmp_path: Path, faulty: Any) -> None:
    files = faulty(fail_at=3, error=errno.EIO)
    blobs = Blobs(tmp_path, ".png", files)
    with pytest.raises(StorageError):
        blobs.put(b"picture")
    files.log.clear()
    blobs.put(b"picture")
    assert files.log == ["create", "write", "fsync", "rename", "fsync_dir"]


def test_a_damaged_missing_or_misnamed_file_is_said_so(tmp_path: Path, faulty: Any) -> None:
    blobs = Blobs(tmp_path, ".png", faulty())
    digest = blobs.put(b"picture")
    (tmp_path / f"{digest}.png").write_bytes(b"pict")
    for name in (digest, "f" * 64, "../" + digest, ""):
        with pytest.raises(DamagedFile, match="missing or damaged"):
            blobs.get(name)
    assert blobs.get(blobs.put(b"picture")) == b"picture", "storing the same picture again repairs it"


def test_the_sweep_takes_leftovers_at_once_and_orphans_after_a_day(tmp_path: Path, faulty: Any) -> None:
    blobs = Blobs(tmp_path, ".png", faulty())
    used, orphan = blobs.put(b"used"), blobs.put(b"orphan")
    (tmp_path / "0123.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours")
    age = (tmp_path / f"{orphan}.png").stat().st_mtime
    assert blobs.sweep({used}, now=age + 60) == 1
    assert blobs.get(orphan) == b"orphan"
    assert blobs.sweep({used}, now=age + GRACE + 60) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{used}.png", "notes.txt"])


def test_trimming_removes_what_was_used_longest_ago(tmp_path: Path, faulty: Any) -> None:
    files = faulty()
    blobs = Blobs(tmp_path, ".safetensors", files)
    digests = [blobs.put(bytes([number]) * 10) for number in range(4)]
    for age, digest in enumerate(digests):
        os.utime(tmp_path / f"{digest}.safetensors", (age, age))
    (tmp_path / "0123.part").write_bytes(b"half")
    blobs.touch(digests[0])
    assert blobs.trim(40) == 0
    assert blobs.trim(29) == 2
    assert [blobs.has(digest) for digest in digests] == [True, False, False, True]
    assert (tmp_path / "0123.part").exists(), "one that is being written is not in the way"
    assert blobs.trim(9) == 2, "nothing is kept that is larger than the room"
    with pytest.raises(StorageError):
        blobs.touch(digests[1])
