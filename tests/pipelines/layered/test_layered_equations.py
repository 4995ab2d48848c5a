"""The equations of LayerDiffusion, checked against values worked out here by other means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.catalog import CATALOG
from pipelines.contract import EditRequest, Mask, Scope
from pipelines.diffusion.denoise import denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.samplers import DDIM
from pipelines.errors import BadRequest
from pipelines.layered import method
from pipelines.layered.embed import blended, literal_loss, optimised_embeddings
from pipelines.layered.finetune import loss_weights, tuned_weights
from pipelines.layered.guide import told
from pipelines.layered.losses import Draws, Layers, layer_losses, masked_loss
from pipelines.layered.plan import plan_of
from pipelines.layered.state import Fitted
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import EmbedMode, LayeredParams, Start, Tuned
from pipelines.seeds import generator, normal_like


def no_report(preview: object = None) -> None: ...


@pytest.fixture
def layers(bundle: ModelBundle) -> Layers:
    draw = torch.Generator().manual_seed(1)
    m = torch.zeros(1, 1, 16, 16)
    m[..., 4:10, 5:11] = 1
    x_obj, x_bg = (torch.randn(1, bundle.latent_channels, 16, 16, generator=draw) for _ in range(2))
    return Layers(x_obj, m, x_bg, 1 - m)


@pytest.fixture
def e_a(bundle: ModelBundle) -> PromptEmbeds:
    return bundle.embed_texts(["a blue dog"])


@pytest.fixture
def e_b(bundle: ModelBundle) -> PromptEmbeds:
    return bundle.embed_texts(["in a forest"])


def test_masked_loss_is_a_plain_mean_or_one_over_its_own_part() -> None:
    m = torch.zeros(1, 1, 4, 4)
    m[..., :2, :2] = 1
    eps, predicted = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 2.0)
    assert masked_loss(m, eps, predicted, by_area=False).item() == pytest.approx(4 * 4 / 16)
    assert masked_loss(m, eps, predicted, by_area=True).item() == pytest.approx(4)


def test_losses_see_only_their_own_part(
    bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds
) -> None:
    """Eq. 4 and 5 against a direct computation, one picture at a time."""
    draws = Draws(generator(3, "test"), 2, by_area=False)
    with torch.no_grad():
        loss_obj, loss_bg = layer_losses(bundle, layers, e_a, e_b, draws)
    source = generator(3, "test")
    t = Draws(source, 2, by_area=False).timesteps(bundle)
    eps = normal_like(torch.empty(2, 4, 16, 16), source)
    for x, m, e, loss in ((layers.x_obj, layers.m_obj, e_a, loss_obj), (layers.x_bg, layers.m_bg, e_b, loss_bg)):
        expected = []
        for k in range(2):
            a = bundle.schedule.alpha_bar[t[k]]
            x_t = a.sqrt() * x + (1 - a).sqrt() * eps[k : k + 1]
            with torch.no_grad(), bundle.fast_arithmetic():
                predicted = bundle.unet(x_t, t[k], e.tokens).sample.float()
            expected.append(((m * (eps[k : k + 1] - predicted)) ** 2).mean())
        assert loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=2e-2)


@pytest.mark.parametrize("mode", list(EmbedMode))
def test_eq_2_lowers_its_loss_with_the_network_frozen(
    bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds, mode: EmbedMode
) -> None:
    """On one fixed draw, either reading of Eq. 2 is an optimisation of the embeddings alone."""
    params = LayeredParams(embed_steps=25, embed_rate=3e-2, embed_mode=mode, timesteps_per_step=4)
    before = bundle.checksum()
    fitted_a, fitted_b = optimised_embeddings(bundle, layers, e_a, e_b, params, generator(0, "fit"), no_report)

    def loss(a: PromptEmbeds, b: PromptEmbeds) -> float:
        draws = Draws(generator(5, "held out"), 64, by_area=False)
        with torch.no_grad():
            if mode is EmbedMode.LITERAL:
                return literal_loss(bundle, layers, a, b, draws).item()
            return sum(part.item() for part in layer_losses(bundle, layers, a, b, draws))

    assert loss(fitted_a, fitted_b) < loss(e_a, e_b)
    assert not torch.equal(fitted_a.tokens, e_a.tokens) and not torch.equal(fitted_b.tokens, e_b.tokens)
    assert bundle.checksum() == before
    assert all(p.grad is None and not p.requires_grad for p in bundle.unet.parameters())


def test_eq_2_layered_keeps_the_texts_apart(
    bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds
) -> None:
    """The object's text learns nothing from the background's picture, and the other way round."""
    params = LayeredParams(embed_steps=3)
    changed = replace(layers, x_bg=layers.x_bg + 1)
    first = optimised_embeddings(bundle, layers, e_a, e_b, params, generator(0, "fit"), no_report)
    second = optimised_embeddings(bundle, changed, e_a, e_b, params, generator(0, "fit"), no_report)
    assert torch.allclose(first[0].tokens, second[0].tokens, atol=1e-4)
    assert not torch.allclose(first[1].tokens, second[1].tokens, atol=1e-4)


def test_eq_2_literal_joins_both_texts_in_one_sequence(
    bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PromptEmbeds] = []
    plain = ModelBundle.predict

    def watched(self: ModelBundle, z_t: Tensor, t: Tensor, e: PromptEmbeds) -> Tensor:
        seen.append(e)
        return plain(self, z_t, t, e)

    monkeypatch.setattr(ModelBundle, "predict", watched)
    literal_loss(bundle, layers, e_a, e_b, Draws(generator(0, "x"), 3, by_area=False))
    assert len(seen) == 1 and torch.equal(seen[0].tokens, torch.cat([e_a.tokens, e_b.tokens], 1).expand(3, -1, -1))


def test_eq_3_weighs_the_object_with_alpha() -> None:
    e_a, e_b = (PromptEmbeds(torch.full((1, 2, 3), level), torch.full((1, 5), level)) for level in (1.0, 11.0))
    e_opt = blended(e_a, e_b, 0.7)
    assert torch.allclose(e_opt.tokens, torch.full((1, 2, 3), 4.0))
    assert e_opt.pooled is not None and torch.allclose(e_opt.pooled, torch.full((1, 5), 4.0))
    assert LayeredParams().subject_weight == 0.7


@pytest.mark.parametrize(("side", "expected"), [(8, (2.0, 1.0)), (2, (3.0, 1.0))])
def test_eq_6_weighs_a_small_object_with_three(layers: Layers, side: int, expected: tuple[float, float]) -> None:
    m = torch.zeros(1, 1, 16, 16)
    m[..., :side, :side] = 1
    assert loss_weights(replace(layers, m_obj=m), LayeredParams()) == expected


@pytest.mark.parametrize("tuned", [Tuned.LORA, Tuned.UNET])
def test_eq_6_is_minimised_by_the_weights_that_are_returned(
    bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds, tuned: Tuned
) -> None:
    params = LayeredParams(tuned=tuned, tune_steps=30, tune_rate=1e-2, timesteps_per_step=4)
    e_opt = blended(e_a, e_b, params.subject_weight)

    def loss() -> float:
        with torch.no_grad():
            obj, bg = layer_losses(bundle, layers, e_opt, e_opt, Draws(generator(5, "held out"), 64, by_area=False))
        return 2 * obj.item() + bg.item()

    before, checksum = loss(), bundle.checksum()
    weights = tuned_weights(bundle, layers, e_opt, params, 0, generator(0, "tune"), no_report)
    assert bundle.checksum() == checksum
    empty: Mask = np.zeros((1, 1), bool)
    with Fitted(e_a, e_b, empty, tuned, weights, None).applied(bundle):
        assert loss() < 0.99 * before
        assert bundle.checksum() != checksum
    assert bundle.checksum() == checksum


def test_eq_8_alternates_by_the_loop_index_and_ends_with_the_blend(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    """All of DDIM's own timesteps are odd here, so a parity of timesteps would never follow the subject alone."""
    timesteps = bundle.schedule.timesteps(50)
    assert len(timesteps) == 50 and {t % 2 for t in timesteps} == {1}
    followed: list[str] = []
    named = {"e_a": bundle.embed_texts(["a"]), "e_opt": bundle.embed_texts(["b"])}
    rule = told(plan_of(request_for(), LayeredParams()), named["e_a"], named["e_opt"])

    def condition(i: int) -> PromptEmbeds:
        e = rule(i)
        followed.append(next(name for name, value in named.items() if value is e))
        return e

    z = torch.zeros(1, bundle.latent_channels, 4, 4)
    denoise(bundle, z, DDIM(z), timesteps, guided(bundle, condition, named["e_a"], 1.0), after_step=lambda z_0: None)
    assert followed == ["e_a", "e_opt"] * 25


