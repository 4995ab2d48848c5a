"""Something else behind the subject, or what is there out of focus and dimmed. No torch here."""

from __future__ import annotations

import re

import cv2
import numpy as np
from PIL import ImageColor

from pipelines.contract import EditRequest, Extent, Mask, Picture
from pipelines.errors import BadRequest
from pipelines.hand.changed import Changed, Share, mixed, subject_share
from pipelines.hand.colour import LUMA, exposed, saturated
from pipelines.hand.params import BackdropParams, DefocusParams, Fit
from pipelines.masks.matting import foreground
from pipelines.params import Edge

BLURRED_AT = 4.0
"""Pixels of sigma at which a blur is done: a wider one on a smaller picture, which looks the same."""
SEEN = 512
"""Pixels of the longer side at which colours are compared."""
LEAST_TO_MATCH = 64
"""Pixels of a subject: from fewer no light can be told."""

OPPONENT = np.array([LUMA, [1, -1, 0], [0.5, 0.5, -1]])
"""From red, green and blue to luma, red against green, and yellow against blue."""

Colour = tuple[int, int, int]


def backdrop(request: EditRequest, params: BackdropParams) -> Changed:
    """The catalogue entry: the request's background reference behind its subject, or the colours that its background
    text names. Raises `BadRequest` where there is neither, and where the subject is too small to be matched."""
    picture, mask = request.picture, request.mask
    if request.background_reference is not None:
        behind = fitted(request.background_reference, Extent.of(picture), params.fit)
        behind = blurred(behind, params.blur * max(picture.shape[:2]))
    else:
        behind = gradient(colours_of(request.background), Extent.of(picture), params.angle)
    if params.match and np.count_nonzero(mask) < LEAST_TO_MATCH:
        raise BadRequest(
            f"the subject has {np.count_nonzero(mask)} pixels, which say too little of its light to match it; select "
            "more of it, or set match=0"
        )
    share = subject_share(request, params.edge)
    front = picture if params.edge is Edge.HARD else foreground(picture, share)
    if params.match:
        front = matched(front, mask, behind, params.match)
    region = np.ones(mask.shape, np.bool_) if params.match else share < 1
    return Changed(mixed(front, behind, share), region)


