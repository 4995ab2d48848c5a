"""Runs a turn that needs no model: at the picture's own pixels, and the same every time. No torch here."""

from __future__ import annotations

import time

from pipelines.catalog import Method
from pipelines.contract import Candidate, EditRequest, EditResult, Extent, StageReport
from pipelines.errors import BadParameter
from pipelines.hand.changed import Changed
from pipelines.kept import outside_change
from pipelines.params import Params
from pipelines.progress import Progress, silent
from pipelines.requests import check_frame, check_request


def run_by_hand(method: Method, request: EditRequest, params: Params, progress: Progress = silent) -> EditResult:
    """What `method`, which needs no model, makes of `request`: one candidate. Raises what `check_request` raises,
    `BadRequest` where the method finds nothing to do or nothing to go by, and whatever `progress` raises to stop it."""
    assert not method.needs_model, method.name
    if type(params) is not method.params:
        raise BadParameter(f"{method.name} takes {method.params.__name__}; got {type(params).__name__}")
    check_request(request, method)
    frame = check_frame(method, params, Extent.of(request.picture))
    (stage,) = method.stages
    began = time.perf_counter()
    changed: Changed = method.resolve()(request, params)
    assert Extent.of(changed.picture) == Extent.of(changed.region) == frame.extent, changed.picture.shape
    # Where the frame is another one no pixel was to be kept in its place.
    before = request.picture if method.reframes is None else changed.picture
    outside = outside_change(changed.picture, before, changed.region)
    report = StageReport(stage, time.perf_counter() - began, 1)
    progress(stage, 1, 1)
    candidate = Candidate(request.seed, changed.picture, outside)
    return EditResult((candidate,), (report,), subject_after=changed.subject)
