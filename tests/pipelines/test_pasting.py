"""What a turn may change, seams, and what is kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.kept import outside_change
from pipelines.params import Edge, InpaintParams, When
from pipelines.pasting import bled, edited_region, flat_colour, pasted_back, put_back, seam, small_changes_undone
from tests.pipelines.masks.hair import as_selected
from tests.pipelines.masks.hair import drawn as hairy


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(Scope)), st.floats(0, 12), st.integers(0, 2**32 - 1))
def test_pasting_back_never_touches_what_is_kept(scope: Scope, feather: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    original, edit = (rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(2))
    mask = np.zeros((40, 50), bool)
    top, left = rng.integers(1, 30, 2)
    mask[top : top + 8, left : left + 9] = True
    region = edited_region(mask, scope, feather)
    result = pasted_back(edit, original, region, feather)
    assert np.array_equal(result[~region], original[~region])
    change = outside_change(result, original, region)
    assert (change.changed, change.largest, change.kept) == (0, 0, int((~region).sum()))
    share = seam(region, feather)
    assert (share[~region] == 0).all() and (share[region] > 0).all() and share.max() <= 1
    if scope is Scope.SUBJECT:
        assert region[mask].all() and (region.sum() > mask.sum())
        assert np.array_equal(result[mask], edit[mask]), "the subject itself lies inside the seam"
    if scope is Scope.BOTH:
        assert np.array_equal(result, edit)


@pytest.mark.parametrize("side", [64, 2048])
def test_a_kept_subject_brings_no_rim_of_the_background_it_stood_on(side: int) -> None:
    """A red disc, softened into white as cameras do, comes onto black: nothing there is lighter than the red itself."""
    red, white = np.array([200, 0, 0]), np.array([255, 255, 255])
    away = np.hypot(*np.indices((side, side)) - side / 2) - side / 4
    width = max(1, side / 1024)
    share = np.clip(0.5 - away / width, 0, 1)[..., None]
    original = np.round(share * red + (1 - share) * white).astype(np.uint8)
    mask, black = away < 0, np.zeros((side, side, 3), np.uint8)
    region = edited_region(mask, Scope.BACKGROUND, 2.0)
    kept = ~region
    assert (kept <= mask).all() and kept.sum() > 0.85 * mask.sum()
    result = pasted_back(black, bled(original, kept), region, 2.0)
    assert result[..., 1:].max() <= 1, "green and blue are the white's"
    assert np.array_equal(result[kept], original[kept]) and (result[away > 2 + width] == 0).all()
    assert pasted_back(black, original, ~mask, 2.0)[..., 1:].max() > 100, "as it would be otherwise"


def test_what_is_too_thin_to_have_a_fringe_is_kept() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 5:20] = True
    mask[18, 20:36] = True
    kept = ~edited_region(mask, Scope.BACKGROUND, 2.0)
    assert kept[18, 22:36].all() and kept[11:29, 6:19].all() and not kept[10, 5:20].any()


def test_colours_bleed_from_the_nearest_kept_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    kept = np.zeros((5, 9), bool)
    kept[:, 2] = kept[:, 6] = True
    spread = bled(picture, kept)
    assert (spread[:, :4] == picture[:, 2:3]).all() and (spread[:, 5:] == picture[:, 6:7]).all()
    assert bled(picture, np.zeros((5, 9), bool)) is picture


def test_outside_change_is_counted_in_pixels_and_levels() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    result = original.copy()
    result[0, 0] = (100, 90, 103)
    result[0, 1, 2] = 101
    result[3, 3] = 0
    region = np.zeros((4, 4), bool)
    region[3, 3] = True
    change = outside_change(result, original, region)
    assert (change.changed, change.kept, change.largest) == (2, 15, 10)


def test_one_colour_all_over_what_was_to_change_is_named() -> None:
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert flat_colour(picture, region) == ""
    assert flat_colour(picture, np.zeros_like(region)) == "", "nothing was to change"
    picture[10:30, 10:30] = (0, 1, 0)
    assert flat_colour(picture, region) == "#000100"
    picture[10:30, 10] = 255  # the seam
    assert flat_colour(picture, region) == "#000100"
    picture[10:30, 10:14] = 255
    assert flat_colour(picture, region) == "", "a fifth of it is something else"
    picture[10:30, 10:30] = np.linspace(100, 130, 20).astype(np.uint8)[:, None]
    assert flat_colour(picture, region) == "", "a sky is no flat colour"


def test_small_changes_are_undone_and_large_ones_stay() -> None:
    original = np.full((40, 60, 3), 100, np.uint8)
    edit = original.copy()
    edit[:, 20:40] += 6  # on every channel: 6 levels
    edit[:, 40:, 2] += 36  # on one of three: 12 levels
    edit[20, 5] += 30  # a lone pixel, about 5 levels once smoothed
    assert small_changes_undone(edit, original, 0) is edit
    undone = small_changes_undone(edit, original, 8)
    assert np.array_equal(undone[:, :36], original[:, :36])
    assert np.array_equal(undone[:, 44:], edit[:, 44:])
    assert np.array_equal(small_changes_undone(edit, original, 5)[:, 24:], edit[:, 24:])
    assert np.array_equal(small_changes_undone(edit, original, 255), original)


# What models make, put back


def ask(picture: Picture, mask: Mask, scope: Scope) -> EditRequest:
    return EditRequest(picture=picture, mask=mask, subject="a dog", background="in a forest", scope=scope, seed=7)


def put(made: Picture, request: EditRequest, seed: int = 1, **settings: object) -> tuple[Picture, Mask]:
    params = InpaintParams(**settings)  # type: ignore[arg-type]  # by name
    return put_back(made, request, edited_region(request.mask, request.scope, request.feather), params, seed)


@pytest.mark.parametrize("scope", [Scope.SUBJECT, Scope.BACKGROUND])
@pytest.mark.parametrize("edge", list(Edge))
@pytest.mark.parametrize("matches", [When.NEVER, When.ALWAYS])
def test_what_is_kept_stays_whatever_is_done_at_the_seam(scope: Scope, edge: Edge, matches: When) -> None:
    original, made = data.astronaut()[:200, 100:340], cv2.GaussianBlur(data.coffee()[:200, :240], (0, 0), 2)
    mask = np.zeros((200, 240), bool)
    mask[50:150, 70:160] = True
    request = ask(original, mask, scope)
    picture, region = put(made, request, edge=edge, match_colour=matches, grain=matches)
    assert picture.dtype == np.uint8 and not region.all()
    assert np.array_equal(picture[~region], original[~region])
    assert not np.array_equal(picture[mask == (scope is Scope.SUBJECT)], original[mask == (scope is Scope.SUBJECT)])
    again, _ = put(made, request, edge=edge, match_colour=matches, grain=matches)
    assert np.array_equal(picture, again)
    if matches is When.ALWAYS:
        other, _ = put(made, request, seed=2, edge=edge, match_colour=matches, grain=matches)
        assert not np.array_equal(picture, other)


def test_in_a_window_means_not_here() -> None:
    """`run_in_window` says so where there is one."""
    original, made = data.astronaut()[:200, 100:340], data.coffee()[:200, :240]
    mask = np.zeros((200, 240), bool)
    mask[50:150, 70:160] = True
    request = ask(original, mask, Scope.SUBJECT)
    usual, _ = put(made, request)
    waiting, _ = put(made, request, match_colour=When.WINDOW, grain=When.WINDOW)
    assert np.array_equal(usual, waiting)


@pytest.mark.parametrize("settings", [{}, {"edge": Edge.MATTED}, {"match_colour": When.ALWAYS, "grain": When.ALWAYS}])
@pytest.mark.parametrize("selected", [True, False], ids=["everything", "nothing"])
def test_where_nothing_is_kept_or_nothing_changes_there_is_no_seam(settings: dict[str, object], selected: bool) -> None:
    original, made = data.astronaut()[:64, :80], data.coffee()[:64, :80]
    picture, region = put(made, ask(original, np.full((64, 80), selected), Scope.SUBJECT), **settings)
    assert region.all() == selected == region.any()
    assert np.array_equal(picture, made if selected else original)


@pytest.mark.parametrize("scope", [Scope.SUBJECT, Scope.BACKGROUND])
def test_hair_is_put_back_with_its_own_alpha(scope: Scope) -> None:
    """Of a drawn head the true picture is known, before another sky, and in another colour before its own. Where the
    head changes, the model's own sky came out darker and without texture; within reach of it the true one is seen."""
    picture, alpha, head = hairy(300, 0)
    mask = as_selected(alpha)
    sky = (picture - alpha[..., None] * head) / np.maximum(1 - alpha[..., None], 1e-3)
    other_sky = np.full_like(head, 60.0) + np.linspace(0, 60, 300, dtype=np.float32)[:, None, None]
    other_head = head[..., ::-1] * np.float32(0.9)
    if scope is Scope.BACKGROUND:
        made = other_sky
        truth = alpha[..., None] * head + (1 - alpha[..., None]) * other_sky
    else:
        whole_sky = np.where(alpha[..., None] < 0.9, sky, 0)
        truth = alpha[..., None] * other_head + (1 - alpha[..., None]) * whole_sky
        made = alpha[..., None] * other_head + (1 - alpha[..., None]) * (whole_sky - 40)
    shown, wanted = (np.clip(np.round(part), 0, 255).astype(np.uint8) for part in (made, truth))
    request = ask(picture, mask, scope)
    near = (alpha > 0) & (alpha < 1) & edited_region(mask, scope, request.feather)
    error = {
        edge: float(np.abs(put(shown, request, edge=edge)[0].astype(float) - wanted)[near].mean()) for edge in Edge
    }
    assert error[Edge.MATTED] < 0.75 * min(error[Edge.SOFT], error[Edge.HARD]), error
