"""Finds model folders and says what each can do and what it lacks. Reads names and JSON only, never weights.

A text-to-image model is a diffusers folder (``model_index.json``). Every other one says in its ``config.json`` what it
is: a segmenter ``"_class_name": "Sam"`` or transformers' ``"model_type": "sam"`` (``sam2``), a CLIP
``"model_type": "clip"``, a judge ``"kind": "judge"``, and what finds a phrase is of one of the types in `READERS`.
Beside either may stand a ``card.json`` with a ``title`` and ``notes`` (limits in words, shown in the page) and what the
model was made for (`pipelines.models.domain`). A published SAM may also be a single file (``sam_vit_b_01ec64.pth``).
This file imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.contract import Backbone
from pipelines.errors import ModelError
from pipelines.models.configs import read_card, read_config, read_index
from pipelines.models.domain import NOTHING_SAID, Domain, domain_of
from pipelines.models.original import (
    EDM,
    OUR_NOISE,
    Form,
    form_of,
    is_original,
    reader_config,
    resolution_of,
    unet_config,
    vae_config,
)
from pipelines.models.original import (
    READERS as TEXT_READERS,
)
from pipelines.models.other_files import refused_by_name
from pipelines.models.weights import PICKLES, Header, read_header, weight_files

log = logging.getLogger(__name__)

TEXT_TO_IMAGE = "text-to-image"
SEGMENTER = "segmenter"
CLIP = "clip"
LORA = "lora"
"""The kind of a LoRA file's card, which `lora_files` makes: it is no model, but is listed and kept as one."""
COARSE = 512
"""Pixels a side up to which a segmenter's picture is a small one."""
PHRASE_FINDER = "phrase-finder"
MATTING = "matting"
"""A network that tells how transparent the pixels at an edge are."""
TRANSFORMERS_SAM = ("sam", "sam_hq", "sam2", "sam2_video", "edgetam", "edgetam_video", "sam3_tracker")
"""Model types of segmenters in the form of transformers."""
READERS = ("sam3", "sam3_video", "grounding-dino", "clipseg")
"""Model types that find what a phrase names; one that comes earlier is asked rather than a later one."""
COMPOSER = "composer"
"""What ``config.json`` calls a model that draws the next picture of a scene: it is a text-to-image model of its own
kind, in a folder of its own form (`pipelines.compose.folder`)."""
KINDS = (TEXT_TO_IMAGE, SEGMENTER, PHRASE_FINDER, MATTING, CLIP, "judge")
_BY_CONFIG = {
    ("_class_name", "Sam"): SEGMENTER,
    **{("model_type", name): SEGMENTER for name in TRANSFORMERS_SAM},
    **{("model_type", name): PHRASE_FINDER for name in READERS},
    ("model_type", "vitmatte"): MATTING,
    ("model_type", "clip"): CLIP,
    ("kind", "judge"): "judge",
    ("kind", COMPOSER): TEXT_TO_IMAGE,
}
PARTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
"""Parts of a text-to-image folder and the classes we can run."""
SECOND_READER = {"text_encoder_2": ("CLIPTextModelWithProjection",), "tokenizer_2": PARTS["tokenizer"]}
"""What Stable Diffusion XL has beside them."""
EXEMPLAR_PARTS = {
    "unet": PARTS["unet"],
    "vae": PARTS["vae"],
    "image_encoder": ("PaintByExampleImageEncoder",),
    "feature_extractor": ("CLIPImageProcessor", "CLIPFeatureExtractor"),
}
"""Parts of a folder whose model is shown a picture of what to paint and reads no text (Paint by Example)."""
PREPARING = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json", "generation_config.json")
FAMILIES = {768: Form.SD1, 1024: Form.SD2, 2048: Form.XL}
"""By the width of the texts that the network reads."""


@dataclass(frozen=True)
class ModelCard:
    """What one model folder is."""

    id: str
    """Name of the folder."""
    title: str
    path: Path
    kind: str
    """One of `KINDS`, or `LORA`."""
    resolution: int = 0
    """Longer side of the pictures it was made for, in pixels; 0 where that means nothing."""
    notes: str = ""
    """Its limits, in words for a person."""
    backbone: Backbone | None = None
    """What a text-to-image model can be used for; ``None`` where its configuration does not say."""
    family: str = ""
    """One of `Form`, where it is one."""
    vae: Path | None = None
    """The folder of another autoencoder, to be used in place of its own."""
    domain: Domain = NOTHING_SAID
    """What it was made for and how its pictures are measured, where its card says so."""
    consistent: bool = False
    """Whether it is a consistency model, which takes a few steps and no guidance; see `Schedule.consistent`."""


