"""The working window: where it lies, what is put back, and that every method can work in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from pipelines.catalog import CATALOG
from pipelines.catalog import settings as preset
from pipelines.contract import Candidate, EditRequest, EditResult, Mask, Picture, Quality, Scope
from pipelines.engine import Engine
from pipelines.kept import outside_change
from pipelines.layered.key import fit_key
from pipelines.masks.refine import bounds
from pipelines.params import LayeredParams, ModelParams, SDEditParams, Tuned, When, Window, knobs
from pipelines.pasting import edited_region
from pipelines.progress import Cancelled, Progress, silent
from pipelines.window import PREVIEW_SIDE, WORTH_IT, Place, fading, placing, run_in_window, window_of
from tests.pipelines.conftest import model_for
from tests.pipelines.training.conftest import write_tiny_clip

Build = Callable[..., EditRequest]
BY_MODEL = sorted(name for name, entry in CATALOG.items() if issubclass(entry.params, ModelParams))
AUTO, AROUND = SDEditParams(window=Window.AUTO), SDEditParams(window=Window.AROUND)


def window_in(request: EditRequest, params: ModelParams, resolution: int) -> Place | None:
    return window_of(request.mask, request.scope, params, resolution)


def asked(size: tuple[int, int], box: tuple[int, int, int, int], scope: Scope = Scope.SUBJECT) -> EditRequest:
    """A picture of that width and height, of which the box ``xyxy`` is selected."""
    width, height = size
    mask = np.zeros((height, width), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return EditRequest(
        picture=np.zeros((height, width, 3), np.uint8),
        mask=mask,
        subject="a blue dog",
        background="",
        scope=scope,
        seed=7,
    )


def seeing(resolution: int) -> Any:
    """What of a bundle is asked before a method has it."""
    return SimpleNamespace(card=SimpleNamespace(resolution=resolution))


def corners(place: tuple[slice, slice] | None) -> tuple[int, int, int, int] | None:
    return None if place is None else (place[1].start, place[0].start, place[1].stop, place[0].stop)


@pytest.mark.parametrize(
    ("size", "box", "resolution", "window"),
    [
        ((4000, 3000), (1850, 1350, 2150, 1650), 512, (1700, 1200, 2300, 1800)),  # with half of its side around it
        ((4000, 3000), (1900, 1350, 2100, 1650), 512, (1700, 1200, 2300, 1800)),  # square, by its longer side
        ((4000, 3000), (1850, 1350, 2150, 1650), 1024, (1700, 1200, 2300, 1800)),
        ((4000, 3000), (1980, 1480, 2020, 1520), 512, (1872, 1372, 2128, 1628)),  # no more than twice enlarged
        ((4000, 3000), (1980, 1480, 2020, 1520), 1024, (1744, 1244, 2256, 1756)),
        ((4000, 3000), (0, 0, 300, 300), 512, (0, 0, 600, 600)),  # in the corner: inside the picture
        ((4000, 3000), (3700, 2700, 4000, 3000), 512, (3400, 2400, 4000, 3000)),
        ((4000, 1000), (1500, 300, 2100, 700), 512, (1200, 0, 2400, 1000)),  # where the picture ends it is not square
        ((4000, 3000), (1000, 500, 3000, 2500), 512, None),  # a large subject
        ((600, 500), (280, 230, 320, 270), 1024, None),  # a picture that is no larger than what the model sees
        ((256, 256), (120, 120, 140, 140), 256, None),  # the embedded model's own pictures
    ],
)
def test_the_window_that_is_taken_unasked(
    size: tuple[int, int], box: tuple[int, int, int, int], resolution: int, window: tuple[int, int, int, int] | None
) -> None:
    assert corners(window_in(asked(size, box), AUTO, resolution)) == window


def test_a_window_is_taken_unasked_only_where_the_subject_gains_by_it() -> None:
    """A square picture of 1,200 pixels: a window of 800 shows everything one and a half times as large."""
    at, above = (window_in(asked((1200, 1200), (400, 400, 400 + side, 500)), AUTO, 512) for side in (400, 402))
    assert at is not None and above is None
    assert window_in(asked((1200, 1200), (400, 400, 802, 500)), AROUND, 512) is not None, "whoever asks for one has one"
    assert WORTH_IT == 1.5


@pytest.mark.parametrize("scope", [Scope.BACKGROUND, Scope.BOTH])
@pytest.mark.parametrize("params", [AUTO, AROUND])
def test_where_more_than_the_subject_changes_the_picture_is_whole(scope: Scope, params: ModelParams) -> None:
    assert window_in(asked((4000, 3000), (1850, 1350, 2150, 1650), scope), params, 512) is None


@pytest.mark.parametrize("params", [AUTO, AROUND])
def test_without_a_subject_and_where_the_window_would_be_larger_the_picture_is_whole(params: ModelParams) -> None:
    assert window_in(asked((4000, 3000), (0, 0, 0, 0)), params, 512) is None
    wide = replace(params, context=4.0)
    assert window_in(asked((400, 300), (150, 100, 250, 200)), wide, 64) is None
    everything = asked((400, 300), (0, 0, 400, 300))
    assert window_in(everything, params, 64) is None


def test_more_context_is_a_larger_window() -> None:
    one, two = (
        window_in(asked((4000, 3000), (1850, 1350, 2150, 1650)), replace(AROUND, context=share), 512)
        for share in (0.1, 1.0)
    )
    assert corners(one) == (1820, 1320, 2180, 1680) and corners(two) == (1550, 1050, 2450, 1950)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_window_lies_in_the_picture_and_holds_the_subject(drawn: st.DataObject) -> None:
    width, height = (drawn.draw(st.integers(16, 300)) for _ in range(2))
    left, top = drawn.draw(st.integers(0, width - 1)), drawn.draw(st.integers(0, height - 1))
    right, bottom = drawn.draw(st.integers(left + 1, width)), drawn.draw(st.integers(top + 1, height))
    request = asked((width, height), (left, top, right, bottom))
    params = replace(AROUND, context=drawn.draw(st.floats(0.1, 4)))
    place = window_in(request, params, drawn.draw(st.sampled_from([32, 64, 256])))
    if place is None:
        return
    (y0, y1), (x0, x1) = ((part.start, part.stop) for part in place)
    assert 0 <= x0 <= left < right <= x1 <= width and 0 <= y0 <= top < bottom <= y1 <= height
    assert (x1 - x0 == y1 - y0) or x1 - x0 == width or y1 - y0 == height
    share = fading(request.mask, place)
    assert share.shape == request.mask[place].shape and share.min() > 0 and share.max() == 1
    assert share[request.mask[place]].min() >= 0.5
    if y0 == 0:
        assert share[0].max() == 1, "a side of the picture is no seam"


def test_what_comes_back_lies_where_it_was_taken_from() -> None:
    """A method that turns the subject white and finds a corner of what it was shown."""
    request = asked((400, 300), (300, 200, 340, 230))
    request = replace(request, picture=np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    shown: list[EditRequest] = []

    def whitened(bundle: object, request: EditRequest, params: ModelParams, progress: Progress) -> EditResult:
        shown.append(request)
        picture, found = request.picture.copy(), np.zeros_like(request.mask)
        picture[request.mask] = 255
        found[0, 0] = True
        region = edited_region(request.mask, request.scope, request.feather)
        outside = outside_change(picture, request.picture, region)
        return EditResult((Candidate(7, picture, outside),), (), found=found, subject_after=request.mask)

    result = run_in_window(whitened, seeing(64), request, AROUND, silent)
    place = window_in(request, AROUND, 64)
    assert place is not None and corners(place) == (280, 175, 360, 255)
    (seen,) = shown
    assert np.array_equal(seen.picture, request.picture[place]) and np.array_equal(seen.mask, request.mask[place])
    (candidate,) = result.candidates
    expected = request.picture.copy()
    expected[request.mask] = 255
    assert np.array_equal(candidate.picture, expected)
    assert candidate.outside.changed == 0
    region = edited_region(seen.mask, Scope.SUBJECT, request.feather)
    kept = request.mask.size - region.sum() - 1
    assert candidate.outside.kept == kept, "counted in the whole picture, without what the method found of its own"
    assert result.found is not None and np.argwhere(result.found).tolist() == [[175, 280]]
    assert result.subject_after is not None and np.array_equal(result.subject_after, request.mask)


def test_what_changed_all_over_ends_in_no_line() -> None:
    """Everything black, put back into white: from the window's sides it grows dark, step by step."""
    request = asked((400, 300), (180, 130, 220, 170))
    request = replace(request, picture=np.full((300, 400, 3), 255, np.uint8))

    def blackened(bundle: object, request: EditRequest, params: ModelParams, progress: Progress) -> EditResult:
        picture = np.zeros_like(request.picture)
        return EditResult((Candidate(7, picture, outside_change(picture, request.picture, request.mask)),), ())

    candidate = run_in_window(blackened, seeing(64), request, AROUND, silent).candidates[0]
    row = candidate.picture[150, :, 0].astype(int)
    left, right = 160, 240
    assert (row[:left] == 255).all() and (row[right:] == 255).all() and (row[170:230] == 0).all()
    assert np.abs(np.diff(row)).max() <= 255 / 11 + 1
    assert candidate.outside.changed > 0 and candidate.outside.largest == 255


