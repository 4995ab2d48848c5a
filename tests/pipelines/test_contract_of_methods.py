"""What every catalogue entry promises, whatever it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.catalog import CATALOG, scope_of, settings
from pipelines.contract import EditRequest, EditResult, Extent, Picture, Quality, Scope
from pipelines.engine import Engine
from pipelines.errors import BadParameter, BadRequest, ModelError, NumericalError, UnknownMethod
from pipelines.masks.refine import grown
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LayeredParams, ModelParams, Params, Tuned, knobs
from pipelines.pasting import small_changes_undone
from pipelines.pictures import SMALLEST_SIDE
from pipelines.progress import Cancelled, Progress, silent
from tests.pipelines.conftest import model_for
from tests.pipelines.training.conftest import write_tiny_clip

METHODS = sorted(CATALOG)
BY_MODEL = [name for name in METHODS if issubclass(CATALOG[name].params, ModelParams)]
"""On diffusion models; what a composer's method promises is in ``compose/test_method_of_composing.py``."""
REDRAWING = [name for name in BY_MODEL if not CATALOG[name].adds_layer]
"""Those that draw the whole picture anew by the model's own network."""
BY_HAND = [name for name in METHODS if not CATALOG[name].needs_model]
AT_WORK = {
    "recolour": {"hue": 120.0},
    "light": {"exposure": 1.0},
    "place": {"right": 0.2},
    "straighten": {"angle": 3.0},
    "crop": {"left": 0.1},
    "extend": {"right": 0.25},
    "resize": {"longer": 60},
}
"""Settings of the methods that do nothing before one is set."""
LAYERED_WAYS = [("layered", tuned) for tuned in Tuned]
WAYS = [(name, None) for name in BY_MODEL if name != "layered"] + LAYERED_WAYS
MODEL = {name: model_for(name) for name in METHODS}
"""One model that each method runs on."""
EVERYWHERE = [
    *((model, *way) for model in ("tiny", "tiny-kl", "tiny-xl") for way in WAYS if MODEL[way[0]] == "tiny"),
    *(("tiny-v", *way) for way in WAYS if MODEL[way[0]] == "tiny" and way[1] in (None, Tuned.UNET)),
    ("tiny-inpainting", "inpaint", None),
    ("tiny-exemplar", "paint-by-example", None),
    ("tiny-inpainting", "text2live", None),
    *(("tiny-instruct", name, None) for name in ("instruct", "grounded", "focus", "zone", "visii")),
    ("tiny-xl-inpainting", "inpaint", None),
    *(("tiny-xl-instruct", name, None) for name in ("instruct", "grounded", "focus", "zone", "visii")),
]
"""Each method on every family that it serves."""


def small_settings(name: str, tuned: Tuned | None = None) -> Params:
    """A few steps of everything."""
    few = {"steps": 4, "embed_steps": 3, "tune_steps": 3, "tune_rate": 1e-3, "null_steps": 2, "inversion_steps": 1}
    few |= {
        "first_step": 1,
        "maps": 2,
        "mask_steps": 2,
        "blend_share": 0.5,
        "decoder_steps": 2,
        "timesteps_per_step": 2,
    }
    few |= {"every": 2, "together": 0.5, "noun_steps": 2} | AT_WORK.get(name, {})
    params = settings(name, Quality.EXACT, {key: few[key] for key in few if key in knobs(CATALOG[name].params)})
    return replace(params, tuned=tuned) if isinstance(params, LayeredParams) and tuned is not None else params