# ------------------------------------------------------------------------------------------- the three in their order


FEW = LayeredParams(steps=3, embed_steps=2, tune_steps=2, tune_rate=1e-3, lora_rank=2)


@pytest.mark.parametrize("tuned", list(Tuned))
@pytest.mark.parametrize("start", list(Start))
def test_a_stored_state_gives_the_same_candidates_without_fitting_again(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], tuned: Tuned, start: Start
) -> None:
    params = replace(FEW, tuned=tuned, start=start, strength=0.7)
    first = method.run(bundle, request_for(candidates=2), params)
    again = method.run(bundle, request_for(seed=8, fitted=first.fitted), params)
    assert np.array_equal(again.candidates[0].picture, first.candidates[1].picture)
    assert [report.name for report in again.stages] == ["guidance"]
    assert again.fitted == first.fitted
    assert np.array_equal(again.background_reference, first.background_reference)


def test_a_stored_state_of_something_else_is_refused(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], mask: Mask
) -> None:
    fitted = method.run(bundle, request_for(), FEW).fitted
    with pytest.raises(BadRequest, match="another model or mask"):
        method.run(bundle, request_for(fitted=fitted, mask=np.roll(mask, 8, 1)), FEW)
    with pytest.raises(BadRequest, match="cannot be read"):
        method.run(bundle, request_for(fitted=fitted[:100]), FEW)
    with pytest.raises(BadRequest, match="cannot be read"):
        method.run(bundle, request_for(fitted=b"nonsense"), FEW)