def test_previews_are_shown_in_their_place() -> None:
    heard: list[Picture | None] = []
    picture = np.full((600, 1200, 3), 255, np.uint8)
    place = slice(300, 600), slice(600, 900)

    def keep(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        heard.append(preview)

    tell = placing(keep, picture, place)
    tell("denoise", 1, 2, np.zeros((64, 64, 3), np.uint8))
    tell("denoise", 2, 2)
    shown, nothing = heard
    assert nothing is None and shown is not None and shown.shape == (PREVIEW_SIDE // 2, PREVIEW_SIDE, 3)
    black = np.argwhere((shown == 0).all(-1))
    assert black.min(0).tolist() == [128, 256] and black.max(0).tolist() == [255, 383]
    assert len(black) == 128 * 128
    tiny = placing(keep, picture, (slice(599, 600), slice(1199, 1200)))
    tiny("denoise", 1, 2, np.zeros((64, 64, 3), np.uint8))
    assert heard[-1] is not None and (heard[-1][-1, -1] == 0).all()


# With a model


@pytest.fixture(scope="module")
def engine(model_folders: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """With a CLIP for the method that compares its tries by one."""
    clips = tmp_path_factory.mktemp("clips")
    write_tiny_clip(clips / "tiny-clip")
    return Engine((*model_folders, clips), device="cpu")


def few(name: str) -> ModelParams:
    """A few steps of everything, pasted back, in a window."""
    wanted = {"steps": 3, "embed_steps": 2, "tune_steps": 2, "null_steps": 1, "first_step": 1, "maps": 2}
    params = preset(name, Quality.EXACT, {key: wanted[key] for key in wanted if key in knobs(CATALOG[name].params)})
    assert isinstance(params, ModelParams)
    if hasattr(params, "tuned"):
        params = replace(params, tuned=Tuned.NONE)  # type: ignore[call-arg]
    return replace(params, window=Window.AROUND, paste_back=True)


@pytest.fixture
def small() -> EditRequest:
    """12 x 10 pixels are selected near a corner of a picture of 120 x 90; the tiny model sees 32 x 32."""
    request = asked((120, 90), (100, 6, 112, 16))
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return replace(request, picture=picture, subject="a blue dog", source="a red cat")


@pytest.mark.parametrize("name", BY_MODEL)
def test_every_method_works_in_a_window(engine: Engine, small: EditRequest, name: str) -> None:
    """Auto is that window too: the subject is small. It gives the same bytes twice, of another size than the whole
    picture would; kept pixels are exact, and the settings have a say."""
    params = few(name)
    if not CATALOG[name].reads:
        small = replace(small, subject_reference=small.picture)
    if CATALOG[name].learns:
        small = replace(small, subject_reference=small.picture, background_reference=255 - small.picture)
    place = window_in(small, params, 32)
    assert place is not None and place == window_in(small, replace(params, window=Window.AUTO), 32)
    heard: list[Picture] = []

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        heard.extend([] if preview is None else [preview])

    result = engine.edit(model_for(name), name, small, params, progress)
    again = engine.edit(model_for(name), name, small, replace(params, window=Window.AUTO))
    (candidate,) = result.candidates
    assert np.array_equal(candidate.picture, again.candidates[0].picture)
    outside = np.ones(small.mask.shape, bool)
    outside[place] = False
    assert np.array_equal(candidate.picture[outside], small.picture[outside])
    assert candidate.outside.changed == 0 and candidate.outside.kept > outside.sum()
    assert not np.array_equal(candidate.picture[small.mask], small.picture[small.mask])
    assert {preview.shape for preview in heard} == {small.picture.shape}
    whole = engine.edit(model_for(name), name, small, replace(params, window=Window.WHOLE)).candidates[0]
    wider = engine.edit(model_for(name), name, small, replace(params, context=1.0)).candidates[0]
    assert not np.array_equal(whole.picture, candidate.picture)
    assert not np.array_equal(wider.picture, candidate.picture)
    assert result.weights_before == result.weights_after
    if result.found is not None:
        assert result.found.shape == small.mask.shape and not result.found[outside].any()


@pytest.mark.parametrize("setting", ["match_colour", "grain"])
def test_what_is_asked_for_in_a_window_is_done_there_and_nowhere_else(engine: Engine, setting: str) -> None:
    noise = np.random.default_rng(0).normal(0, 40, (180, 240, 1))  # more than random weights make of anything
    photograph = np.clip(data.coffee()[100:280, 200:440] // 2 + 60 + noise, 0, 255).astype(np.uint8)
    request = replace(asked((240, 180), (100, 80, 140, 110)), picture=photograph)

    def edited(window: Window, when: When) -> Picture:
        params = replace(few("inpaint"), window=window, match_colour=When.NEVER, grain=When.NEVER)
        params = replace(params, **{setting: when})  # type: ignore[arg-type]  # by name
        return engine.edit("tiny", "inpaint", request, params).candidates[0].picture

    there = {when: edited(Window.AROUND, when) for when in When}
    assert np.array_equal(there[When.WINDOW], there[When.ALWAYS])
    assert not np.array_equal(there[When.WINDOW], there[When.NEVER])
    whole = {when: edited(Window.WHOLE, when) for when in When}
    assert np.array_equal(whole[When.WINDOW], whole[When.NEVER])
    assert not np.array_equal(whole[When.ALWAYS], whole[When.NEVER])


def test_the_whole_picture_is_edited_as_it_always_was(engine: Engine, request_for: Build) -> None:
    """Where more than the subject changes, and, unasked, where it is not small."""
    for scope, windows in ((Scope.BOTH, list(Window)), (Scope.SUBJECT, [Window.AUTO, Window.WHOLE])):
        pictures = [
            engine.edit("tiny", "sdedit", request_for(scope=scope), replace(few("sdedit"), window=window))
            for window in windows
        ]
        assert all(np.array_equal(pictures[0].candidates[0].picture, p.candidates[0].picture) for p in pictures)


def test_cancelling_in_a_window_leaves_everything_as_it_was(engine: Engine, small: EditRequest) -> None:
    before = small.picture.copy(), small.mask.copy()
    usual = engine.edit("tiny", "layered", small, few("layered"))

    def stop(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if (stage, step) == ("guidance", 2):
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.edit("tiny", "layered", small, few("layered"), stop)
    assert np.array_equal(small.picture, before[0]) and np.array_equal(small.mask, before[1])
    after = engine.edit("tiny", "layered", small, few("layered"))
    assert np.array_equal(after.candidates[0].picture, usual.candidates[0].picture)


def test_layers_fitted_in_a_window_serve_it_again_and_no_other(engine: Engine, small: EditRequest) -> None:
    params = few("layered")
    assert isinstance(params, LayeredParams)
    fitted = engine.edit("tiny", "layered", small, params)
    heard: list[str] = []

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        heard.append(stage)

    again = engine.edit("tiny", "layered", replace(small, fitted=fitted.fitted), params, progress)
    assert np.array_equal(again.candidates[0].picture, fitted.candidates[0].picture)
    assert set(heard) == {"guidance"}
    keys = [
        fit_key(small, replace(params, window=window, context=context)) for window in Window for context in (0.5, 1.0)
    ]
    assert len(set(keys)) == len(keys)
    assert fit_key(small, replace(params, window=Window.WHOLE)) != fit_key(small, params)


def test_a_subject_that_nothing_surrounds_is_edited_whole(engine: Engine, mask: Mask, request_for: Build) -> None:
    """A window larger than the picture is the picture."""
    request = request_for(scope=Scope.SUBJECT)
    rows, columns = bounds(mask)
    assert max(rows.stop - rows.start, columns.stop - columns.start) * 9 > max(mask.shape)
    wide, whole = (
        engine.edit("tiny", "inpaint", request, replace(few("inpaint"), window=window, context=4.0)).candidates[0]
        for window in (Window.AROUND, Window.WHOLE)
    )
    assert np.array_equal(wide.picture, whole.picture)
