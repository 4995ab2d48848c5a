"""Another background from a picture of one's own, or the one there is out of focus and dimmed. No torch here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Extent, Mask, Picture
from pipelines.errors import BadRequest
from pipelines.hand.changed import Changed, mixed, share_of
from pipelines.hand.colour import exposed, saturated
from pipelines.hand.params import BackdropParams, DefocusParams, Edge, Fit
from pipelines.masks.matting import foreground

BLURRED_AT = 6.0
"""Pixels of sigma at which a blur is done: a wider one on a smaller picture, which looks the same."""
SEEN = 512
"""Pixels of the longer side at which colours are compared."""


def backdrop(request: EditRequest, params: BackdropParams) -> Changed:
    """The catalogue entry: the request's background reference behind its subject."""
    picture = request.picture
    assert request.background_reference is not None, "checked with the request"
    behind = fitted(request.background_reference, Extent.of(picture), params.fit)
    behind = blurred(behind, params.blur * max(picture.shape[:2]))
    share = share_of(request, params.edge, request.mask)
    front = picture if params.edge is Edge.HARD else foreground(picture, share)
    if params.match:
        front = matched(front, request.mask, behind, params.match)
    return Changed(mixed(front, behind, share), np.ones(request.mask.shape, np.bool_))


def defocus(request: EditRequest, params: DefocusParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the background as it is."""
    if (params.blur, params.exposure, params.saturation) == (0.0, 0.0, 1.0):
        raise BadRequest("every setting leaves the background as it is; set blur, exposure or saturation")
    picture = request.picture
    share = share_of(request, params.edge, request.mask)
    sigma = params.blur * max(picture.shape[:2])
    behind = blurred(picture, sigma, 1 - share) if sigma else picture
    behind = saturated(exposed(behind, params.exposure), params.saturation)
    front = picture if params.edge is Edge.HARD else foreground(picture, share)
    result = mixed(front, behind, share)
    sure = share >= 1
    result[sure] = picture[sure]
    return Changed(result, ~sure)


def fitted(picture: Picture, extent: Extent, fit: Fit) -> Picture:
    """`picture` at `extent`."""
    own = Extent.of(picture)
    size = (extent.width, extent.height)
    if fit is Fit.STRETCH or own == extent:
        return _resized(picture, size)
    covers = max(extent.width / own.width, extent.height / own.height)
    width, height = round(extent.width / covers), round(extent.height / covers)
    left, top = (own.width - width) // 2, (own.height - height) // 2
    covering = _resized(np.ascontiguousarray(picture[top : top + height, left : left + width]), size)
    if fit is Fit.COVER:
        return covering
    inner = own.fitted_inside(extent)
    result = blurred(covering, 0.03 * max(size))
    left, top = (extent.width - inner.width) // 2, (extent.height - inner.height) // 2
    result[top : top + inner.height, left : left + inner.width] = _resized(picture, (inner.width, inner.height))
    return result


def blurred(picture: Picture, sigma: float, share: NDArray[np.float32] | None = None) -> Picture:
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
        weight = cv2.resize(share, size, interpolation=cv2.INTER_AREA) + np.float32(1e-4)
        total = cv2.GaussianBlur(small.astype(np.float32) * weight[..., None], (0, 0), reach)
        soft = cv2.convertScaleAbs(total / cv2.GaussianBlur(weight, (0, 0), reach)[..., None])
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC))


def matched(front: Picture, mask: Mask, behind: Picture, amount: float) -> Picture:
    """`front` with the light and colour of `behind`, as far as `amount`: the mean and spread of each channel in CIELAB
    (Reinhard et al., "Color Transfer between Images", 2001), half as far for the lightness."""
    extent = Extent.of(front).fitted_inside(Extent(SEEN, SEEN))
    size = (extent.width, extent.height)
    part = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    ours, theirs = (
        cv2.cvtColor(cv2.resize(seen, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for seen in (front, behind)
    )
    if not part.any():
        return front
    ours, theirs = ours[part], theirs.reshape(-1, 3)
    far = amount * np.array([0.5, 1, 1])
    spread = np.clip(theirs.std(0) / np.maximum(ours.std(0), 1), 0.6, 1.6) ** far
    shift = (ours.mean(0) + far * (theirs.mean(0) - ours.mean(0))) - spread * ours.mean(0)
    move = np.column_stack([np.diag(spread), shift]).astype(np.float32)
    result = front.copy()
    rows = np.flatnonzero(mask.any(1))
    reach = 2 + max(front.shape[:2]) // 32  # a soft edge goes beyond the mask
    for top in range(max(0, int(rows[0]) - reach), min(len(front), int(rows[-1]) + 1 + reach), 256):
        strip = front[top : top + 256].astype(np.float32) * np.float32(1 / 255)
        lab = cv2.transform(cv2.cvtColor(strip, cv2.COLOR_RGB2LAB), move)
        result[top : top + 256] = cv2.convertScaleAbs(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), alpha=255)
    return result


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    shrinks = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
