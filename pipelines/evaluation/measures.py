"""The catalogue of measures: what each is called, where its values lie, which way is better, and what it needs.

They are those of the survey of instruction-guided editing (Nguyen et al. 2024), Table 6, that need no people and no
network trained to judge. Each takes the `Trial`s of one method and gives one figure, or ``None`` where nothing of what
it needs is there. The models are given as `Tools`, so this file imports no torch.

Left out of that table: what people say (user studies, the Turing test, clicks), scores of a GAN's discriminator and of
Inception's classes, and the matching of poses, for which nothing here is trained.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture, Scope
from pipelines.evaluation.metrics import MOST_DB, distance, kept_region, overlap, psnr, variety
from pipelines.evaluation.similarity import GREY, Embed, isolated, similarities, ssim_map

SURVEY = "Nguyen et al., Instruction-Guided Editing Controls for Images and Multimedia: A Survey, 2024, Table 6"
BINS = 4
"""Of each channel, in the distribution of colours that an edit's diversity is taken from."""
TOLERANCE = 2
"""Pixels that an outline may be off and still be followed."""


@dataclass(frozen=True)
class Requirement:
    """One thing that must be true of the result, and what the reader saw instead or as well."""

    name: str
    wanted: str
    read: str | None
    asked: bool
    """By the texts; else it had to stay."""

    @property
    def met(self) -> bool:
        return self.read == self.wanted


@dataclass(frozen=True, eq=False)
class Trial:
    """One edit and all that is known of it. Pictures are ``(H, W, 3) uint8``, masks ``(H, W) bool``, of one size."""

    before: Picture
    after: Picture | None
    """``None`` where the edit was refused or failed."""
    scope: Scope
    subject: Mask
    """Where the subject truly is in `before`."""
    requirements: tuple[Requirement, ...]
    """As the reader, which no editor ever sees, answered each in `after`."""
    says_before: str = ""
    """What `before` shows, in words."""
    says_after: str = ""
    """What the result is to show, in words."""
    used: Mask | None = None
    """What the method was told is the subject."""
    target: Picture | None = None
    """A right answer."""
    target_subject: Mask | None = None
    """Where the subject is in it."""
    found: Mask | None = None
    """Where a segmenter finds the subject in `after`."""
    others: tuple[Picture, ...] = ()
    """What other seeds gave."""
    readings: tuple[Mapping[str, str | None], ...] = ()
    """What the reader saw in `after` and in each of `others`."""
    of_noisy: Picture | None = None
    """What the same request gave of `before` with noise on it."""

    @property
    def kept(self) -> Mask:
        """What had to stay, a seam of it left out; empty where both parts were to change."""
        return kept_region(self.subject, self.scope)

    @property
    def changed(self) -> Mask:
        """What was to change."""
        if self.scope is Scope.BOTH:
            return np.ones_like(self.subject)
        return self.subject if self.scope is Scope.SUBJECT else np.asarray(~self.subject)


EmbedTexts = Callable[[Sequence[str]], NDArray[np.float32]]
"""The text half of a CLIP: ``(N, D) float32`` of length 1, in the space of the picture half."""


class Perceptual(Protocol):
    """LPIPS with one network's weights."""

    name: str

    def __call__(self, a: Picture, b: Picture) -> float: ...


@dataclass(frozen=True)
class Tools:
    """The models that measures need; what is ``None`` is not at hand."""

    pictures: Embed | None = None
    texts: EmbedTexts | None = None
    """Of the same CLIP as `pictures`."""
    perceptual: Perceptual | None = None


class Better(StrEnum):
    """Which way a measure is read."""

    HIGHER = "higher is better"
    LOWER = "lower is better"
    NEITHER = "neither way is better by itself"


class Need(StrEnum):
    """What a measure cannot do without, in words for a person."""

    NOTHING = "the edits alone"
    TARGET = "a right answer of each edit"
    READER = "a reader of attributes"
    SEGMENTER = "a segmenter's mask of the result"
    CANDIDATES = "several seeds of each edit: --candidates"
    NOISE = "each edit once more from a noisy picture: --noise"
    CLIP = "a CLIP that knows such pictures, with its text half"
    LPIPS = "LPIPS's network"


