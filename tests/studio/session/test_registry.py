"""The page's models: pulled from a hub on loopback by a job that can be cancelled, added, verified, removed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.errors import ModelError
from pipelines.models.starters import STARTERS
from studio.errors import Busy, OnlyHere
from studio.jobs.job import JobState
from studio.session.registry import ModelRegistry, ModelsView
from studio.settings import Gallery, Settings
from tests.pipelines.models.loras import write
from tests.pipelines.models.small_hub import COMMIT, SmallHub, files_of, served

VAE = "vae/model.safetensors"


@pytest.fixture
def hub(model_folder: Path) -> Iterator[SmallHub]:
    with served(files_of(model_folder / "toybox") | {VAE: b"0" * 100_000}) as hub:
        yield hub


@pytest.fixture
def registry(settings: Settings, hub: SmallHub) -> Iterator[ModelRegistry]:
    registry = ModelRegistry(settings, hub.endpoint)
    yield registry
    registry.close()


def over(registry: ModelRegistry, wait_until: Callable[..., None]) -> ModelsView:
    def ended() -> bool:
        job = registry.view().job
        return job is not None and job.state not in (JobState.QUEUED, JobState.RUNNING)

    wait_until(ended, 30)
    return registry.view()


def row(view: ModelsView, id: str) -> dict[str, object]:
    return next(vars(model) for model in view.models if model.id == id)


def test_a_starter_is_offered_until_it_is_here(
    registry: ModelRegistry, hub: SmallHub, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, large = replace(STARTERS[0], repo=hub.repo, half=False), replace(STARTERS[1], room=10**15)
    monkeypatch.setattr("studio.session.registry.STARTERS", (ours, large))
    first, second = registry.view().starters
    assert (first.repo, first.fault) == (hub.repo, None)
    assert second.fault is not None and second.fault.startswith("needs 1000000.0 GB of memory")
    registry.pull(first.repo, first.half)
    assert [starter.repo for starter in over(registry, wait_until).starters] == [large.repo]


def test_a_model_is_pulled_verified_and_removed(
    registry: ModelRegistry, settings: Settings, hub: SmallHub, wait_until: Callable[..., None]
) -> None:
    assert row(registry.view(), "toybox")["source"] == ""
    registry.pull(hub.repo, half=False)
    view = over(registry, wait_until)
    assert view.job is not None and view.job.state is JobState.DONE, view.job
    assert view.told == "tiny-model is here and can be chosen."
    assert row(view, "tiny-model") == {
        "id": "tiny-model",
        "title": "Toybox",
        "kind": "text-to-image",
        "family": "",
        "size": sum(len(data) for data in hub.files.values()),
        "fault": None,
        "source": hub.repo,
        "commit": COMMIT,
    }
    registry.verify("tiny-model")
    assert "files as recorded" in over(registry, wait_until).told
    (settings.own_models / "tiny-model" / VAE).write_bytes(b"1" * 100_000)
    registry.verify("tiny-model")
    failed = over(registry, wait_until).job
    assert failed is not None and failed.error is not None and f"{VAE} has changed" in failed.error
    registry.remove("tiny-model")
    assert "tiny-model" not in {model.id for model in registry.view().models}
    with pytest.raises(ModelError, match="neither pulled nor added"):
        registry.remove("toybox")


def test_cancelling_a_pull_keeps_what_came(
    registry: ModelRegistry, hub: SmallHub, wait_until: Callable[..., None]
) -> None:
    hub.hang[VAE] = 50_000
    registry.pull(hub.repo, half=False)
    wait_until(lambda: hub.sent(VAE) != [], 30)
    with pytest.raises(Busy, match="being fetched or read already"):
        registry.verify("toybox")
    registry.cancel()
    job = registry.view().job
    assert job is not None and job.state is JobState.CANCELLED
    assert "tiny-model" not in {model.id for model in registry.view().models}


def test_a_folder_is_added_and_what_is_gone_is_told(
    registry: ModelRegistry, model_folder: Path, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    (tmp_path / "data").mkdir(exist_ok=True)
    mine = Path(shutil.copytree(model_folder / "toybox", tmp_path / "disk" / "mine"))
    registry.add(str(mine))
    assert "mine is in the list" in over(registry, wait_until).told
    assert row(registry.view(), "mine")["source"] == "mine"
    shutil.rmtree(mine)
    assert row(registry.view(), "mine")["fault"] == "its files are gone; remove it here"
    registry.remove("mine")
    assert "mine" not in {model.id for model in registry.view().models}


@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_no_path_is_not_the_folder_that_the_studio_was_started_in(
    registry: ModelRegistry, model_folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_folder / "toybox")
    with pytest.raises(ModelError, match="no folder was named"):
        registry.add(path)
    assert registry.view().job is None


@pytest.mark.parametrize("changes", [{"host": "0.0.0.0"}, {"gallery": Gallery.OWN}])
def test_strangers_manage_nothing(settings: Settings, changes: dict[str, object]) -> None:
    registry = ModelRegistry(replace(settings, **changes))  # type: ignore[arg-type]
    for ask in (
        registry.view,
        registry.cancel,
        lambda: registry.pull("a/b", False),
        lambda: registry.add("/"),
        lambda: registry.verify("toybox"),
        lambda: registry.remove("toybox"),
    ):
        with pytest.raises(OnlyHere):
            ask()
    registry.close()


LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}


def test_a_lora_is_pulled_verified_and_removed(
    registry: ModelRegistry, settings: Settings, hub: SmallHub, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    hub.files["ink.safetensors"] = write(tmp_path / "x.safetensors", LORA).read_bytes()
    registry.pull(hub.repo, half=False, file="ink.safetensors")
    view = over(registry, wait_until)
    assert view.told == "ink is here and can be chosen."
    assert view.loras == ("ink",)
    assert row(view, "ink") == {
        "id": "ink",
        "title": "ink",
        "kind": "lora",
        "family": "a model that its layers do not tell",
        "size": len(hub.files["ink.safetensors"]),
        "fault": None,
        "source": hub.repo,
        "commit": COMMIT,
    }
    with pytest.raises(ModelError, match="no model called 'ink' any more"):
        registry.verify("ink")
    registry.verify("ink", lora=True)
    assert over(registry, wait_until).told == "ink: 1 file as recorded."
    file = settings.own_models / "loras" / "ink.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    registry.verify("ink", lora=True)
    failed = over(registry, wait_until).job
    assert failed is not None and failed.error is not None and "ink.safetensors has changed" in failed.error
    registry.remove("ink", lora=True)
    assert registry.view().loras == () and "ink" not in {model.id for model in registry.view().models}
    assert list(file.parent.rglob("*.*")) == [file.parent / ".records"]


def test_lora_files_are_listed(registry: ModelRegistry, settings: Settings, model_folder: Path) -> None:
    """After what edits pictures. Only the studio's own are removed, and one of no use says why."""
    write(settings.own_models / "loras" / "pencil.safetensors", LORA)
    write(model_folder / "loras" / "theirs.safetensors", LORA)
    (settings.own_models / "loras" / "other.safetensors").write_bytes(b"nothing")
    view = registry.view()
    assert view.loras == ("pencil", "theirs")
    assert [(model.id, model.kind, model.source) for model in view.models] == [
        ("toybox", "text-to-image", ""),
        ("other", "lora", "other"),
        ("pencil", "lora", "pencil"),
        ("theirs", "lora", ""),
        ("toybox-segmenter", "segmenter", ""),
    ]
    assert "is not safetensors" in str(row(view, "other")["fault"])
    registry.remove("other", lora=True)
    with pytest.raises(ModelError, match="no LoRA called 'theirs'"):
        registry.remove("theirs", lora=True)
    assert (model_folder / "loras" / "theirs.safetensors").is_file()


def test_a_lora_with_a_models_name_is_another_row(
    registry: ModelRegistry, settings: Settings, model_folder: Path
) -> None:
    write(settings.own_models / "loras" / "toybox.safetensors", LORA)
    assert [model.kind for model in registry.view().models if model.id == "toybox"] == ["text-to-image", "lora"]
    with pytest.raises(ModelError, match="neither pulled nor added"):
        registry.remove("toybox")
    registry.remove("toybox", lora=True)
    assert [model.kind for model in registry.view().models if model.id == "toybox"] == ["text-to-image"]
    with pytest.raises(ModelError, match="no LoRA called 'toybox'"):
        registry.remove("toybox", lora=True)
    assert (model_folder / "toybox" / "model_index.json").is_file()
