"""Models fetched from a hub on loopback: what is taken, what is refused, and what happens when it breaks off."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipelines.errors import ModelError, PullError
from pipelines.models import hub as hub_module
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import LORA, find_model, find_models
from pipelines.models.hub import Listing, RemoteFile, pull, wanted
from pipelines.models.installed import Verified, record_of, remove, sha256_of, verify
from pipelines.models.installed import names as names_in
from pipelines.models.loader import load_bundle
from pipelines.models.lora_files import find_lora, find_loras, read_lora
from pipelines.models.original import Form
from pipelines.progress import Cancelled
from tests.pipelines.models.loras import RANK, as_kohya, as_peft, parts_of, update_for
from tests.pipelines.models.loras import write as write_lora
from tests.pipelines.models.small_hub import COMMIT, SmallHub, files_of, served
from tests.pipelines.models.test_original import write as write_checkpoint

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def whole(model_folders: tuple[Path, ...]) -> dict[str, bytes]:
    """A model as a hub has it: with a second copy of its weights, a pickle, and things that nobody needs."""
    files = files_of(model_folders[0] / "tiny")
    extra = {
        "README.md": b"# Tiny",
        "tiny.ckpt": b"a pickle",
        "tiny.safetensors": b"all in one file",
        "safety_checker/model.safetensors": b"not needed",
        "unet/diffusion_pytorch_model.bin": b"a pickle",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"a second copy",
        "unet/diffusion_pytorch_model.non_ema.safetensors": b"a third copy",
    }
    return files | extra


@pytest.fixture
def hub(whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    monkeypatch.setattr(hub_module, "RETRY_SECONDS", 0.0)
    with served(dict(whole)) as hub:
        yield hub


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left_in(own: Path) -> list[Path]:
    """Files of pulls that are not finished, locks aside."""
    return [p for p in (own / ".fetching").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_pulled_model_is_the_one_on_the_hub_and_runs(hub: SmallHub, own: Path, whole: dict[str, bytes]) -> None:
    told: list[tuple[str, int, int]] = []
    card = pull(hub.repo, own, endpoint=hub.endpoint, progress=lambda *step: told.append(step[:3]))
    assert card == find_model("tiny-model", (own,))
    here = files_of(card.path)
    assert set(here) == {
        *("model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json"),
        *("text_encoder/model.safetensors", "unet/config.json", "vae/config.json", UNET),
        "vae/diffusion_pytorch_model.safetensors",
        *(name for name in whole if name.startswith("tokenizer/") and name.endswith((".json", ".txt"))),
    }
    assert all(data == whole[name] for name, data in here.items())
    load_bundle(card, torch.device("cpu"))
    record = record_of(own, "tiny-model")
    assert record is not None
    assert (record.source, record.revision, record.commit) == (hub.repo, "main", COMMIT)
    assert {p: (m.size, m.sha256) for p, m in record.files.items()} == {
        p: (len(data), sha256_of(card.path / p)) for p, data in here.items()
    }
    assert left_in(own) == []
    assert all(path.startswith((f"/api/models/{hub.repo}/revision/", f"/{hub.repo}/resolve/")) for path in hub.asked)
    steps = [step for stage, step, _ in told]
    assert steps == sorted(steps) and told[-1][1] == told[-1][2]
    assert verify(card, own).faults == ()


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    hub: SmallHub, own: Path, whole: dict[str, bytes], percent: int
) -> None:
    at = len(whole[UNET]) * percent // 100
    hub.cut[UNET] = [at]
    card = pull(hub.repo, own, endpoint=hub.endpoint)
    assert (card.path / UNET).read_bytes() == whole[UNET]
    first, second = hub.sent(UNET)
    assert first == "" and 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= at


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_a_pull_that_was_stopped_shows_no_model_and_goes_on_later(
    hub: SmallHub, own: Path, whole: dict[str, bytes], percent: int
) -> None:
    at = max(1, len(whole[UNET]) * percent // 100)
    hub.cut[UNET] = [at] * (2 + hub_module.ATTEMPTS)
    with pytest.raises(PullError, match=r"could not be fetched: the connection was lost .*5 times in a row.* are kept"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert find_models((own,)) == {}
    kept = sum(path.stat().st_size for path in (own / ".fetching").rglob("parts/*"))
    assert kept > 0
    hub.cut.clear()
    hub.asked.clear()
    pull(hub.repo, own, endpoint=hub.endpoint)
    assert hub.sent(UNET) == [f"bytes={kept}-"]
    assert hub.sent("text_encoder/model.safetensors") == []  # that was whole before
    assert left_in(own) == []


def test_cancelling_stops_at_once_and_keeps_what_came(hub: SmallHub, own: Path) -> None:
    def stop(*_: object) -> None:
        if hub.sent(UNET):
            raise Cancelled

    with pytest.raises(Cancelled):
        pull(hub.repo, own, endpoint=hub.endpoint, progress=stop)
    assert find_models((own,)) == {}
    assert left_in(own)
    pull(hub.repo, own, endpoint=hub.endpoint)
    assert "tiny-model" in find_models((own,))


def test_a_hub_without_ranges_sends_the_file_again(hub: SmallHub, own: Path, whole: dict[str, bytes]) -> None:
    hub.ignores_ranges, hub.cut[UNET] = True, [1000]
    card = pull(hub.repo, own, endpoint=hub.endpoint)
    assert (card.path / UNET).read_bytes() == whole[UNET]


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (flipped, "is not what it lists: its hash is"),
        (lambda data: data[:-10], r"the hub sent no more, 5 times in a row|HTTP 416|refused to send"),
        (lambda data: data + b"more" * 1000, "the hub sends more than the"),
    ],
)
def test_a_hub_that_lies_is_found_out(
    hub: SmallHub, own: Path, whole: dict[str, bytes], spoil: object, told: str
) -> None:
    hub.instead[UNET] = spoil(whole[UNET])  # type: ignore[operator]
    with pytest.raises(PullError, match=told):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert find_models((own,)) == {}
    hub.instead.clear()
    card = pull(hub.repo, own, endpoint=hub.endpoint)  # nothing wrong was kept
    assert (card.path / UNET).read_bytes() == whole[UNET]


def test_a_small_file_that_was_changed_is_found_out(hub: SmallHub, own: Path) -> None:
    hub.instead["unet/config.json"] = flipped(hub.files["unet/config.json"])
    with pytest.raises(PullError, match=r"unet/config.json of someone/tiny-model is not what it lists"):
        pull(hub.repo, own, endpoint=hub.endpoint)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, "RepoNotFound"), "has no model 'someone/tiny-model'"),
        ((401, ""), "has no model 'someone/tiny-model', or does not show it to strangers"),
        ((401, "GatedRepo"), "is gated: accept its conditions at http"),
        ((403, "GatedRepo"), "is gated"),
        ((403, ""), "HTTP 403.*set HF_TOKEN"),
        ((503, ""), "HTTP 503.*try again later"),
    ],
)
def test_what_the_hub_refuses_is_told_in_words(hub: SmallHub, own: Path, answer: tuple[int, str], told: str) -> None:
    hub.refuse = answer
    with pytest.raises(PullError, match=told):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert find_models((own,)) == {}


def test_revisions_ids_and_names(hub: SmallHub, own: Path, model_folders: tuple[Path, ...]) -> None:
    with pytest.raises(PullError, match="no branch, tag or commit 'elsewhere'"):
        pull(hub.repo, own, revision="elsewhere", endpoint=hub.endpoint)
    with pytest.raises(PullError, match="like owner/name; got 'a/b/c'"):
        pull("a/b/c", own, endpoint=hub.endpoint)
    with pytest.raises(ModelError, match="called 'tiny' already"):
        pull("someone/tiny", own, model_folders, endpoint=hub.endpoint)
    with pytest.raises(ModelError, match=r"cannot be called '.hidden'"):
        pull("someone/.hidden", own, endpoint=hub.endpoint)
    pull(hub.repo, own, revision="v1", endpoint=hub.endpoint)
    record = record_of(own, "tiny-model")
    assert record is not None and (record.revision, record.commit) == ("v1", COMMIT)
    with pytest.raises(ModelError, match="called 'tiny-model' already"):
        pull(hub.repo, own, endpoint=hub.endpoint)


def test_a_hub_that_is_not_there(own: Path) -> None:
    with pytest.raises(PullError, match=r"cannot be reached \(ConnectError\)"):
        pull("someone/tiny-model", own, endpoint="http://127.0.0.1:9")


def test_offline_mode_is_kept(hub: SmallHub, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PullError, match="HF_HUB_OFFLINE is set"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert hub.asked == []


def test_a_model_of_other_noise_is_refused_before_its_weights_are_fetched(hub: SmallHub, own: Path) -> None:
    scheduler = {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5, "sigma_max": 80.0}
    hub.files = hub.files | {"scheduler/scheduler_config.json": json.dumps(scheduler).encode()}
    with pytest.raises(PullError, match=r"is EDMDPMSolverMultistepScheduler, of EDM's .* weights were not fetched"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert find_models((own,)) == {}
    assert not [path for path in hub.asked if ".safetensors" in path]


def test_only_pickles_and_no_model_at_all(hub: SmallHub, own: Path) -> None:
    everything = dict(hub.files)
    hub.files = {p: data for p, data in everything.items() if not (p.startswith("unet/") and p.endswith("safetensors"))}
    with pytest.raises(PullError, match=r"only as a pickle \(unet/diffusion_pytorch_model.bin\)"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    hub.files = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"weights"}
    with pytest.raises(PullError, match="of a kind that this studio cannot use; its weights were not fetched"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert hub.sent("model.safetensors") == []
    hub.files = {"README.md": b"nothing"}
    with pytest.raises(PullError, match=r"neither model_index.json nor config.json"):
        pull(hub.repo, own, endpoint=hub.endpoint)


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    hub: SmallHub, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=hub_module.RESERVE + 1000)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PullError, match=r"500 MB are to stay free, but the disk .* has 500 MB left"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert [path for path in hub.asked if "/resolve/" in path] == []
    usage.free = 10**12
    pull(hub.repo, own, endpoint=hub.endpoint)


def test_a_disk_that_fills_up_meanwhile(hub: SmallHub, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub_module.os, "fsync", full)
    with pytest.raises(PullError, match="the disk is full; what came of someone/tiny-model is kept"):
        pull(hub.repo, own, endpoint=hub.endpoint)
    assert find_models((own,)) == {}
    monkeypatch.undo()
    pull(hub.repo, own, endpoint=hub.endpoint)


def test_two_pulls_of_one_model_do_not_mix(hub: SmallHub, own: Path) -> None:
    seen: list[str] = []

    def second(*_: object) -> None:
        if not seen:
            with pytest.raises(PullError, match="being fetched already") as refused:
                pull(hub.repo, own, endpoint=hub.endpoint)
            seen.append(str(refused.value))

    pull(hub.repo, own, endpoint=hub.endpoint, progress=second)
    assert seen


def test_what_an_older_commit_left_is_not_mixed_in(hub: SmallHub, own: Path) -> None:
    hub.cut[UNET] = [10] * 20
    with pytest.raises(PullError):
        pull(hub.repo, own, endpoint=hub.endpoint)
    stale = own / ".fetching" / "someone--tiny-model" / "model" / "vae" / "old.json"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("{}")
    hub.cut.clear()
    assert not (pull(hub.repo, own, endpoint=hub.endpoint).path / "vae" / "old.json").exists()


# ----------------------------------------------------------------------------------------------- which files


def listed(*paths: str) -> Listing:
    return Listing("a/b", COMMIT, tuple(RemoteFile(path, 1, "0" * 64, None) for path in paths))


def names(listing: Listing, half: bool = False) -> list[str]:
    return [file.path for file in wanted(listing, half)]


def test_half_precision_takes_the_other_copy() -> None:
    both = listed(
        "model_index.json", UNET, UNET.replace(".safe", ".fp16.safe"), "vae/diffusion_pytorch_model.safetensors"
    )
    assert names(both) == ["model_index.json", UNET, "vae/diffusion_pytorch_model.safetensors"]
    assert names(both, half=True)[1] == "unet/diffusion_pytorch_model.fp16.safetensors"
    only = listed("model_index.json", "unet/diffusion_pytorch_model.fp16.safetensors")
    assert (
        names(only) == names(only, half=True) == ["model_index.json", "unet/diffusion_pytorch_model.fp16.safetensors"]
    )


def test_shards_come_with_their_own_index() -> None:
    stem = "unet/diffusion_pytorch_model"
    shards = [f"{stem}-0000{k}-of-00002.safetensors" for k in (1, 2)]
    half = [f"{stem}.fp16-0000{k}-of-00002.safetensors" for k in (1, 2)]
    indices = [f"{stem}.safetensors.index.json", f"{stem}.safetensors.index.fp16.json"]
    everything = listed("model_index.json", *shards, *half, *indices)
    assert names(everything) == ["model_index.json", indices[0], *shards]
    assert set(names(everything, half=True)) == {"model_index.json", indices[1], *half}


def test_nothing_outside_the_model_is_taken() -> None:
    sly = listed(
        *("model_index.json", "../evil.json", "/etc/evil.json", "unet/../../evil.safetensors", "unet/.hidden/x.json"),
        *("code/run.py", "unet\\model.json", "unet/model.safetensors"),
    )
    assert set(names(sly)) <= {"model_index.json", "unet\\model.json", "unet/model.safetensors"}
    assert "unet\\model.json" not in names(sly)


def test_a_segmenter_comes_from_the_top() -> None:
    sam = listed("config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "preprocessor_config.json")
    assert names(sam) == ["config.json", "preprocessor_config.json", "model.safetensors"]


# ------------------------------------------------------------------------------------------------------ one file


ONE, PENCIL = "old/one-file.safetensors", "pencil.safetensors"


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, load: Callable[[str], ModelBundle]) -> dict[str, bytes]:
    """A repository of a checkpoint in one file, a LoRA, and files that are neither."""
    folder = tmp_path_factory.mktemp("single")
    write_checkpoint(folder / "one-file.safetensors", Form.SD1)
    write_checkpoint(folder / "edm.safetensors", Form.XL, **{"edm_vpred.sigma_max": torch.ones(())})
    write_lora(folder / PENCIL, as_kohya(update_for(parts_of(load("tiny")))))
    write_lora(folder / "plain.safetensors", {"conv_in.bias": torch.zeros(4)})
    (folder / "style.ckpt").write_bytes(b"a pickle")
    (folder / "odd.safetensors").write_bytes(b"PK\3\4" * 50_000)
    files = files_of(folder)
    return {ONE if name == "one-file.safetensors" else name: data for name, data in files.items()}


@pytest.fixture
def files_hub(single: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    monkeypatch.setattr(hub_module, "RETRY_SECONDS", 0.0)
    with served(dict(single)) as hub:
        yield hub


def test_a_checkpoint_in_one_file_is_pulled_and_runs(files_hub: SmallHub, own: Path, single: dict[str, bytes]) -> None:
    card = pull(files_hub.repo, own, file=ONE, endpoint=files_hub.endpoint)
    assert card == find_model("one-file", (own,)) and card.path == own / "one-file.safetensors"
    assert card.path.read_bytes() == single[ONE]
    load_bundle(card, torch.device("cpu"))
    record = record_of(own, "one-file")
    assert record is not None and (record.source, record.commit) == (files_hub.repo, COMMIT)
    assert verify(card, own) == Verified(recorded=True, files=1)
    assert left_in(own) == []
    with pytest.raises(ModelError, match="called 'one-file' already"):
        pull(files_hub.repo, own, file=ONE, endpoint=files_hub.endpoint)
    remove("one-file", own, (own,))
    assert find_models((own,)) == {} and names_in(own) == []


def test_a_lora_is_pulled_to_where_loras_are_found(files_hub: SmallHub, own: Path, single: dict[str, bytes]) -> None:
    card = pull(files_hub.repo, own, file=PENCIL, endpoint=files_hub.endpoint)
    assert (card.id, card.kind) == ("pencil", LORA)
    assert find_lora("pencil", (own,)) == card.path == own / "loras" / PENCIL
    assert card.path.read_bytes() == single[PENCIL]
    assert find_models((own,)) == {} and names_in(own) == []
    with pytest.raises(ModelError, match=r"called 'pencil' already, .*pencil.safetensors; remove that one first"):
        pull(files_hub.repo, own, file=PENCIL, endpoint=files_hub.endpoint)
    record = record_of(own / "loras", "pencil")
    assert record is not None and (record.source, record.commit) == (files_hub.repo, COMMIT)
    assert verify(card, own) == Verified(recorded=True, files=1)
    card.path.write_bytes(flipped(single[PENCIL]))
    (fault,) = verify(card, own).faults
    assert fault.startswith("pencil.safetensors has changed: its SHA-256 is")
    with pytest.raises(ModelError, match="no model called 'loras'"):
        remove("loras", own, (own,))
    remove("pencil", own, (own,))
    assert find_loras((own,)) == {} and names_in(own / "loras") == []


@pytest.mark.parametrize("percent", [1, 50, 99])
@pytest.mark.parametrize("path", [ONE, PENCIL])
def test_a_single_file_is_taken_up_where_it_broke(
    files_hub: SmallHub, own: Path, single: dict[str, bytes], path: str, percent: int
) -> None:
    """By a connection that comes back at once, and by a later pull."""
    at = max(1, len(single[path]) * percent // 100)
    files_hub.cut[path] = [at] * 20
    with pytest.raises(PullError, match=r"could not be fetched: the connection was lost"):
        pull(files_hub.repo, own, file=path, endpoint=files_hub.endpoint)
    assert find_models((own,)) == find_loras((own,)) == {}
    kept = sum(part.stat().st_size for part in (own / ".fetching").rglob("parts/*"))
    assert 0 < kept <= at
    files_hub.asked.clear()
    files_hub.cut[path] = [(at + len(single[path])) // 2]
    card = pull(files_hub.repo, own, file=path, endpoint=files_hub.endpoint)
    assert card.path.read_bytes() == single[path]
    assert files_hub.sent(path)[0] == f"bytes={kept}-" and all(files_hub.sent(path))
    assert left_in(own) == []


@pytest.mark.parametrize("path", [ONE, PENCIL])
def test_a_single_file_that_was_changed_is_found_out(
    files_hub: SmallHub, own: Path, single: dict[str, bytes], path: str
) -> None:
    files_hub.instead[path] = flipped(single[path])
    with pytest.raises(PullError, match="is not what it lists: its hash is"):
        pull(files_hub.repo, own, file=path, endpoint=files_hub.endpoint)
    assert find_models((own,)) == find_loras((own,)) == {} and left_in(own) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("style.ckpt", "style.ckpt is a pickle, which could run any code and is never fetched; someone/tiny-model has"),
        ("ghost.safetensors", "no safetensors file 'ghost.safetensors'; it has edm.safetensors, odd.safetensors, old"),
        ("../one-file.safetensors", "no safetensors file"),
        ("edm.safetensors", "edm.safetensors cannot be used: it predicts v over EDM's continuous noise levels"),
        ("plain.safetensors", "is no checkpoint .* and plain.safetensors is no LoRA.*'conv_in.bias'.*were not fetched"),
        ("odd.safetensors", "odd.safetensors is not safetensors, or damaged .* it is in someone/tiny-model"),
    ],
)
def test_a_single_file_of_no_use_is_refused_by_its_header(files_hub: SmallHub, own: Path, path: str, told: str) -> None:
    with pytest.raises(PullError, match=told):
        pull(files_hub.repo, own, file=path, endpoint=files_hub.endpoint)
    assert find_models((own,)) == find_loras((own,)) == {}
    kept = sum(part.stat().st_size for part in left_in(own))
    assert kept < 200_000, "only the beginning was fetched"


def test_a_repository_of_single_files_says_to_name_one(files_hub: SmallHub, own: Path) -> None:
    with pytest.raises(PullError, match=f"nor config.json at its top; name one file of it: edm.safetensors, .*{ONE}"):
        pull(files_hub.repo, own, endpoint=files_hub.endpoint)


def test_a_single_file_needs_room_too(files_hub: SmallHub, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=hub_module.RESERVE + 1000))
    with pytest.raises(PullError, match="500 MB are to stay free"):
        pull(files_hub.repo, own, file=ONE, endpoint=files_hub.endpoint)
    assert files_hub.sent(ONE) == []


# An adapter as PEFT saves it: its weights say nothing of how strong they are


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, load: Callable[[str], ModelBundle]) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("adapter")
    tensors = as_peft(update_for(parts_of(load("tiny"), "unet")))
    write_lora(
        folder / "adapter_model.safetensors",
        {f"base_model.model.{name.removeprefix('unet.')}": tensor for name, tensor in tensors.items()},
    )
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 4 * RANK}))
    return files_of(folder) | {"README.md": b"a style"}


@pytest.mark.parametrize("file", ["", "adapter_model.safetensors"])
def test_an_adapter_comes_with_what_says_how_strong_it_is(adapter: dict[str, bytes], own: Path, file: str) -> None:
    with served(dict(adapter)) as hub:
        card = pull(hub.repo, own, file=file, endpoint=hub.endpoint)
        assert (card.id, card.kind, card.path) == ("tiny-model", LORA, own / "loras" / "tiny-model")
        assert {layer.scaling for layer in read_lora(card.path).layers} == {4.0}
        assert sorted(path.name for path in card.path.iterdir()) == sorted(adapter.keys() - {"README.md"})
        assert verify(card, own) == Verified(recorded=True, files=2) and left_in(own) == []
        with pytest.raises(ModelError, match="a LoRA called 'tiny-model' already"):
            pull(hub.repo, own, file="adapter_model.safetensors", endpoint=hub.endpoint)


def test_an_adapter_in_a_folder_of_its_repository_is_called_as_that(adapter: dict[str, bytes], own: Path) -> None:
    within = {f"styles/pencil/{name}": data for name, data in adapter.items()}
    with served(within) as hub:
        card = pull(hub.repo, own, file="styles/pencil/adapter_model.safetensors", endpoint=hub.endpoint)
    assert card.path == own / "loras" / "pencil" and verify(card, own) == Verified(recorded=True, files=2)
    assert {layer.scaling for layer in read_lora(card.path).layers} == {4.0}


def test_an_adapter_whose_notes_are_of_another_is_not_fetched(adapter: dict[str, bytes], own: Path) -> None:
    other = json.dumps({"peft_type": "LORA", "r": 7, "lora_alpha": 7}).encode()
    with served(adapter | {"adapter_config.json": other}) as hub:
        with pytest.raises(PullError, match=r"must say the rank of the matrices .* got 7: .* weights were not fetched"):
            pull(hub.repo, own, endpoint=hub.endpoint)
        assert find_loras((own,)) == {}


def test_an_adapter_that_is_only_a_pickle_is_told_as_that(adapter: dict[str, bytes], own: Path) -> None:
    pickled = {"adapter_config.json": adapter["adapter_config.json"], "adapter_model.bin": b"a pickle"}
    with served(pickled) as hub, pytest.raises(PullError, match=r"only adapter_model.bin, a pickle, which could run"):
        pull(hub.repo, own, endpoint=hub.endpoint)
