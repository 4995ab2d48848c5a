"""Models that were added, taken out and verified: the folder of one's own, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.errors import ModelError
from pipelines.models.folders import find_model, find_models
from pipelines.models.installed import ModelRecord, add, names, record_of, remove, verify
from pipelines.models.weights import read_header
from pipelines.progress import Cancelled

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def elsewhere(model_folders: tuple[Path, ...], tmp_path: Path) -> Path:
    """A model in somebody's own folder."""
    return Path(shutil.copytree(model_folders[0] / "tiny", tmp_path / "disk" / "mine"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_an_added_model_is_found_and_stays_where_it_is(elsewhere: Path, own: Path) -> None:
    card = add(elsewhere, own, ())
    assert card == find_model("mine", (own,))
    assert card.path.resolve() == elsewhere
    record = record_of(own, "mine")
    assert record is not None and (record.source, record.commit) == ("mine", "")
    assert verify(card, own).faults == ()
    remove("mine", own, ())
    assert find_models((own,)) == {} and names(own) == []
    assert (elsewhere / UNET).is_file()


def test_what_cannot_be_added(elsewhere: Path, own: Path, tmp_path: Path, model_folders: tuple[Path, ...]) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        add(tmp_path / "nowhere", own, ())
    for odd in ("a\0b", "~nobody-of-that-name/x", "x" * 5000):
        with pytest.raises(ModelError, match="cannot be a path"):
            add(Path(odd), own, ())
    with pytest.raises(ModelError, match=r"is no model: expected a folder with model_index.json"):
        add(tmp_path, own, ())
    with pytest.raises(ModelError, match="called 'tiny' already"):
        add(model_folders[0] / "tiny", own, model_folders)

    def stop(*_: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        add(elsewhere, own, (), stop)
    assert find_models((own,)) == {}


def test_verify_names_what_is_wrong(elsewhere: Path, own: Path) -> None:
    card = add(elsewhere, own, ())
    unet, vae = elsewhere / UNET, elsewhere / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(unet.read_bytes())
    data[-1] ^= 1
    unet.write_bytes(data)
    vae.write_bytes(vae.read_bytes()[:-5])
    (elsewhere / "model_index.json").unlink()
    found = verify(card, own)
    assert found.recorded
    told = "\n".join(found.faults)
    assert f"{UNET} has changed: its SHA-256 is" in told
    assert f"vae/diffusion_pytorch_model.safetensors has {vae.stat().st_size} bytes; it had" in told
    assert "model_index.json cannot be read (No such file or directory)" in told
    assert len(found.faults) == 3


def test_without_a_record_weights_must_be_whole(model_folders: tuple[Path, ...], elsewhere: Path, own: Path) -> None:
    assert verify(find_model("tiny", model_folders), own).faults == ()
    assert not verify(find_model("tiny", model_folders), own).recorded
    unet = elsewhere / UNET
    unet.write_bytes(unet.read_bytes()[:-5])
    (fault,) = verify(find_model("mine", (elsewhere.parent,)), own).faults
    assert "is cut off: its header promises" in fault


@pytest.mark.parametrize(
    "data", [b"", b"1234567", b"\xff" * 16, b"\x10\0\0\0\0\0\0\0" + b"no JSON at all!!", b"PK\3\4" * 20]
)
def test_what_is_no_safetensors_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"x.safetensors (is not safetensors, or damaged|cannot be read as JSON)"):
        read_header(path)


def test_only_ones_own_models_are_removed(model_folders: tuple[Path, ...], elsewhere: Path, own: Path) -> None:
    with pytest.raises(ModelError, match=r"'tiny' was neither pulled nor added: it lies in"):
        remove("tiny", own, (*model_folders, own))
    with pytest.raises(ModelError, match=r"no model called 'ghost' in .*; pulled or added were: none"):
        remove("ghost", own, model_folders)
    for sly in ("..", ".records", "../disk/mine", ""):
        with pytest.raises(ModelError, match="no model called"):
            remove(sly, own, model_folders)
    assert (elsewhere / UNET).is_file()
    shutil.copytree(elsewhere, own / "copied")
    remove("copied", own, ())
    assert not (own / "copied").exists()


def test_a_link_that_leads_nowhere_can_be_taken_out(elsewhere: Path, own: Path) -> None:
    add(elsewhere, own, ())
    shutil.rmtree(elsewhere)
    assert names(own) == ["mine"]
    assert find_models((own,)) == {}
    remove("mine", own, ())
    assert names(own) == [] and not (own / "mine").is_symlink()


def test_a_damaged_record_is_named(elsewhere: Path, own: Path) -> None:
    card = add(elsewhere, own, ())
    (own / ".records" / "mine.json").write_text('{"files": 3}')
    with pytest.raises(ModelError, match=r"mine.json is damaged; remove it"):
        verify(card, own)


def test_a_record_survives_being_stored(elsewhere: Path, own: Path) -> None:
    add(elsewhere, own, ())
    record = record_of(own, "mine")
    assert isinstance(record, ModelRecord) and len(record.files) > 5
