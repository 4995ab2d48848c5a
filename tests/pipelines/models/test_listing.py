"""Models, LoRA files and what is left of them, as one list."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.errors import ModelError
from pipelines.models.installed import LORAS, ModelRecord, add, marks, names, remove, save_record, verify
from pipelines.models.listing import Item, listing
from pipelines.models.lora_files import find_loras
from tests.pipelines.models.loras import write

LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}
PENCIL = "pencil.safetensors"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def pulled(own: Path) -> Path:
    """A LoRA as a pull leaves it."""
    path = write(own / LORAS / PENCIL, LORA)
    save_record(own / LORAS, "pencil", ModelRecord("someone/styles", marks(path), "main", "0" * 40))
    return path


def only(own: Path) -> Item:
    (item,) = listing((own,), own)
    return item


def test_a_lora_has_its_own_record_and_size(own: Path) -> None:
    path = pulled(own)
    item = only(own)
    assert item.is_lora and item.removable and item.fault is None and item.size == path.stat().st_size
    assert item.record is not None and item.record.source == "someone/styles"


def test_the_record_of_a_model_is_not_that_of_a_lora_with_its_name(
    own: Path, model_folders: tuple[Path, ...], tmp_path: Path
) -> None:
    """Nor is the LoRA taken out with the model, or the model with the LoRA."""
    add(Path(shutil.copytree(model_folders[0] / "tiny", tmp_path / "pencil")), own, ())
    path = pulled(own)
    model, lora = listing((own,), own)
    assert model.record is not None and lora.record is not None
    assert (model.record.source, lora.record.source) == ("pencil", "someone/styles")
    assert [verify(item.card, own).faults for item in (model, lora)] == [(), ()]
    remove("pencil", own, ())
    assert only(own) == lora and path.is_file()
    add(tmp_path / "pencil", own, ())
    remove("pencil", own, (), lora=True)
    assert only(own) == model and not path.exists() and names(own / LORAS) == []


def test_a_record_lies_beside_what_it_is_of(own: Path, tmp_path: Path) -> None:
    """The LoRA of that name in another folder is another file."""
    pulled(own)
    write(tmp_path / "disk" / LORAS / PENCIL, LORA | {"lora_unet_x.alpha": torch.ones(())})
    (item,) = listing((tmp_path / "disk", own), own)
    assert item.record is None and not item.removable
    assert not verify(item.card, own).recorded


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(path.read_bytes()[:-5]), lambda path: path.unlink()])
def test_a_lora_that_is_damaged_or_gone_stays_in_the_list(own: Path, spoil: Callable[[Path], object]) -> None:
    path = pulled(own)
    spoil(path)
    item = only(own)
    assert find_loras((own,)) == {}
    assert item.is_lora and item.removable and item.lost is not path.exists()
    assert item.fault is not None and ("its files are gone" in item.fault) is item.lost
    (fault,) = verify(item.card, own).faults
    assert fault.startswith(f"{PENCIL} cannot be read" if item.lost else f"{PENCIL} has {item.size} bytes; it had")
    remove("pencil", own, (), lora=True)
    assert listing((own,), own) == []


def test_a_link_that_leads_nowhere_is_no_lora(own: Path, tmp_path: Path) -> None:
    (own / LORAS).mkdir()
    (own / LORAS / PENCIL).symlink_to(tmp_path / "nowhere.safetensors")
    assert find_loras((own,)) == {}
    item = only(own)
    assert item.fault is not None and f"{PENCIL} cannot be read" in item.fault
    remove("pencil", own, (), lora=True)
    assert listing((own,), own) == []


def test_beside_models_only_what_is_a_lora_is_one(own: Path) -> None:
    write(own / PENCIL, LORA)
    (own / "half.safetensors").write_bytes(b"nothing")
    write(own / "other.safetensors", {"conv.weight": torch.zeros(2, 2)})
    pencil, half = listing((own,), own)
    assert pencil.card.id == "pencil" and pencil.fault is None
    assert half.card.id == "half" and "half.safetensors is not safetensors, or damaged" in str(half.fault)


def test_a_model_that_cannot_be_read_says_why(own: Path, model_folders: tuple[Path, ...], tmp_path: Path) -> None:
    mine = Path(shutil.copytree(model_folders[0] / "tiny", tmp_path / "mine"))
    add(mine, own, ())
    (mine / "card.json").write_text("{")
    item = only(own)
    assert not item.lost and item.fault is not None and "card.json cannot be read as JSON" in item.fault
    (mine / "card.json").unlink()
    (mine / "model_index.json").unlink()
    assert "is no model any more" in str(only(own).fault)
    shutil.rmtree(mine)
    assert only(own).lost


def test_a_damaged_record_is_a_fault(own: Path) -> None:
    pulled(own)
    (own / LORAS / ".records" / "pencil.json").write_text("{}")
    assert "pencil.json is damaged; remove it" in str(only(own).fault)
    remove("pencil", own, ())
    assert listing((own,), own) == []


def test_a_lora_can_be_called_as_their_folder_is(own: Path) -> None:
    write(own / LORAS / "loras.safetensors", LORA)
    remove("loras", own, (), lora=True)
    assert (own / LORAS).is_dir() and listing((own,), own) == []
    with pytest.raises(ModelError, match="no LoRA called 'loras'"):
        remove("loras", own, (), lora=True)
