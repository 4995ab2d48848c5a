"""What is shared beside models and is none that can be chosen: told by its true name, with what to do about it.

Names of files and tensors tell it, and configurations; no number is read, and no torch imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import ModelError
from pipelines.models.configs import read_config
from pipelines.models.weights import PICKLES, read_header

AS_SAFETENSORS = "look for it as .safetensors, or load it where you trust it and save it so"
OF_ANOTHER = "it works together with another program's model, and has no use here"
WHOLE = "give the model's whole folder, the one with model_index.json"
MERGED = "merge it into its model with the tool that made it, or look for it as a LoRA"
AUTOENCODER = (
    "an autoencoder (VAE) alone",
    'put its diffusers folder beside the model and name it there, "vae" in card.json or NAME.json',
)
UNET = ("a U-Net alone, without text encoder and autoencoder", WHOLE)
READER = ("a text encoder alone", WHOLE)
CONTROLNET, ADAPTER = ("a ControlNet", OF_ANOTHER), ("an IP-Adapter", OF_ANOTHER)
EMBEDDING = ("an embedding (textual inversion)", OF_ANOTHER)
TRANSFORMER = (
    "a diffusion transformer, like Flux or Stable Diffusion 3",
    "choose a model of Stable Diffusion 1.x, 2.x or XL: the methods here work on a U-Net",
)
CHECKPOINT = ("a whole checkpoint", "choose it as the model")
LORA = ("a LoRA", "put it into the folder loras of a models folder, and choose it with the LoRAs (--lora)")

Told = tuple[str, str]
"""A noun, and what to do."""

TENSORS: tuple[tuple[str, Told], ...] = (
    ("lokr_", ("a LoKr file", MERGED)),
    ("lora_mid", ("a LoCon (Tucker) file", MERGED)),
    ("boft_", ("a BOFT file", MERGED)),
    ("oft_", ("an OFT file", MERGED)),
    ("ia3_", ("an IA3 file", MERGED)),
    ("vera_lambda", ("a VeRA file", MERGED)),
    ("lora_embedding", ("a LoRA of embeddings", MERGED)),
    ("lora_B.bias", ("a LoRA with biases", MERGED)),
    (".diff.", ("a LoRA with whole weights", MERGED)),
    ("lora_", LORA),
    (".lora.", LORA),
    ("hada_w", LORA),
    ("controlnet_", CONTROLNET),
    ("control_model.", CONTROLNET),
    ("ip_adapter", ADAPTER),
    ("image_proj.", ADAPTER),
    ("emb_params.", EMBEDDING),
    ("string_to_param", EMBEDDING),
    ("clip_g.", EMBEDDING),
    ("model.diffusion_model.input_blocks.", CHECKPOINT),
    ("double_blocks.", TRANSFORMER),
    ("joint_blocks.", TRANSFORMER),
    ("transformer_blocks.0.norm1.linear", TRANSFORMER),
    ("down_blocks.0.resnets.0.time_emb_proj", UNET),
    ("decoder.conv_in.", AUTOENCODER),
    ("decoder.layers.0.", AUTOENCODER),
    ("text_model.embeddings.", READER),
    ("motion_modules.", ("a motion module (AnimateDiff)", OF_ANOTHER)),
    ("body.0.", ("an upscaler", OF_ANOTHER)),
)
"""By a piece of a tensor's name, the most telling first."""

CLASSES: dict[str, Told] = {
    "AutoencoderKL": AUTOENCODER,
    "AutoencoderTiny": AUTOENCODER,
    "UNet2DConditionModel": UNET,
    "ControlNetModel": CONTROLNET,
    "clip_text_model": READER,
}
"""By ``_class_name`` or ``model_type`` of a folder's ``config.json``."""

SUFFIXES: dict[str, Told] = {
    **dict.fromkeys(PICKLES, ("a pickle, which could run any code and is never opened", AS_SAFETENSORS)),
    ".gguf": ("a GGUF file", "take the model as safetensors"),
    ".onnx": ("an ONNX file", "take the model as safetensors"),
    ".msgpack": ("weights of Flax", "take the model as safetensors"),
    ".h5": ("weights of TensorFlow", "take the model as safetensors"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".gz"), ("an archive", "unpack it, and give what is in it")),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp"), ("a picture", "give the model's folder or file")),
}


def told_by_tensors(names: Iterable[str]) -> Told | None:
    """What a file with tensors of these names is."""
    named = [f"{name}." for name in names]
    return next((told for mark, told in TENSORS if any(mark in name for name in named)), None)


def true_name(path: Path) -> Told | None:
    """What lies at `path`; ``None`` where nothing tells it. Raises `ModelError` for what is damaged."""
    if path.is_dir():
        if (path / "adapter_config.json").is_file():
            return LORA
        config = read_config(path / "config.json") if (path / "config.json").is_file() else {}
        named = str(config.get("_class_name") or config.get("model_type") or "")
        return CLASSES.get(named) or ((f"a model of the type {named:.60}", OF_ANOTHER) if named else _inside(path))
    if path.suffix == ".safetensors":
        return told_by_tensors(read_header(path).shapes)
    return SUFFIXES.get(path.suffix.lower())


def _inside(folder: Path) -> Told | None:
    """What a folder without a configuration holds, where it is one file."""
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", *SUFFIXES)]
    if len(files) != 1:
        return None
    told = true_name(files[0])
    return None if told is None else (f"a folder with {told[0]} in it, {files[0].name}", told[1])


def refused_by_name(path: Path, wanted: str) -> ModelError | None:
    """That `path` is something else than what was `wanted`; ``None`` where nothing tells what it is."""
    told = true_name(path)
    return None if told is None else ModelError(f"{path.name} is {told[0]}, not {wanted}; {told[1]}")
