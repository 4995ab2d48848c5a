"""The networks: gated fusion by hand, what the U-Net is told, and that the paper's sizes fit together."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pipelines.compose.data import UNKNOWN, World, build_tokenizer, to_words
from pipelines.compose.model import PAPER, TAU, Composer, Condition, GatedFusion, Sizes, parameters

CPU = torch.device("cpu")


def test_eq_1_by_hand() -> None:
    fusion = GatedFusion(1)
    with torch.no_grad():
        fusion.gate.weight.copy_(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))  # g looks at u v = 6
        fusion.gate.bias.fill_(-6)  # so it is half open
        fusion.update.weight.copy_(torch.tensor([[0.0, 0.0, 0.0, 1.0]]))  # h looks at u - v = -1
        fusion.update.bias.fill_(21)
    fused = fusion(torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    assert fused.item() == pytest.approx(0.5 * 20 + 0.5 * 2)


def test_words_are_numbered_and_read_to_their_end() -> None:
    tokenizer = build_tokenizer(World(16).texts(), 8)
    [first, second, third] = to_words(tokenizer, ["add a red cube", "Add a RED cube, banana", "add " * 20], CPU)
    end = tokenizer.eos_token_id
    assert first.tolist()[4:] == [end, 0, 0, 0]
    assert torch.equal(first[:4], second[:4])
    assert tokenizer.convert_ids_to_tokens(second.tolist())[5] == UNKNOWN
    assert third.tolist().index(end) == 7


def test_every_word_of_the_world_is_known_and_no_instruction_is_cut(tokenizer: PreTrainedTokenizerFast) -> None:
    words = to_words(tokenizer, World(16).turns("train", range(300)).instructions, CPU)
    assert not (words == tokenizer.unk_token_id).any()
    assert (words == tokenizer.eos_token_id).sum(1).tolist() == [1] * 300
    assert (words[:, -1] == 0).all()


def test_the_whole_of_a_text_does_not_hang_on_what_pads_it(composer: Composer, words: Tensor) -> None:
    padded = torch.where(words == 0, 9, words)
    assert not torch.equal(padded, words)
    torch.testing.assert_close(composer.text(words).whole, composer.text(padded).whole)


def test_the_network_sees_the_reference_the_words_and_the_condition(composer: Composer, words: Tensor) -> None:
    torch.manual_seed(0)
    x, reference, other = torch.randn(3, 2, 3, 16, 16).unbind(0)
    t = torch.tensor([3, 30])
    told = composer.condition(reference, words)
    eps, v = composer.denoise(x, t, reference, told)
    assert eps.shape == v.shape == x.shape
    for changed in (
        (x, t, other, told),
        (x, t.flip(0), reference, told),
        (x, t, reference, told._replace(c=told.c + 1)),
        (x, t, reference, told._replace(words=told.words + 1)),
        (x, t, reference, told._replace(patches=told.patches + 1)),
    ):
        assert (composer.denoise(*changed)[0] - eps).abs().max() > 1e-4


def test_what_is_dropped_is_zero_and_the_patches_stay(composer: Composer) -> None:
    told = Condition(torch.ones(2, 32), torch.ones(2, 16, 32), torch.ones(2, 8, 32))
    nothing = composer.unconditional(told, torch.tensor([True, False]))
    assert nothing.c.sum(1).tolist() == [0, 32]
    assert nothing.words.sum((1, 2)).tolist() == [0, 256]
    assert torch.equal(nothing.patches, told.patches)


def test_other_instructions_are_fused_with_the_same_picture(composer: Composer, words: Tensor) -> None:
    torch.manual_seed(0)
    reference, rivals = torch.randn(2, 3, 16, 16), torch.stack([words, words.flip(0), words], 1)
    others = composer.others(reference, rivals)
    assert others.shape == (2, 3, 32)
    torch.testing.assert_close(others[1, 1], composer.condition(reference[1:], words[:1]).c[0])


def test_temperatures_begin_at_the_papers(composer: Composer) -> None:
    assert composer.tau.item() == pytest.approx(TAU) == composer.noisy_tau.item()


def test_the_papers_sizes_fit_together() -> None:
    """Without memory: on the meta device there are shapes alone."""
    with torch.device("meta"):
        composer = Composer(PAPER, 49408, 49407)
        reference, words = torch.empty(1, 3, 128, 128), torch.empty(1, 77, dtype=torch.int64)
        told = composer.condition(reference, words)
        assert told.patches.shape == (1, 49, 512) and told.words.shape == (1, 77, 512)
        eps, _ = composer.denoise(reference, torch.empty(1, dtype=torch.int64), reference, told)
    assert eps.shape == (1, 3, 128, 128)
    assert parameters([composer.image.backbone]) > 85e6 and parameters([composer.unet]) > 300e6


def test_the_fixture_is_small(tiny: Sizes, composer: Composer) -> None:
    assert parameters([composer]) < 1e6 and composer.sizes == tiny
