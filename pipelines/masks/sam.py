"""Segment Anything (Kirillov et al., arXiv 2304.02643) behind the `Segmenter` protocol: the published sizes and ours.

A model is a folder ``{config.json, model.safetensors}``, or a single file with the weights of the published vit_b,
vit_l or vit_h. A ``.pth`` file can hold any program, so one is opened only if its SHA-256 is that of a published
checkpoint, and is then converted once. Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from pipelines.contract import Box, Extent, Picture
from pipelines.errors import ModelError
from pipelines.masks.passes import LABELS, Pass, ask, check_shape
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import Embedding, SegmenterAnswer
from pipelines.models.configs import read_config

log = logging.getLogger(__name__)

PUBLISHED_SHA256 = {
    "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912": "sam_vit_b_01ec64.pth",
    "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622": "sam_vit_l_0b3195.pth",
    "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e": "sam_vit_h_4b8939.pth",
}
"""The only pickled files that are opened: Meta's own, by the SHA-256 of the whole file."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Of the published models, RGB in levels of 0 to 255; ours keeps them."""


@dataclass(frozen=True)
class SamConfig:
    """The sizes of one SAM network; the defaults are those that all published ones share."""

    encoder_width: int
    encoder_depth: int
    encoder_heads: int
    global_attention: tuple[int, ...]
    """Blocks that attend over the whole picture; the others attend within windows."""
    image_size: int = 1024
    """Side of the square that the picture's longer side is resized to, in pixels."""
    patch_size: int = 16
    window_size: int = 14
    """In patches."""
    width: int = 256
    """Channels of the embedding, the prompts and the decoder."""
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    score_depth: int = 3
    score_width: int = 256
    labels: tuple[str, ...] = LABELS
    """What the three alternatives for a lone click are called, from the smallest to the largest."""


VIT_B = SamConfig(768, 12, 12, (2, 5, 8, 11))
VIT_L = SamConfig(1024, 24, 16, (5, 11, 17, 23))
VIT_H = SamConfig(1280, 32, 16, (7, 15, 23, 31))


def build_sam(config: SamConfig) -> Sam:
    """The network of `config` with fresh weights, in eval mode."""
    grid = config.image_size // config.patch_size
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=config.encoder_width,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            out_chans=config.width,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config.window_size,
            global_attn_indexes=config.global_attention,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=config.width,
            image_embedding_size=(grid, grid),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=config.width,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=config.width, num_heads=config.decoder_heads, mlp_dim=config.decoder_mlp
            ),
            iou_head_depth=config.score_depth,
            iou_head_hidden_dim=config.score_width,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    return sam.eval()


class SamSegmenter:
    """A loaded SAM. It holds nothing but frozen weights, so any number of threads may ask at once."""

    def __init__(self, sam: Sam, name: str, labels: tuple[str, ...]) -> None:
        self.sam = sam
        self.name = name
        self.labels = labels

    def embed(self, picture: Picture) -> Embedding:
        """See `Segmenter.embed`. The features are ``(1, C, h, w) float32``: 0.4 MB for Toybox, 4 MB for vit_b."""
        extent = Extent.of(picture)
        check_shape(extent, self.sam.image_encoder.img_size)
        predictor = SamPredictor(self.sam)
        predictor.set_image(picture)
        return Embedding(extent, self.name, predictor.features, predictor.features.nbytes)

    def segment(self, embedding: Embedding, prompts: MaskPrompts) -> SegmenterAnswer:
        """See `Segmenter.segment`."""
        embedding.check_made_by(self.name)
        return ask(partial(_decode, self._predictor(embedding)), embedding.extent, prompts, self.labels)

    def _predictor(self, embedding: Embedding) -> SamPredictor:
        """A predictor of this call's own, as if its picture had just been set."""
        predictor = SamPredictor(self.sam)
        size = (embedding.extent.height, embedding.extent.width)
        predictor.features = embedding.features
        predictor.original_size = size
        predictor.input_size = predictor.transform.get_preprocess_shape(*size, self.sam.image_encoder.img_size)
        predictor.is_image_set = True
        return predictor