@dataclass(frozen=True)
class Measure:
    """One entry."""

    name: str
    title: str
    low: float
    """The least value that there is."""
    high: float
    """The largest; infinite where there is none."""
    better: Better
    needs: Need
    of: Callable[[Sequence[Trial], Tools], float | None]
    """Its docstring has the formula and the source."""
    unit: str = ""


def _mean(values: Iterable[float | None]) -> float | None:
    """Over those that there are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _done(trials: Sequence[Trial]) -> list[tuple[Trial, Picture]]:
    return [(trial, trial.after) for trial in trials if trial.after is not None]


# ---------------------------------------------------------------------------------------------- what had to stay


def psnr_outside(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``10 log10(255^2 / MSE)`` of the kept part against the picture before: 0 to 60 dB, higher is better.

    The survey's Table 6, PSNR, over `Trial.kept`; equal parts count as 60.
    """
    return _mean(psnr(trial.before, after, trial.kept) for trial, after in _done(trials))


def ssim_outside(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(2 mu_x mu_y + C1) (2 cov + C2) / ((mu_x^2 + mu_y^2 + C1) (var_x + var_y + C2))``
    around each pixel of the kept part, to the picture before: -1 to 1, higher is better.

    Wang et al. 2004, Eq. 13, as `pipelines.evaluation.similarity.ssim_map` has it, averaged over `Trial.kept`.
    """
    return _mean(_ssim(trial.before, after, trial.kept) for trial, after in _done(trials))


def _ssim(a: Picture, b: Picture, region: Mask) -> float | None:
    return float(ssim_map(a, b)[region].mean()) if region.any() else None


def lpips_outside(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``sum_l mean_hw ||w_l (f_l(x) - f_l(x'))||^2`` of the kept part against the picture before: from 0 on, lower is
    better.

    LPIPS, Zhang et al. 2018, Eq. 1, by the library torchmetrics. What was to change is grey in both pictures.
    """
    net = tools.perceptual
    if net is None:
        return None
    return _mean(
        net(_showing(trial.before, trial.kept), _showing(after, trial.kept))
        for trial, after in _done(trials)
        if trial.kept.any()
    )


def _showing(picture: Picture, region: Mask) -> Picture:
    """`picture` with grey where `region` is not."""
    return np.where(region[..., None], picture, np.uint8(GREY))


def reconstruction_error(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``||x - x^||_2 / sqrt(n)`` over the n values of the kept part: 0 to 255 levels, lower is better.

    The survey's Table 6, Reconstruction Error, a value: what a method gives back of what it was told to leave. It is
    PSNR in levels instead of on a logarithm's scale, and equal parts are 0.
    """
    return _mean(
        root_mean_square(trial.before, after, trial.kept) for trial, after in _done(trials) if trial.kept.any()
    )


def root_mean_square(a: Picture, b: Picture, region: Mask) -> float:
    """Of the difference over `region` (not empty), in levels of 0 to 255."""
    return float(np.sqrt(np.square(a[region].astype(np.float64) - b[region]).mean()))


def scene_consistency(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``(1/N) sum_i Sim(x_edit, x_orig)`` of the background, where it had to stay: -1 to 1, higher is better.

    The survey's Table 6, Scene Consistency; Sim is the cosine of the CLIP's embeddings, the subject hidden.
    """
    some = [(trial, after) for trial, after in _done(trials) if trial.scope is Scope.SUBJECT and trial.kept.any()]
    if tools.pictures is None or not some:
        return None
    before, after_ = zip(
        *((isolated(trial.before, trial.kept), isolated(after, trial.kept)) for trial, after in some), strict=True
    )
    return _mean(similarities(tools.pictures, before, after_))


def shape_consistency(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i IoU(S_edit, S_orig)`` where a right answer has the shape that there was: 0 to 1, higher is better.

    The survey's Table 6, Shape Consistency; S_edit is what the segmenter finds. Another kind of thing, or one that
    jumps, has another shape and is not counted.
    """
    return _mean(
        overlap(trial.found, trial.subject)
        for trial in trials
        if trial.found is not None
        and trial.target_subject is not None
        and np.array_equal(trial.target_subject, trial.subject)
    )


# --------------------------------------------------------------------------------------------- against the truth


def psnr_inside(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``10 log10(255^2 / MSE)`` of the subject that was asked for against the right answer's: 0 to 60 dB, higher is
    better.

    The survey's Table 6, PSNR, within `Trial.target_subject`. A new background has many right answers and is left out.
    """
    return _mean(psnr(after, target, where) for after, target, where in _asked_subjects(trials))


def ssim_inside(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(2 mu_x mu_y + C1) (2 cov + C2) / ((mu_x^2 + mu_y^2 + C1) (var_x + var_y + C2))``
    around each pixel of the subject that was asked for, to the right answer's: -1 to 1, higher is better.

    Wang et al. 2004, Eq. 13, within `Trial.target_subject`.
    """
    return _mean(_ssim(after, target, where) for after, target, where in _asked_subjects(trials))


def _asked_subjects(trials: Sequence[Trial]) -> list[tuple[Picture, Picture, Mask]]:
    return [
        (after, trial.target, trial.target_subject)
        for trial, after in _done(trials)
        if trial.scope is not Scope.BACKGROUND and trial.target is not None and trial.target_subject is not None
    ]


def frechet(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``||mu_r - mu_g||^2 + Tr(S_r + S_g - 2 (S_r S_g)^(1/2))`` of the features of right answers r and results g: from
    0 on, lower is better.

    FID, Heusel et al. 2017, Eq. 6, by torchmetrics, on the features of the CLIP at hand (Kynkäänniemi et al. 2023) and
    not Inception's: only figures of one CLIP and one number of pictures can be compared.
    """
    return _between_sets("frechet_distance", trials, tools)


def kernel(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``MMD^2`` with the kernel ``(x.y / d + 1)^3`` between the features of right answers and results; about 0 for
    equal distributions and, being unbiased, below it by chance; lower is better.

    KID, Bińkowski et al. 2018, section 3.1, by torchmetrics, on the features of the CLIP at hand.
    """
    return _between_sets("kernel_distance", trials, tools)


def _between_sets(function: str, trials: Sequence[Trial], tools: Tools) -> float | None:
    pairs = [(trial.target, after) for trial, after in _done(trials) if trial.target is not None]
    if tools.pictures is None or len(pairs) < 2:
        return None
    real, made = zip(*pairs, strict=True)
    library = importlib.import_module("pipelines.evaluation.perceptual")  # brings torch, so only when it runs
    found: float = getattr(library, function)(tools.pictures(real), tools.pictures(made))
    return found


def embedding_similarity(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``v_x . v_x' / (|v_x| |v_x'|)`` of the result and the right answer: -1 to 1, higher is better.

    The survey's Table 6, Embedding Space Similarity (CLIP-I), by the CLIP at hand.
    """
    pairs = [(trial.target, after) for trial, after in _done(trials) if trial.target is not None]
    if tools.pictures is None or not pairs:
        return None
    real, made = zip(*pairs, strict=True)
    return _mean(similarities(tools.pictures, real, made))


def mean_iou(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i |A_i and B_i| / |A_i or B_i|`` of the mask that was used and the true one: 0 to 1, higher is
    better.

    The survey's Table 6, mIoU.
    """
    return _mean(overlap(trial.used, trial.subject) for trial in trials if trial.used is not None)


def mask_accuracy(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(TP + TN) / (TP + FP + FN + TN)`` of the pixels of the mask that was used: 0 to 1, higher is better.

    The survey's Table 6, Mask Accuracy.
    """
    return _mean(float((trial.used == trial.subject).mean()) for trial in trials if trial.used is not None)


def boundary_adherence(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``|B_edit and B_target| / |B_target|`` of the subject's outline: 0 to 1, higher is better.

    The survey's Table 6, Boundary Adherence. B_target is the right answer's, B_edit what the segmenter finds in the
    result, `TOLERANCE` pixels wide to either side.
    """
    return _mean(
        followed(trial.found, trial.target_subject)
        for trial in trials
        if trial.found is not None and trial.target_subject is not None
    )


def outline(mask: Mask) -> Mask:
    """The pixels of `mask` that touch one outside of it, by an edge; the picture's border is no outline."""
    inner = cv2.erode(
        mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(mask & (inner == 0))


def followed(edit: Mask, target: Mask, tolerance: int = TOLERANCE) -> float | None:
    """Share of the outline of `target` that lies within `tolerance` pixels of that of `edit`; ``None`` where it has
    none."""
    wanted = outline(target)
    if not wanted.any():
        return None
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    near = cv2.dilate(outline(edit).astype(np.uint8), reach) > 0
    return float(near[wanted].mean())


# --------------------------------------------------------------------------------------------- what was asked for


def success_rate(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``successful edits / all edits``, where everything asked and everything kept is right: 0 to 1, higher is better.

    The survey's Table 6, Edit Success Rate.
    """
    return _mean(float(all(need.met for need in trial.requirements)) for trial in trials)


def requirements_followed(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i followed_i / total_i`` over the requirements of each edit: 0 to 1, higher is better.

    DRFR, the decomposed requirements following ratio (Qin et al. 2024); the reader answers one question an attribute,
    those that had to stay included.
    """
    return _mean(_share(trial.requirements) for trial in trials)


def target_grounding(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``correct targets / all targets`` over the attributes that all texts together ask for: 0 to 1, higher is better.

    The survey's Table 6, Target Grounding Accuracy.
    """
    return _share([need for trial in trials for need in trial.requirements if need.asked])


def _share(requirements: Sequence[Requirement]) -> float | None:
    return _mean(float(need.met) for need in requirements)


def edit_consistency(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i 1{E_i = E_ref}``: how often another seed comes out as the first did, as it is read: 0 to 1, higher
    is better.

    The survey's Table 6, Edit Consistency, with seeds for its similar prompts.
    """
    return _mean(float(reading == trial.readings[0]) for trial in trials for reading in trial.readings[1:])


def text_alignment(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``cos(E_I(x'), E_T(y'))`` of the result and the text of what it is to show: -1 to 1, higher is better.

    The CLIP score of LayerDiffusion's Table 1 (Hessel et al. 2021, without its factor 2.5).
    """
    done = _done(trials)
    if tools.pictures is None or tools.texts is None or not done:
        return None
    seen = tools.pictures([after for _, after in done])
    said = tools.texts([trial.says_after for trial, _ in done])
    return _mean(cosine(a, b) for a, b in zip(seen, said, strict=True))


def directional_similarity(trials: Sequence[Trial], tools: Tools) -> float | None:
    """``cos(E_I(x') - E_I(x), E_T(y') - E_T(y))``: did the picture change as the words did? -1 to 1, higher is better.

    Directional CLIP, Gal et al. 2022 (StyleGAN-NADA), Eq. 2, as a similarity; 0 where the picture did not change.
    """
    done = _done(trials)
    if tools.pictures is None or tools.texts is None or not done:
        return None
    before, after = (
        tools.pictures(pictures) for pictures in ([trial.before for trial, _ in done], [after for _, after in done])
    )
    said, says = tools.texts([t.says_before for t, _ in done]), tools.texts([t.says_after for t, _ in done])
    return _mean(cosine(a, b) for a, b in zip(after - before, says - said, strict=True))


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two vectors, -1 to 1; 0 where one of them has no length."""
    length = float(np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64)))
    return max(-1.0, min(1.0, float(a.astype(np.float64) @ b) / length)) if length else 0.0


# --------------------------------------------------------------------------------------- other seeds, other noise


def candidates_apart(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``2 / (N (N - 1)) sum_i<j mean |x_i - x_j|`` over the N seeds where the picture was to change: 0 to 255 levels;
    neither way is better by itself.

    `pipelines.evaluation.metrics.variety`, ours. Near 0 a second seed is not worth its time; far apart, the request
    leaves much open.
    """
    return _mean(variety([after, *trial.others], trial.changed) for trial, after in _done(trials))


def edit_diversity(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i D_KL(p_i || p_mean)`` over the seeds of each edit: 0 to ln N nats; neither way is better by itself.

    The survey's Table 6, Edit Diversity. It leaves open what p is; here it is the distribution of colours where the
    picture was to change, in `BINS` steps a channel.
    """
    return _mean(
        divergence(np.stack([colours(picture[trial.changed]) for picture in (after, *trial.others)]))
        for trial, after in _done(trials)
        if trial.others and trial.changed.any()
    )


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of each of ``BINS ** 3`` colours among `pixels` ``(N, 3)``, N at least 1."""
    r, g, b = (pixels.astype(np.int64) * BINS // 256).T
    return np.bincount((r * BINS + g) * BINS + b, minlength=BINS**3) / len(pixels)


def divergence(p: NDArray[np.float64]) -> float:
    """``(1/N) sum_i D_KL(p_i || p_mean)`` in nats of `p` ``(N, K)``, whose rows add up to 1; 0 to ln N."""
    ratio = np.divide(p, p.mean(0), out=np.ones_like(p), where=p > 0)
    return max(0.0, float((p * np.log(ratio)).sum(1).mean()))


def noise_robustness(trials: Sequence[Trial], tools: Tools) -> float | None:  # noqa: ARG001
    """``(1/N) sum_i |M(x_i) - M(x_i, noisy)|``, a pixel's value: 0 to 255 levels, lower is better.

    The survey's Table 6, Noise Robustness: how far an edit comes out otherwise when there is noise on its picture.
    """
    return _mean(
        distance(after, trial.of_noisy, np.ones_like(trial.subject))
        for trial, after in _done(trials)
        if trial.of_noisy is not None
    )


UP, DOWN, EITHER = Better.HIGHER, Better.LOWER, Better.NEITHER
FAR = float("inf")

MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure("success", "Edit success rate", 0, 1, UP, Need.READER, success_rate),
        Measure("drfr", "Requirements followed (DRFR)", 0, 1, UP, Need.READER, requirements_followed),
        Measure("grounding", "Target grounding accuracy", 0, 1, UP, Need.READER, target_grounding),
        Measure("clip-text", "CLIP of the text and the result", -1, 1, UP, Need.CLIP, text_alignment),
        Measure("clip-direction", "Directional CLIP", -1, 1, UP, Need.CLIP, directional_similarity),
        Measure("clip-picture", "CLIP of the right answer and the result", -1, 1, UP, Need.CLIP, embedding_similarity),
        Measure("fid", "FID on the CLIP's features", 0, FAR, DOWN, Need.CLIP, frechet),
        Measure("kid", "KID on the CLIP's features", -FAR, FAR, DOWN, Need.CLIP, kernel),
        Measure("psnr-inside", "PSNR of the subject", 0, MOST_DB, UP, Need.TARGET, psnr_inside, "dB"),
        Measure("ssim-inside", "SSIM of the subject", -1, 1, UP, Need.TARGET, ssim_inside),
        Measure("boundary", "Boundary adherence", 0, 1, UP, Need.SEGMENTER, boundary_adherence),
        Measure("psnr-outside", "PSNR of the kept part", 0, MOST_DB, UP, Need.NOTHING, psnr_outside, "dB"),
        Measure("ssim-outside", "SSIM of the kept part", -1, 1, UP, Need.NOTHING, ssim_outside),
        Measure("lpips-outside", "LPIPS of the kept part", 0, FAR, DOWN, Need.LPIPS, lpips_outside),
        Measure("reconstruction", "Reconstruction error", 0, 255, DOWN, Need.NOTHING, reconstruction_error, "levels"),
        Measure("scene", "Scene consistency", -1, 1, UP, Need.CLIP, scene_consistency),
        Measure("shape", "Shape consistency", 0, 1, UP, Need.SEGMENTER, shape_consistency),
        Measure("miou", "mIoU of the mask", 0, 1, UP, Need.NOTHING, mean_iou),
        Measure("mask-accuracy", "Accuracy of the mask", 0, 1, UP, Need.NOTHING, mask_accuracy),
        Measure("consistency", "Edit consistency over seeds", 0, 1, UP, Need.CANDIDATES, edit_consistency),
        Measure("apart", "Distance between seeds", 0, 255, EITHER, Need.CANDIDATES, candidates_apart, "levels"),
        Measure("diversity", "Edit diversity over seeds", 0, FAR, EITHER, Need.CANDIDATES, edit_diversity, "nats"),
        Measure("noise", "Change under noise", 0, 255, DOWN, Need.NOISE, noise_robustness, "levels"),
    )
}


def measured(trials: Sequence[Trial], tools: Tools) -> dict[str, float | None]:
    """Every measure of `MEASURES` by name."""
    return {name: measure.of(trials, tools) for name, measure in MEASURES.items()}
