"""What the first two phases depend on, as a name: under the same name, the same layers would be fitted again.

Sampling is the cheaper part by far, so who keeps fitted layers under their name has another strength, seam or seed for
the price of phase 3. This file imports no torch: the studio looks stored layers up with it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from pipelines.contract import EditRequest, LoraUse
from pipelines.layered.plan import plan_of
from pipelines.params import LayeredParams, Reach, knobs

SAMPLING = frozenset({"seed", "candidates", "feather", "refined", "fitted", "fit_seed", "negative", "source", "matte"})
"""Fields of a request that have no say before sampling, but where the model itself draws a reference. Draws before it
are made from `EditRequest.fitting_seed`."""


def fit_key(request: EditRequest, params: LayeredParams) -> str:
    """64 hex digits over all that phases 1 and 2 depend on, but for the model's weights."""
    plan = plan_of(request, params)
    reaching = {Reach.FIT, Reach.REFERENCE} if plan.draws_reference else {Reach.FIT}
    asked = {f.name: _plain(getattr(request, f.name)) for f in fields(request) if f.name not in SAMPLING | {"warm"}}
    settings = {name: getattr(params, name) for name, (_, _, spec) in knobs(params).items() if spec.reach in reaching}
    del settings["warm_start"]  # it has a say only together with what there is to begin at
    for name in ("window", "context", "latent_steps"):  # keys from before these were there are those of what is usual
        if settings[name] == getattr(LayeredParams, name):
            del settings[name]
    named: dict[str, Any] = {"request": asked, "params": settings, "seed": request.fitting_seed}
    if plan.fits_object != plan.fits_background:  # keys from before texts were left out are those of both
        named["fits"] = "object" if plan.fits_object else "background"
    if plan.draws_reference and (avoided := request.negative.strip()):  # the reference is drawn away from it too
        named["negative"] = avoided
    if params.warm_start and request.warm is not None:
        named["warm"] = hashlib.sha256(request.warm).hexdigest()
    return hashlib.sha256(json.dumps(named, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """As JSON can have it: a text without the space around it, of a picture or mask its digest."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.shape} {value.dtype}".encode() + value.tobytes()).hexdigest()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, LoraUse):
        return asdict(value)
    return value.strip() if isinstance(value, str) else value