class Recorder:
    """A progress callback that remembers, and may stop the work."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        self.calls: list[tuple[str, int, int]] = []
        self.previews: list[Picture] = []
        self.stop_at = stop_at

    def __call__(self, stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        self.calls.append((stage, step, total))
        if preview is not None:
            self.previews.append(preview)
        if (stage, step) == self.stop_at:
            raise Cancelled


@pytest.fixture
def request_for(
    request_for: Callable[..., EditRequest], picture: Picture, request: pytest.FixtureRequest
) -> Callable[..., EditRequest]:
    """With the pictures that a method cannot do without."""
    called = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    example = {"subject_reference": picture} if called in ("visii", "paint-by-example") else {}
    example |= {"background_reference": 255 - picture} if called == "visii" else {}
    return lambda **changes: request_for(**{**example, **changes})


@pytest.fixture(scope="module")
def folders(model_folders: tuple, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """The tiny models, and a CLIP for the method that compares its tries by one."""
    clips = tmp_path_factory.mktemp("clips")
    write_tiny_clip(clips / "tiny-clip")
    return (*model_folders, clips)


@pytest.fixture(scope="module")
def engine(folders: tuple) -> Engine:
    return Engine(folders, device="cpu")


@pytest.mark.parametrize(("model", "name", "tuned"), EVERYWHERE)
def test_the_same_seed_gives_the_same_bytes(
    engine: Engine, request_for: Callable[..., EditRequest], model: str, name: str, tuned: Tuned | None
) -> None:
    asked, params = request_for(candidates=2), small_settings(name, tuned)
    if not CATALOG[name].draws:
        pictures = [engine.edit(model, name, request_for(seed=s), params).candidates[0].picture for s in (7, 99)]
        assert np.array_equal(*pictures)
        return
    first = engine.edit(model, name, asked, params)
    other = engine.edit(model, name, replace(asked, seed=99, candidates=1), params)
    second = engine.edit(model, name, asked, params)
    for a, b in zip(first.candidates, second.candidates, strict=True):
        assert a.seed == b.seed and np.array_equal(a.picture, b.picture)
    assert [c.seed for c in first.candidates] == [7, 8]
    alone = engine.edit(model, name, replace(asked, seed=8, fit_seed=7, candidates=1), params)
    assert np.array_equal(alone.candidates[0].picture, first.candidates[1].picture)
    assert not np.array_equal(first.candidates[0].picture, first.candidates[1].picture)
    assert not np.array_equal(first.candidates[0].picture, other.candidates[0].picture)
    assert all(np.array_equal(c.picture.shape, asked.picture.shape) for c in first.candidates)
    assert first.weights_before == first.weights_after == second.weights_after != ""


@pytest.mark.parametrize(("name", "tuned"), [*WAYS, *((name, None) for name in BY_HAND)])
def test_progress_never_goes_back_and_ends_at_its_total(
    engine: Engine, request_for: Callable[..., EditRequest], name: str, tuned: Tuned | None
) -> None:
    heard = Recorder()
    asked = request_for(candidates=2 if CATALOG[name].draws else 1)
    if name in BY_HAND:
        asked = replace(asked, background="navy", scope=scope_of(CATALOG[name], asked.scope))
    result = engine.edit(MODEL[name], name, asked, small_settings(name, tuned), heard)
    stages = list(dict.fromkeys(stage for stage, _, _ in heard.calls))
    assert stages == [stage for stage in CATALOG[name].stages if stage in stages], "in the catalogue's order"
    for stage in stages:
        steps = [(step, total) for s, step, total in heard.calls if s == stage]
        assert [step for step, _ in steps] == list(range(1, steps[0][1] + 1))
        assert {total for _, total in steps} == {len(steps)}
    assert [(report.name, report.steps) for report in result.stages] == [
        (stage, sum(s == stage for s, _, _ in heard.calls)) for stage in stages
    ]
    if CATALOG[name].needs_model:  # without one there is nothing to see before it is done
        assert heard.previews
    assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in heard.previews)


def state_of(bundle: ModelBundle) -> dict[str, object]:
    """Everything that an edit may switch and must switch back."""
    modules = [module for part in bundle.modules.values() for module in part.modules()]
    parameters = [p for part in bundle.modules.values() for p in part.parameters()]
    return {
        "checksum": bundle.checksum(),
        "kinds": [type(module) for module in modules],
        "processors": [type(module) for module in bundle.unet.attn_processors.values()],
        "training": [module.training for module in modules],
        "hooks": [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules],
        "requires_grad": [p.requires_grad for p in parameters],
        "gradients": [p.grad for p in parameters],
        "grad_mode": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "generator": torch.random.get_rng_state().tolist(),
    }


STOPS = [
    (name, tuned, stage)
    for name, tuned in WAYS
    for stage in CATALOG[name].stages
    if not (tuned is Tuned.NONE and stage == "fine-tune")
]


@pytest.mark.parametrize(("name", "tuned", "stage"), STOPS)
@pytest.mark.parametrize("error", [Cancelled, RuntimeError])
def test_stopping_at_step_two_of_any_stage_restores_everything(
    load: Callable[[str], ModelBundle],
    folders: tuple,
    request_for: Callable[..., EditRequest],
    name: str,
    tuned: Tuned | None,
    stage: str,
    error: type[Exception],
) -> None:
    bundle = replace(load("tiny-xl" if name == "layered" else MODEL[name]), folders=folders)
    if bundle.text_encoder is not None:
        bundle.embed_texts([""])  # its library puts hooks into XL's text encoders at their first use, for good

    def stop(at: str, step: int, total: int, preview: Picture | None = None) -> None:
        if (at, step) == (stage, 2):
            raise error

    before = state_of(bundle)
    with pytest.raises(error):
        CATALOG[name].resolve()(bundle, request_for(), small_settings(name, tuned), stop)
    assert state_of(bundle) == before


def test_an_edit_after_a_cancelled_one_is_that_of_a_fresh_model(
    engine: Engine, request_for: Callable[..., EditRequest], model_folders: tuple
) -> None:
    params = small_settings("layered", Tuned.UNET)
    with pytest.raises(Cancelled):
        engine.edit("tiny", "layered", request_for(), params, Recorder(stop_at=("fine-tune", 3)))
    after = engine.edit("tiny", "layered", request_for(), params)
    fresh = Engine(model_folders, device="cpu").edit("tiny", "layered", request_for(), params)
    assert np.array_equal(after.candidates[0].picture, fresh.candidates[0].picture)


@pytest.mark.parametrize("name", BY_MODEL)
@pytest.mark.parametrize("scope", list(Scope))
def test_pasted_back_pixels_are_untouched(
    engine: Engine, request_for: Callable[..., EditRequest], name: str, scope: Scope
) -> None:
    scope = scope_of(CATALOG[name], scope)
    asked = request_for(scope=scope)
    params = replace(small_settings(name, Tuned.NONE), paste_back=True)
    candidate = engine.edit(MODEL[name], name, asked, params).candidates[0]
    kept = {
        Scope.SUBJECT: ~asked.mask,
        Scope.BACKGROUND: np.logical_and.reduce(
            [np.roll(asked.mask, by, axis) for axis in (0, 1) for by in (-1, 0, 1)]
        ),
        Scope.BOTH: np.zeros_like(asked.mask),
    }[scope]
    assert (candidate.outside.changed, candidate.outside.largest) == (0, 0)
    if scope is Scope.BACKGROUND:
        more = candidate.outside.kept - kept.sum()
        assert kept.any() and (more > 0 if name == "zone" else more == 0), "all but the outermost pixel"
        assert np.array_equal(candidate.picture[kept], asked.picture[kept])
    elif scope is Scope.SUBJECT:
        assert 0 < candidate.outside.kept < kept.sum(), "the edited region reaches a little over the mask"


@pytest.mark.parametrize("name", REDRAWING)
def test_what_changed_outside_is_measured_when_nothing_is_pasted_back(
    engine: Engine, request_for: Callable[..., EditRequest], name: str
) -> None:
    asked = request_for(scope=Scope.SUBJECT)
    params = replace(small_settings(name, Tuned.NONE), paste_back=False)
    candidate = engine.edit(MODEL[name], name, asked, params).candidates[0]
    difference = np.abs(candidate.picture.astype(int) - asked.picture.astype(int)).max(-1)
    assert candidate.outside.changed > 0.5 * candidate.outside.kept
    assert 0 < candidate.outside.largest <= difference.max()


@pytest.mark.parametrize("name", BY_MODEL)
def test_small_changes_are_undone_only_when_asked(
    engine: Engine, request_for: Callable[..., EditRequest], name: str
) -> None:
    asked, params = request_for(scope=Scope.BOTH), replace(small_settings(name, Tuned.NONE), paste_back=False)
    usual = engine.edit(MODEL[name], name, asked, params).candidates[0].picture
    assert params.residual == 0
    typical = float(np.abs(usual.astype(int) - asked.picture).mean())
    some, all_of_it = (
        engine.edit(MODEL[name], name, asked, replace(params, residual=levels)).candidates[0].picture
        for levels in (typical, 255.0)
    )
    assert np.array_equal(some, small_changes_undone(usual, asked.picture, typical))
    assert 0 < (some != usual).any(-1).mean() < 1
    assert np.array_equal(all_of_it, asked.picture)


BAD_REQUESTS = {
    "too small": ({"picture": np.zeros((8, 40, 3), np.uint8), "mask": np.ones((8, 40), bool)}, "at least 16 pixels"),
    "too long": ({"picture": np.zeros((20, 200, 3), np.uint8), "mask": np.ones((20, 200), bool)}, "Crop it"),
    "mask of another size": ({"mask": np.ones((40, 32), bool)}, r"\(32, 40\)"),
    "grey picture": ({"picture": np.zeros((32, 40), np.uint8)}, r"\(H, W, 3\)"),
    "no text": ({"subject": " ", "background": ""}, "both texts are empty"),
    "no subject text": ({"subject": "", "scope": Scope.SUBJECT}, "what the subject becomes"),
    "no background text": ({"background": "", "scope": Scope.BACKGROUND}, "what the background becomes"),
    "endless text": ({"subject": "a" * 2000}, "Say it shorter"),
    "no candidates": ({"candidates": 0}, "candidates must be between 1 and"),
    "negative seed": ({"seed": -1}, "the seed must be"),
    "huge feather": ({"feather": 1e3}, "the feather must be"),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    # What needs no model says with its settings what it does, so no text is missing.
    # Neither is one beside an example, or where none is read.
    [
        (name, fault)
        for name in METHODS
        for fault in BAD_REQUESTS
        if (name in BY_MODEL and name not in ("visii", "paint-by-example"))
        or not fault.startswith("no ")
        or fault == "no candidates"
    ],
)
def test_a_bad_request_is_refused_before_anything_is_loaded(
    request_for: Callable[..., EditRequest], name: str, fault: str
) -> None:
    changes, message = BAD_REQUESTS[fault]
    with pytest.raises(BadRequest, match=message):
        Engine((), device="cpu").edit("tiny", name, request_for(**changes), small_settings(name))


@pytest.mark.parametrize("name", [name for name in METHODS if CATALOG[name].needs_mask])
@pytest.mark.parametrize(("value", "message"), [(False, "nothing is selected"), (True, "no background left")])
def test_an_empty_or_full_mask_is_refused(
    engine: Engine, request_for: Callable[..., EditRequest], name: str, value: bool, message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        engine.edit(MODEL[name], name, request_for(mask=np.full((32, 40), value)), small_settings(name))


@pytest.mark.parametrize("name", [name for name in METHODS if not CATALOG[name].draws])
def test_several_candidates_of_a_method_that_draws_nothing_are_refused(
    engine: Engine, request_for: Callable[..., EditRequest], name: str
) -> None:
    with pytest.raises(BadRequest, match="draws nothing at random, so 2 candidates would be one picture; ask for 1"):
        engine.edit(MODEL[name], name, request_for(candidates=2), small_settings(name))


def test_unknown_names_and_settings_of_another_method_are_refused(
    engine: Engine, request_for: Callable[..., EditRequest]
) -> None:
    with pytest.raises(UnknownMethod, match="layered"):
        engine.edit("tiny", "magic", request_for(), small_settings("sdedit"))
    with pytest.raises(
        ModelError, match="found: tiny, tiny-exemplar, tiny-inpainting, tiny-instruct, tiny-kl, tiny-v, tiny-xl, "
    ):
        engine.edit("../tiny", "sdedit", request_for(), small_settings("sdedit"))
    with pytest.raises(BadParameter, match="takes SDEditParams; got InpaintParams"):
        engine.edit("tiny", "sdedit", request_for(), small_settings("inpaint"))


@pytest.mark.parametrize("name", REDRAWING)
def test_numbers_that_are_not_finite_stop_the_edit(
    folders: tuple, load: Callable[[str], ModelBundle], request_for: Callable[..., EditRequest], name: str
) -> None:
    broken = replace(load(MODEL[name]), folders=folders)
    with torch.no_grad():
        broken.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(NumericalError, match="nothing of it kept"):
        CATALOG[name].resolve()(broken, request_for(), small_settings(name))


def test_a_runaway_rate_is_stopped_and_leaves_no_trace(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    before = bundle.checksum()
    # Far beyond what `checked` lets through: a rate of 1 diverges on some processors and only wanders on others.
    params = replace(small_settings("layered", Tuned.UNET), tune_rate=1e30, tune_steps=4)
    with pytest.raises(NumericalError):
        CATALOG["layered"].resolve()(bundle, request_for(picture=np.full((32, 40, 3), 255, np.uint8)), params)
    assert bundle.checksum() == before


@pytest.mark.parametrize("name", METHODS)
def test_every_preset_is_valid(name: str) -> None:
    for quality in Quality:
        assert isinstance(settings(name, quality), CATALOG[name].params)
    shared = {name: getattr(LayeredParams, name) for name in knobs(ModelParams)}
    exact = replace(settings("layered", Quality.EXACT), **shared)
    assert exact == LayeredParams(), "exact is the paper's numbers"


@pytest.mark.parametrize("name", [name for name in REDRAWING if CATALOG[name].reads])
def test_the_texts_that_the_model_reads_are_joined_as_the_catalogue_says(
    name: str,
    load: Callable[[str], ModelBundle],
    folders: tuple,
    request_for: Callable[..., EditRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    embed = ModelBundle.embed_texts

    def noted(bundle: ModelBundle, texts: Sequence[str]) -> PromptEmbeds:
        read.extend(texts)
        return embed(bundle, texts)

    monkeypatch.setattr(ModelBundle, "embed_texts", noted)
    bundle = replace(load(MODEL[name]), folders=folders)
    CATALOG[name].resolve()(bundle, request_for(), small_settings(name))
    joint, each = CATALOG[name].joint, {"a blue dog", "in a forest"}
    wanted = each if joint is None else {f"a blue dog{joint}in a forest"}
    wanted |= each if name in ("focus", "oir") else set()  # each in its place first, and then both everywhere
    assert set(filter(None, read)) == wanted


# What needs no model


def by_hand(name: str, asked: EditRequest, heard: Progress = silent) -> EditResult:
    """By an engine that finds no model anywhere."""
    return Engine((), device="cpu").edit("nothing", name, asked, small_settings(name), heard)


def colourful(request_for: Callable[..., EditRequest], **changes: object) -> EditRequest:
    """A background that a colour can be read from, for the method that reads it."""
    return request_for(**{"background": "navy to #ffcc88", **changes})


def promised(name: str, picture: Picture) -> tuple[int, int, int]:
    """The shape that the catalogue says comes of `picture`."""
    reframes = CATALOG[name].reframes
    extent = Extent.of(picture) if reframes is None else reframes(small_settings(name), Extent.of(picture)).extent
    return (extent.height, extent.width, 3)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("scope", list(Scope))
def test_by_hand_the_same_bytes_come_whatever_the_seed_and_kept_pixels_are_exact(
    request_for: Callable[..., EditRequest], name: str, scope: Scope
) -> None:
    asked = colourful(request_for, scope=scope_of(CATALOG[name], scope))
    before = asked.picture.copy()
    (first,), (second,) = (by_hand(name, replace(asked, seed=seed)).candidates for seed in (7, 99))
    assert np.array_equal(first.picture, second.picture) and not np.array_equal(first.picture, before)
    assert first.picture.shape == promised(name, before) and first.picture.dtype == np.uint8
    assert np.array_equal(asked.picture, before), "what it was given is left alone"
    if first.picture.shape != before.shape:  # nothing of it lies where it lay
        return
    assert (first.outside.changed, first.outside.largest) == (0, 0)
    deep = grown(~asked.mask if asked.scope is Scope.SUBJECT else asked.mask, -5)
    if asked.scope is not Scope.BOTH and name != "backdrop":  # which gives the subject its light
        assert deep.any() and np.array_equal(first.picture[deep], before[deep])
        assert first.outside.kept >= deep.sum()


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand_a_picture_of_any_size_gets_the_size_that_is_promised(
    request_for: Callable[..., EditRequest], name: str
) -> None:
    for height, width in ((16, 16), (21, 61), (301, 97)):
        mask = np.zeros((height, width), bool)
        mask[3 : height - 4, 4 : width - 3] = True
        picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        asked = colourful(request_for, picture=picture, mask=mask, scope=scope_of(CATALOG[name], Scope.BOTH))
        if min(promised(name, picture)[:2]) < SMALLEST_SIDE:
            with pytest.raises(BadRequest, match=str(SMALLEST_SIDE)):
                by_hand(name, asked)
            continue
        assert by_hand(name, asked).candidates[0].picture.shape == promised(name, picture)


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand_stopping_leaves_no_trace(request_for: Callable[..., EditRequest], name: str) -> None:
    asked = colourful(request_for, scope=scope_of(CATALOG[name], Scope.SUBJECT))
    before = asked.picture.copy(), asked.mask.copy()
    with pytest.raises(Cancelled):
        by_hand(name, asked, Recorder(stop_at=("picture", 1)))
    assert np.array_equal(asked.picture, before[0]) and np.array_equal(asked.mask, before[1])


def test_by_hand_settings_of_another_method_are_refused(request_for: Callable[..., EditRequest]) -> None:
    with pytest.raises(BadParameter, match="recolour takes RecolourParams; got LightParams"):
        Engine((), device="cpu").edit("nothing", "recolour", request_for(), small_settings("light"))


def test_by_hand_no_torch_is_imported() -> None:
    lines = [
        "import sys, numpy as np",
        "from pipelines.catalog import CATALOG",
        "from pipelines.contract import EditRequest, Scope",
        "from pipelines.hand.run import run_by_hand",
        "picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)",
        "mask = np.zeros((64, 64), bool); mask[20:44, 20:44] = True",
        f"settings = {AT_WORK!r}",
        "for entry in CATALOG.values():",
        "    if not entry.needs_model:",
        "        said = dict(subject='', background='navy', scope=entry.changes or Scope.SUBJECT, seed=7)",
        "        asked = EditRequest(picture=picture, mask=mask, **said)",
        "        run_by_hand(entry, asked, entry.params(**settings.get(entry.name, {})))",
        "print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