def test_where_the_background_is_learnt_from(bundle: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    """Generated from its text, or the person's picture, or (kept, or not spoken of) the input itself."""
    stages = lambda result: [report.name for report in result.stages]  # noqa: E731
    made = method.run(bundle, request_for(scope=Scope.BACKGROUND), FEW)
    assert stages(made)[0] == "reference" and made.background_reference is not None
    given = np.full((64, 64, 3), 200, np.uint8)
    used = method.run(bundle, request_for(scope=Scope.BACKGROUND, background="", background_reference=given), FEW)
    assert "reference" not in stages(used) and (used.background_reference == 200).all()
    for kept in (request_for(scope=Scope.SUBJECT), request_for(scope=Scope.BOTH, background="")):
        result = method.run(bundle, kept, FEW)
        assert "reference" not in stages(result) and result.background_reference is None


def test_a_subject_reference_takes_the_subjects_place(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], mask: Mask
) -> None:
    asked = request_for(subject_reference=np.full((20, 10, 3), 77, np.uint8))
    canvas = Canvas.of(bundle, asked)
    layer = method._subject_layer(canvas)
    assert (layer.picture[layer.mask] == 77).all()
    assert np.array_equal(layer.picture[~layer.mask], canvas.small[~layer.mask])
    rows, columns = np.flatnonzero(layer.mask.any(1)), np.flatnonzero(layer.mask.any(0))
    place = np.flatnonzero(method.mask_at(mask, canvas.frame.network).any(1))
    assert rows[-1] == place[-1], "it stands where the subject stood"
    assert abs(len(rows) - 2 * len(columns)) <= 1, "its aspect is kept, to a pixel"
    method.run(bundle, asked, FEW)


def test_a_subject_too_small_for_the_model_is_refused(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    large, dot = np.zeros((400, 400, 3), np.uint8), np.zeros((400, 400), bool)
    dot[200, 200] = True
    with pytest.raises(BadRequest, match="select a larger subject, or set window=around"):
        method.run(bundle, request_for(picture=large, mask=dot), FEW)


def test_phases_without_steps_are_skipped(bundle: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    result = method.run(bundle, request_for(), replace(FEW, embed_steps=0, tune_steps=0))
    assert [report.name for report in result.stages] == ["reference", "guidance"]
    assert CATALOG["layered"].stages == ("reference", "embeddings", "fine-tune", "guidance")


@pytest.mark.parametrize(
    ("subject", "background", "alpha"),
    [("a dog", "in a forest", 0.7), ("a dog", " ", 1.0), ("", "in a forest", 0.0)],
)
def test_a_text_that_was_not_given_is_not_mixed_in(subject: str, background: str, alpha: float) -> None:
    """Eq. 3 blends two texts; with one of them there is nothing to blend."""
    blank = np.zeros((16, 16, 3), np.uint8)
    request = EditRequest(
        picture=blank, mask=np.zeros((16, 16), bool), subject=subject, background=background, scope=Scope.BOTH, seed=0
    )
    assert plan_of(request, LayeredParams()).alpha == alpha