def cell_of(vae: dict[str, Any]) -> int:
    """Pixels a side of one latent cell, from the autoencoder's configuration: each level after the first halves."""
    levels = vae.get("encoder_block_out_channels") or vae.get("block_out_channels") or [0] * 4
    return int(2 ** (len(levels) - 1))


def parts_of(index: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The parts that a folder with this ``model_index.json`` must have, and the classes that each may be of."""
    if shows_examples(index):
        return EXEMPLAR_PARTS
    return PARTS | SECOND_READER if "text_encoder_2" in index else PARTS


def shows_examples(index: dict[str, Any]) -> bool:
    """Whether the model of a folder with this ``model_index.json`` is told what to paint by a picture."""
    said = index.get("image_encoder") or (None, None)
    return "text_encoder" not in index and said[1] in EXEMPLAR_PARTS["image_encoder"]


def backbone_of(unet: dict[str, Any]) -> Backbone | None:
    """What the network with this ``config.json`` is shown, or ``None`` when that is nothing we know."""
    given, made = (unet.get(name) or 4 for name in ("in_channels", "out_channels"))
    return {made: Backbone.PLAIN, 2 * made: Backbone.INSTRUCT, 2 * made + 1: Backbone.INPAINTING}.get(given)


def _kind(folder: Path) -> str | None:
    if (folder / "model_index.json").is_file():
        return TEXT_TO_IMAGE
    if not (folder / "config.json").is_file():
        return None
    config = read_config(folder / "config.json")
    return next((kind for (key, value), kind in _BY_CONFIG.items() if config.get(key) == value), None)


def _resolution(folder: Path, kind: str) -> int:
    if kind != TEXT_TO_IMAGE:
        size = read_config(folder / "config.json").get("image_size", 0)
        return size if isinstance(size, int) else 0
    if is_composer(folder):
        sizes = read_config(folder / "config.json").get("sizes")
        side = sizes.get("side") if isinstance(sizes, dict) else 0
        return side if isinstance(side, int) else 0
    cells = _config(folder, "unet").get("sample_size") or 64
    return cells * cell_of(_config(folder, "vae")) if isinstance(cells, int) else 0


def is_composer(folder: Path) -> bool:
    """Whether a folder with a kind is that of a composer, which has no parts."""
    return not (folder / "model_index.json").is_file()


def _config(folder: Path, part: str, file: str = "config.json") -> dict[str, Any]:
    """A part's configuration, empty when it cannot be read: an incomplete folder is still listed, and loading it says
    what is missing."""
    try:
        return read_config(folder / part / file)
    except ModelError:
        return {}


def card_of(folder: Path) -> ModelCard | None:
    """The card of a folder or single file, or ``None`` when it is no model."""
    if folder.is_file():
        published = folder.name.startswith("sam_vit_") and folder.suffix in (".safetensors", ".pth")
        if folder.suffix == ".pth" and folder.with_suffix(".safetensors").exists():
            return None  # it was converted, or came as both
        if published:
            return ModelCard(folder.stem, folder.stem, folder, SEGMENTER, 1024)
        return _original_card(folder) if folder.suffix == ".safetensors" else None
    kind = _kind(folder)
    if kind is None:
        return None
    said = read_card(folder / "card.json") if (folder / "card.json").is_file() else {}
    card = ModelCard(
        id=folder.name,
        title=said.get("title") or folder.name.replace("-", " ").capitalize(),
        path=folder,
        kind=kind,
        resolution=_resolution(folder, kind),
        notes=said.get("notes", ""),
        domain=domain_of(said),
    )
    if kind != TEXT_TO_IMAGE:
        return card
    if is_composer(folder):
        return replace(card, backbone=Backbone.COMPOSER)
    unet = _config(folder, "unet")
    width = unet.get("cross_attention_dim")
    backbone = backbone_of(unet) if unet else None
    if backbone is Backbone.INPAINTING and shows_examples(read_index(folder / "model_index.json")):
        backbone = Backbone.EXEMPLAR
    return replace(
        card,
        backbone=backbone,
        family=FAMILIES.get(width, "") if isinstance(width, int) else "",
        vae=folder.parent / said["vae"] if "vae" in said else None,
        domain=domain_of(said),
        consistent=_config(folder, "scheduler", "scheduler_config.json").get("_class_name") == "LCMScheduler",
    )


def _original_card(file: Path) -> ModelCard | None:
    """The card of a checkpoint in one file. What a folder's ``card.json`` says stands in ``NAME.json`` beside it."""
    header = read_header(file)
    if not is_original(header):
        return None
    said = said_beside(file)
    card = ModelCard(
        id=file.stem,
        title=said.get("title") or file.stem.replace("-", " ").capitalize(),
        path=file,
        kind=TEXT_TO_IMAGE,
        notes=said.get("notes", ""),
        vae=file.parent / said["vae"] if "vae" in said else None,
        domain=domain_of(said),
    )
    try:
        form = form_of(header.shapes)
        backbone = backbone_of(unet_config(header.shapes, form))
        return replace(card, resolution=resolution_of(header, form, said), backbone=backbone, family=form)
    except ModelError:
        return card  # listed all the same: `check_parts` says what is wrong


def said_beside(file: Path) -> dict[str, Any]:
    """What the card of a checkpoint in one file says."""
    card = file.with_suffix(".json")
    return read_card(card) if card.is_file() else {}


def is_coarse(card: ModelCard) -> bool:
    """Whether a segmenter sees so little of a picture that its masks are best drawn along the picture's edges."""
    return card.kind == SEGMENTER and 0 < card.resolution <= COARSE


def phrase_finder(folders: Iterable[Path]) -> ModelCard | None:
    """The model that reads phrases, the most able one where there are several."""
    cards = [card for card in find_models(folders).values() if card.kind == PHRASE_FINDER]
    able = [READERS.index(read_config(card.path / "config.json")["model_type"]) for card in cards]
    return cards[able.index(min(able))] if cards else None


def matting(folders: Iterable[Path]) -> ModelCard | None:
    """The network that mattes edges, the first by name where there are several."""
    return next((card for _, card in sorted(find_models(folders).items()) if card.kind == MATTING), None)


def find_models(folders: Iterable[Path]) -> dict[str, ModelCard]:
    """Every model directly under `folders`, by id; of two with one name the first is taken.

    One that cannot be read is left out here: `found_models` says why, and so does asking for it by name.
    """
    return {card.id: card for card, fault in found_models(folders) if fault is None}


def found_models(folders: Iterable[Path], name: str | None = None) -> list[tuple[ModelCard, str | None]]:
    """Every model directly under `folders`, or what may be of that `name`, and why nothing can be told of it where its
    own files say what cannot be.

    Of two with one name the first is taken, and one that can be read rather than one that cannot. What has no kind was
    not read far enough to know it.
    """
    found: dict[str, tuple[ModelCard, str | None]] = {}
    for folder in folders:
        for path in _entries(folder):
            if name is not None and name not in (path.name, path.stem):
                continue
            card, fault = _told(path)
            if card is not None and (card.id not in found or (fault is None and found[card.id][1] is not None)):
                found[card.id] = card, fault
    return list(found.values())


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError:
        log.warning("the models folder %s cannot be read", folder)
        return []


def _told(path: Path) -> tuple[ModelCard | None, str | None]:
    """What lies at `path`, and why that cannot be read, if so."""
    name = path.stem if path.suffix in (".safetensors", ".pth") else path.name
    try:
        return card_of(path), None
    except ModelError as error:
        return ModelCard(name, name, path, ""), str(error)
    except OSError as error:
        return ModelCard(name, name, path, ""), f"{path.name} cannot be read ({error.strerror or error})"


def find_model(name: str, folders: Iterable[Path], kind: str = TEXT_TO_IMAGE) -> ModelCard:
    """The model of that name and kind; raises `ModelError` with the names there are."""
    folders = tuple(folders)
    for card, fault in found_models(folders, name):  # every click asks, and to read all of them takes it a tenth longer
        if (card.id, card.kind, fault) == (name, kind, None):
            return card
    told = {card.id: (card, fault) for card, fault in found_models(folders)}
    found = {id: card for id, (card, fault) in told.items() if fault is None}
    if name in found and found[name].kind == kind:
        return found[name]
    if name in told and (fault := told[name][1]) is not None:
        raise ModelError(f"the model {name!r} cannot be used: {fault}")
    if name in found:
        raise ModelError(
            f"{name!r} is a {found[name].kind} model, not a {kind} model; choose one, found: {_named(found, kind)}"
        )
    for path in (path for folder in folders for path in _entries(folder) if name in (path.name, path.stem)):
        if other := refused_by_name(path, f"a {kind} model"):
            raise other
        if path.is_dir():
            raise ModelError(
                f"{path} is not a model folder; a {kind} model needs "
                f"{'model_index.json' if kind == TEXT_TO_IMAGE else 'config.json'} in it"
            )
    places = ", ".join(str(folder) for folder in folders) or "no folder"
    raise ModelError(f"there is no {kind} model called {name!r:.80} in {places}; found: {_named(found, kind)}")


def _named(found: Mapping[str, ModelCard], kind: str) -> str:
    return ", ".join(sorted(card.id for card in found.values() if card.kind == kind)) or "none"


def fault_of(card: ModelCard) -> str | None:
    """Why a model cannot be used, or ``None``; its weights are not opened."""
    try:
        check_parts(card)
    except ModelError as error:
        return str(error)
    except OSError as error:
        return f"{card.path.name} cannot be read ({error.strerror or error})"
    return None


def check_other(card: ModelCard) -> None:
    """Weights that are whole and configurations that can be, of a model that has no parts; else `ModelError`."""
    weights = [card.path] if card.path.is_file() else sorted(card.path.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for path in card.path.iterdir() if path.suffix in PICKLES)
        only = f", only {pickles[0]}, a pickle, which could run any code and is never opened" if pickles else ""
        raise ModelError(f"the model {card.id!r} in {card.path} has no weights (*.safetensors){only}")
    try:
        for file in weights:
            if file.suffix == ".safetensors":
                read_header(file)
        _check_prepared(card.path)
    except ModelError as error:
        raise ModelError(f"the model {card.id!r} in {card.path} cannot be used: {error}") from None


def _check_prepared(folder: Path) -> None:
    """What the libraries read beside a part's own configuration: how texts and pictures are made ready for it."""
    for name in PREPARING:
        if (folder / name).is_file():
            read_config(folder / name)


def check_parts(card: ModelCard) -> None:
    """Every part present, of a class we run, with its weights as safetensors; else `ModelError` naming all faults."""
    if card.kind != TEXT_TO_IMAGE or card.backbone is Backbone.COMPOSER:
        check_other(card)
        return
    if card.path.is_file():
        _check_original(card)
        return
    index = read_index(card.path / "model_index.json")
    faults = _stranger(index)
    if not faults:
        faults = [
            fault for part, classes in parts_of(index).items() for fault in _faults(card.path, index, part, classes)
        ]
        faults += _family_faults(card.path, index)
        if card.vae is not None:
            faults += [f"its other autoencoder {card.vae.name}: {fault}" for fault in _vae_faults(card.vae)]
    if faults:
        raise ModelError(
            f"the model {card.id!r} in {card.path} cannot be used: {'; '.join(faults)}. "
            "Expected a complete diffusers folder of a Stable Diffusion 1.x, 2.x or XL model, or of Paint by Example, "
            "with safetensors weights."
        )


def _check_original(card: ModelCard) -> None:
    faults = original_faults(read_header(card.path))
    faults += [] if card.vae is None else [f"its other autoencoder: {fault}" for fault in _vae_faults(card.vae)]
    if faults:
        raise ModelError(f"the checkpoint {card.path} cannot be used: {'; '.join(faults)}")


def original_faults(header: Header) -> list[str]:
    """Why a checkpoint in one file with this header cannot be used."""
    try:
        form = form_of(header.shapes)
        vae_config(header.shapes, form)
        for reader in TEXT_READERS[form]:
            reader_config(header.shapes, reader)
        return _unknown(unet_config(header.shapes, form), two_readers=form is Form.XL)
    except ModelError as error:
        return [str(error)]


def family_faults(folder: Path) -> list[str]:
    """Why a diffusers folder cannot be used whatever its weights are: its configurations are of no family we know."""
    index = read_index(folder / "model_index.json")
    return _stranger(index) or _family_faults(folder, index)


def _family_faults(folder: Path, index: dict[str, Any]) -> list[str]:
    unet = _config(folder, "unet")
    if not unet:
        return _noise_faults(folder)
    faults = _noise_faults(folder) + _unknown(unet, two_readers="text_encoder_2" in index)
    if shows_examples(index) and backbone_of(unet) not in (Backbone.INPAINTING, None):
        made = unet.get("out_channels") or 4
        faults.append(
            f"its U-Net must take {2 * made + 1} channels, as one does that paints after an example; it takes "
            f"{unet.get('in_channels')}"
        )
    return faults


def _noise_faults(folder: Path) -> list[str]:
    """In what the noise that a folder's model was trained with is not Stable Diffusion's."""
    file = folder / "scheduler" / "scheduler_config.json"
    if not file.is_file():
        return ["scheduler/scheduler_config.json is missing"]
    try:
        config = read_config(file)
    except ModelError as error:
        return [str(error)]
    name, predicts_v = str(config.get("_class_name")), config.get("prediction_type") == "v_prediction"
    if _config(folder, "vae").get("latents_mean") is not None:
        return [f"{EDM['edm_mean']}; {OUR_NOISE}"]
    if predicts_v and config.get("timestep_type") == "continuous":
        return [f"{EDM['edm_vpred.sigma_max']}; {OUR_NOISE}"]
    if name.startswith("EDM") or config.get("sigma_data") is not None:
        return [f"its scheduler is {name}, of EDM's continuous noise levels; {OUR_NOISE}"]
    if "beta_schedule" not in config:
        return [f"its scheduler, {name}, says nothing of beta_schedule; {OUR_NOISE}"]
    return []


def _stranger(index: dict[str, Any]) -> list[str]:
    """Why nothing of a folder with this ``model_index.json`` is worth looking at, if so."""
    kind = index.get("_class_name")
    if "transformer" in index and "unet" not in index:
        return [f"it is a {kind}, whose network is a transformer; the methods here work on a U-Net"]
    if "text_encoder_2" in index and "text_encoder" not in index:
        return ["it is the refiner of Stable Diffusion XL, which only finishes what another model began; take the base"]
    return []


def _unknown(unet: dict[str, Any], two_readers: bool) -> list[str]:
    """What this ``config.json`` of a network asks for that no family we know does."""
    faults, made = [], unet.get("out_channels") or 4
    if backbone_of(unet) is None:
        faults.append(
            f"its U-Net takes {unet.get('in_channels')} channels and gives {made}: {made} would be a plain model, "
            f"{2 * made + 1} one for inpainting, {2 * made} one for instructions"
        )
    asked = {unet.get(name) for name in _BESIDE_TEXT} - {None, "text"}  # "text" is the words again, taken together
    if asked != ({"text_time"} if two_readers else set()):
        wanted = ", ".join(sorted(map(str, asked))) or "nothing"
        faults.append(
            f"its U-Net wants {wanted} beside the words of {'two encoders' if two_readers else 'one encoder'}"
        )
    return faults


_BESIDE_TEXT = ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "num_class_embeds")


