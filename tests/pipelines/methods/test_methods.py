"""What each single-file method does beyond the contract they all keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.encode import Canvas, target_text
from pipelines.images import from_network, resized
from pipelines.methods import inpaint, sdedit
from pipelines.models.bundle import ModelBundle
from pipelines.params import InpaintParams, SDEditParams
from pipelines.pasting import edited_region


@pytest.mark.parametrize(
    ("subject", "background", "expected"),
    [(" a dog ", "in a forest", "a dog in a forest"), ("a dog", "", "a dog"), ("", "in a forest ", "in a forest")],
)
def test_the_target_text_joins_what_is_said(
    request_for: Callable[..., EditRequest], subject: str, background: str, expected: str
) -> None:
    assert target_text(request_for(subject=subject, background=background)) == expected


def test_sdedit_strays_further_the_more_it_noises(bundle: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    """At almost no noise it gives the autoencoder's round trip."""
    asked = request_for()
    canvas = Canvas.of(bundle, asked)
    round_trip = resized(from_network(bundle.decode(canvas.z_ref)), canvas.frame.original).astype(float)

    def distance(strength: float) -> float:
        params = SDEditParams(steps=50, strength=strength, guidance=1.0)
        edit = sdedit.run(bundle, asked, params).candidates[0].picture
        return float(np.abs(edit - round_trip).mean())

    near, far = distance(0.02), distance(0.8)
    assert near < 0.3 * far


def test_sdedit_ignores_the_mask_unless_it_pastes_back(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked, params = request_for(scope=Scope.BACKGROUND), SDEditParams(steps=4)
    moved = replace(asked, mask=np.roll(asked.mask, 3, 1))
    first, second = (sdedit.run(bundle, which, params).candidates[0].picture for which in (asked, moved))
    assert np.array_equal(first, second)


def test_inpaint_holds_the_kept_part_before_anything_is_pasted(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    """Far from the edit, the decoded picture is the autoencoder's round trip of the input."""
    asked = request_for(scope=Scope.SUBJECT)
    canvas = Canvas.of(bundle, asked)
    round_trip = resized(from_network(bundle.decode(canvas.z_ref)), canvas.frame.original).astype(int)
    edit = inpaint.run(bundle, asked, InpaintParams(steps=4, paste_back=False)).candidates[0].picture
    difference = np.abs(edit - round_trip).max(-1)
    assert difference[:, :3].max() <= 2 and difference[asked.mask].mean() > 5


@pytest.mark.parametrize("family", ["tiny", "tiny-kl"])
def test_a_fitted_decoder_brings_the_kept_pixels_nearer_and_is_a_copy(
    load: Callable[[str], ModelBundle], request_for: Callable[..., EditRequest], family: str
) -> None:
    bundle, asked = load(family), request_for(scope=Scope.SUBJECT)
    before, canvas = bundle.checksum(), Canvas.of(bundle, asked)
    kept = ~edited_region(asked.mask, asked.scope, asked.feather)

    def outside(steps: int) -> float:
        params = InpaintParams(steps=3, paste_back=False, decoder_steps=steps)
        picture = inpaint.run(bundle, asked, params).candidates[0].picture
        return float(np.abs(picture[kept].astype(float) - asked.picture[kept]).mean())

    errors = [outside(steps) for steps in (0, 30, 120)]
    assert errors[0] > errors[1] > errors[2]
    assert bundle.checksum() == before and not any(p.requires_grad for p in bundle.vae.parameters())
    assert canvas.bundle is bundle


def test_inpaint_from_noise_needs_no_picture_of_the_edited_part(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(scope=Scope.BOTH)
    other = replace(asked, picture=255 - asked.picture)
    whole, part = InpaintParams(steps=4), InpaintParams(steps=4, strength=0.5)
    pictures = [inpaint.run(bundle, which, p).candidates[0].picture for p in (whole, part) for which in (asked, other)]
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[2], pictures[3])
