"""A composer of 16 x 16 pixels with random weights, made in a moment."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pipelines.compose.data import World, build_tokenizer, to_words
from pipelines.compose.model import SMALL, Composer, Sizes

TINY = replace(
    SMALL,
    side=16,
    joint=32,
    image_widths=(16, 32),
    text_width=64,
    text_layers=1,
    unet_widths=(32, 48),
    attention=(False, True),
    head=16,
    steps=40,
)


@pytest.fixture
def tiny() -> Sizes:
    return TINY


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(World(16).texts(), TINY.words)


@pytest.fixture
def words(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Two instructions, ``(2, words)``."""
    texts = ["add a red cube at the centre", "add a blue sphere behind the red cube"]
    return to_words(tokenizer, texts, torch.device("cpu"))


@pytest.fixture
def composer(tokenizer: PreTrainedTokenizerFast) -> Composer:
    torch.manual_seed(4)
    return Composer(TINY, len(tokenizer), tokenizer.eos_token_id).eval().requires_grad_(False)