def defocus(request: EditRequest, params: DefocusParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the background as it is."""
    if (params.blur, params.exposure, params.saturation) == (0.0, 0.0, 1.0):
        raise BadRequest("every setting leaves the background as it is; set blur, exposure or saturation")
    picture = request.picture
    share = subject_share(request, params.edge)
    sigma = params.blur * max(picture.shape[:2])
    behind = blurred(picture, sigma, 1 - share) if sigma else picture
    behind = saturated(exposed(behind, params.exposure), params.saturation)
    front = picture if params.edge is Edge.HARD else foreground(picture, share)
    return Changed(mixed(front, behind, share), share < 1)


def colours_of(text: str) -> tuple[Colour, Colour]:
    """The two colours that `text` names, ``navy to white``, or one of them twice; each as CSS writes it. Raises
    `BadRequest`."""
    named = re.split(r"\s+to\s+", text.strip())
    try:
        found = [ImageColor.getrgb(name)[:3] for name in named]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 2:
        raise BadRequest(
            "give a picture for the background, or name a colour or two: like navy, #204060 or navy to white; got "
            f"{text.strip()!r:.60}"
        )
    first, last = (tuple(min(255, int(level)) for level in found[at]) for at in (0, -1))  # rgb(300, 0, 0) is read too
    return (first[0], first[1], first[2]), (last[0], last[1], last[2])


def gradient(colours: tuple[Colour, Colour], extent: Extent, angle: float) -> Picture:
    """The first colour running into the second along `angle` degrees (0 to the right, 90 upwards), ``(H, W, 3)``.

    In levels, as screens and pages do it, and with half a level of noise that is always the same, so that no bands
    are seen.
    """
    result = np.empty((extent.height, extent.width, 3), np.uint8)
    if colours[0] == colours[1]:
        result[:] = colours[0]
        return result
    along = np.array([np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle))], np.float32)
    x = (np.arange(extent.width, dtype=np.float32) + 0.5 - extent.width / 2) * along[0]
    y = (np.arange(extent.height, dtype=np.float32) + 0.5 - extent.height / 2) * along[1]
    reach = np.float32(max(extent.width * abs(along[0]) + extent.height * abs(along[1]), 1) / 2)
    share = (x[None, :] + y[:, None]) / (2 * reach) + np.float32(0.5)
    noise = np.random.default_rng(0).random((64, 64), np.float32) - np.float32(0.5)
    tiles = (-(-extent.height // 64), -(-extent.width // 64))
    noise = np.tile(noise, tiles)[: extent.height, : extent.width]
    for channel, (first, last) in enumerate(zip(*colours, strict=True)):
        result[..., channel] = cv2.convertScaleAbs(np.clip(share * (last - first) + first + noise, 0, 255))
    return result


def fitted(picture: Picture, extent: Extent, fit: Fit) -> Picture:
    """`picture` at `extent`."""
    own = Extent.of(picture)
    size = (extent.width, extent.height)
    if fit is Fit.STRETCH or own == extent:
        return _resized(picture, size)
    covers = max(extent.width / own.width, extent.height / own.height)
    width, height = max(1, round(extent.width / covers)), max(1, round(extent.height / covers))
    left, top = (own.width - width) // 2, (own.height - height) // 2
    covering = _resized(np.ascontiguousarray(picture[top : top + height, left : left + width]), size)
    if fit is Fit.COVER:
        return covering
    inner = own.fitted_inside(extent)
    result = blurred(covering, 0.03 * max(size))
    left, top = (extent.width - inner.width) // 2, (extent.height - inner.height) // 2
    result[top : top + inner.height, left : left + inner.width] = _resized(picture, (inner.width, inner.height))
    return result


def blurred(picture: Picture, sigma: float, share: Share | None = None) -> Picture:
    """`picture` under a Gaussian of `sigma` pixels; with `share`, only of what belongs to it, so that nothing of the
    rest bleeds in."""
    if sigma <= 0:
        return picture.copy()
    height, width = picture.shape[:2]
    smaller = max(1.0, sigma / BLURRED_AT)
    size = (max(1, round(width / smaller)), max(1, round(height / smaller)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    reach = sigma * size[0] / width
    if share is None:
        soft = cv2.GaussianBlur(small, (0, 0), reach)
    else:
        # What is wholly the rest has no weight at all; far inside of it nothing is looked at, so anything may stand.
        weight = np.clip(cv2.resize(share, size, interpolation=cv2.INTER_AREA), 0, 1) + np.float32(1e-4)
        total = cv2.GaussianBlur(small.astype(np.float32) * weight[..., None], (0, 0), reach)
        soft = cv2.convertScaleAbs(total / cv2.GaussianBlur(weight, (0, 0), reach)[..., None])
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))


def matched(front: Picture, mask: Mask, behind: Picture, amount: float) -> Picture:
    """`front` with the light and colour of `behind`, as far as `amount`: mean and spread of the subject at `mask`,
    which must not be empty, become those of what is behind it (Reinhard et al., "Color Transfer between Images", 2001).

    In luma and two differences of colour (ITU-R BT.709), half as far for the luma: what lies in the light stays bright.
    """
    extent = Extent.of(front).fitted_inside(Extent(SEEN, SEEN))
    size = (extent.width, extent.height)
    part = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    small = cv2.resize(front, size, interpolation=cv2.INTER_NEAREST)
    ours = (small[part] if part.any() else front[mask]) @ OPPONENT.T
    theirs = cv2.resize(behind, size, interpolation=cv2.INTER_AREA).reshape(-1, 3) @ OPPONENT.T
    far = amount * np.array([0.5, 1, 1])
    spread = np.clip(theirs.std(0) / np.maximum(ours.std(0), 2), 0.6, 1.6) ** far
    shift = ours.mean(0) + far * (theirs.mean(0) - ours.mean(0)) - spread * ours.mean(0)
    back = np.linalg.inv(OPPONENT)
    return np.asarray(cv2.transform(front, np.column_stack([back @ np.diag(spread) @ OPPONENT, back @ shift])))


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    shrinks = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