def _vae_faults(folder: Path) -> list[str]:
    if not (folder / "config.json").is_file():
        return [f"{folder} must be a folder with config.json and weights, beside the model's own"]
    if _config(folder.parent, folder.name).get("_class_name") not in PARTS["vae"]:
        wrong = [f'config.json must say "_class_name": {" or ".join(PARTS["vae"])}']
        return _config_faults(folder) or wrong
    return _weight_faults(folder, "vae")


def _faults(folder: Path, index: dict[str, Any], part: str, classes: tuple[str, ...]) -> list[str]:
    place = folder / part
    cls = index.get(part, (None, None))[1]
    if cls not in classes:
        return [f"{part} must be {' or '.join(classes)}, but model_index.json names {cls}"]
    if not place.is_dir():
        return [f"the folder {part} is missing"]
    if part == "feature_extractor":
        known = (place / "preprocessor_config.json").is_file()
        return _config_faults(place) if known else [f"{part}/preprocessor_config.json is missing"]
    if part.startswith("tokenizer"):
        known = any((place / name).is_file() for name in ("vocab.json", "tokenizer.json"))
        return _config_faults(place) if known else [f"{part}/vocab.json is missing"]
    if not (place / "config.json").is_file():
        return [f"{part}/config.json is missing"]
    return _config_faults(place) or [f"{part}/{fault}" for fault in _weight_faults(place, part)]


def _config_faults(folder: Path) -> list[str]:
    """Why the configurations of a part cannot be."""
    try:
        if (folder / "config.json").is_file():
            read_config(folder / "config.json")
        _check_prepared(folder)
    except ModelError as error:
        return [str(error)]
    return []


def _weight_faults(folder: Path, part: str) -> list[str]:
    try:
        weight_files(folder, part)
    except ModelError as error:
        return [str(error)]
    return []
