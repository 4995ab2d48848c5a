"""The catalogue's entry *compose*: an instruction adds one thing to the scene that the picture shows (CDD-ICM).

It goes by the picture as it is and by the instruction alone, since what was said before is in the picture: so a
composed scene has turns like any other, with ways back, branches and other orders.
"""

from __future__ import annotations

import time

import numpy as np

from pipelines.compose.folder import Kind, Loaded
from pipelines.compose.instructions import read_instruction
from pipelines.compose.sampler import STAGE, Sampling
from pipelines.compose.scenes import next_pictures, part_of
from pipelines.compose.world import THINGS, Instruction
from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Picture, StageReport
from pipelines.errors import BadParameter
from pipelines.images import resized
from pipelines.kept import outside_change
from pipelines.params import ComposeParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator


def run(loaded: Loaded, request: EditRequest, params: ComposeParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry; the instruction is the request's text of the subject. The mask has no say: the whole picture
    is drawn anew, at the side that the composer was made for, and comes back at the size that it had.

    Raises `BadRequest` for an instruction that means nothing, or that speaks of what is not there.
    """
    longest, side = loaded.composer.sizes.steps, loaded.composer.sizes.side
    if params.steps > longest:
        raise BadParameter(f"steps must be at most {longest}, the composer's noise levels; got {params.steps}", "steps")
    before = resized(request.picture, Extent(side, side))
    said = _read(loaded, before, request.subject.strip())
    sampling = Sampling(params.steps, phi=params.guidance, psi=params.match, strength=params.strength)
    began, candidates = time.perf_counter(), []
    for number in range(request.candidates):
        seed, told = request.seed + number, _counting(loaded, params, part_of(progress, number, request.candidates))
        [made] = next_pictures(loaded, np.stack([before]), [said], sampling, generator(seed, STAGE), told)
        candidates.append(_candidate(seed, made, request.picture))
    report = StageReport(STAGE, time.perf_counter() - began, params.steps * request.candidates)
    return EditResult(tuple(candidates), (report,))


def _read(loaded: Loaded, before: Picture, text: str) -> Instruction | str:
    """What is asked. In our own world it is checked, against what stands there where somebody reads that; in another
    one it may be any text."""
    if loaded.kind is not Kind.SOLIDS:
        return text
    if loaded.reader is None:
        return read_instruction(text, None)
    [seen] = loaded.reader.read(np.stack([before]))
    there = [thing for thing in THINGS if thing in seen]
    return read_instruction(text, there, there[0] if len(there) == 1 else None)


def _counting(loaded: Loaded, params: ComposeParams, progress: Progress) -> Progress:
    """`progress` that counts the network's samples too: each step has one, or two that are told apart."""

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        loaded.count(1 if params.guidance == 1 else 2)
        progress(stage, step, total, preview)

    return tell


def _candidate(seed: int, made: Picture, original: Picture) -> Candidate:
    picture = resized(made, Extent.of(original))
    return Candidate(seed, picture, outside_change(picture, original, np.ones(picture.shape[:2], np.bool_)))