def _decode(
    predictor: SamPredictor,
    clicks: Sequence[Click] = (),
    box: Box | None = None,
    before: NDArray[np.float32] | None = None,
    alternatives: bool = False,
) -> Pass:
    """See `Decoder`. The logits are ``(4h, 4w) float32`` each, for an embedding of ``h x w``."""
    masks, scores, logits = predictor.predict(
        point_coords=np.array([(click.x, click.y) for click in clicks]) if clicks else None,
        point_labels=np.array([int(click.include) for click in clicks]) if clicks else None,
        box=None if box is None else np.array([box.left, box.top, box.right, box.bottom]),
        mask_input=None if before is None else before[None],
        multimask_output=alternatives,
    )
    return Pass(masks, scores, logits)


# ------------------------------------------------------------------------------------------------ files and folders


def load_sam(path: Path, device: str | torch.device = "cpu") -> SamSegmenter:
    """Load a model folder, or a file of published weights (``.safetensors``, or ``.pth`` of a known SHA-256).

    Raises `ModelError` when something is missing, damaged, unknown or not safe to open.
    """
    if path.is_dir():
        config, state, name = (
            _read_config(path / "config.json"),
            _read_safetensors(path / "model.safetensors"),
            path.name,
        )
    else:
        state = _read_safetensors(path) if path.suffix == ".safetensors" else _converted(path)
        config, name = _published_config(state, path), path.stem
    try:
        with torch.device("meta"):
            sam = build_sam(config)
        sam.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
        raise ModelError(f"the weights of {path} do not fit their configuration: {str(error)[:400]}") from error
    # Not part of the weights, so still without values.
    sam.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    return SamSegmenter(sam.to(device).eval().requires_grad_(False), name, config.labels)


def save_sam(sam: Sam, config: SamConfig, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` (fp16) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": "Sam", **asdict(config)}, indent=2) + "\n")
    state = {key: value.detach().half().cpu().contiguous() for key, value in sam.state_dict().items()}
    save_file(state, folder / "model.safetensors")


def _read_config(path: Path) -> SamConfig:
    fields = read_config(path)
    try:
        if fields.pop("_class_name") != "Sam":
            raise ValueError("its _class_name is not Sam")
        tuples = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return SamConfig(**{**fields, **tuples})
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} must describe a segmenter (see assets/models/toybox-segmenter): {error}") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} must be a readable safetensors file: {error}") from error


def _converted(path: Path) -> dict[str, Tensor]:
    """The weights of a published ``.pth``, and beside it from now on the same as safetensors, which opens without a
    hash of gigabytes. Where that cannot be written the weights are used all the same."""
    state = _read_published_pickle(path)
    target, part = path.with_suffix(".safetensors"), path.with_suffix(".part")
    try:
        save_file({key: value.contiguous() for key, value in state.items()}, part)
        part.replace(target)
    except (OSError, SafetensorError) as error:
        log.warning("%s could not be written (%s); %s is opened as it is", target.name, error, path.name)
        if part.is_file():
            part.unlink()
    return state


def _read_published_pickle(path: Path) -> dict[str, Tensor]:
    """Open a ``.pth`` only when the whole file is one of the published checkpoints."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest not in PUBLISHED_SHA256:
                raise ModelError(
                    f"{path} is none of the published checkpoints ({', '.join(PUBLISHED_SHA256.values())}), and a "
                    f"pickled file can run any program; its SHA-256 is {digest}. If you trust it, convert it once: "
                    f'python -c "import torch, safetensors.torch as s; '
                    f"s.save_file(torch.load('{path.name}', weights_only=True), '{path.stem}.safetensors')\""
                )
            file.seek(0)
            state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
            return state
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _published_config(state: Mapping[str, Tensor], path: Path) -> SamConfig:
    """Which of the published sizes these weights are, by the width of the encoder."""
    position = state.get("image_encoder.pos_embed")
    width = 0 if position is None else position.shape[-1]
    for config in (VIT_B, VIT_L, VIT_H):
        if config.encoder_width == width:
            return config
    raise ModelError(f"{path} must hold the weights of SAM vit_b, vit_l or vit_h; its encoder is {width} wide")
