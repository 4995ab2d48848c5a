"""A finished row of the bench as a `Trial` for the measures: its pictures read back, its truth drawn again.

This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.contract import Mask, Picture
from pipelines.evaluation.benchmark import Row, candidate_path, found_path, mask_path, noisy_path, picture_path
from pipelines.evaluation.cases import Case
from pipelines.evaluation.measures import Requirement, Trial
from pipelines.toybox.render import Rendering, render
from pipelines.toybox.scene import Scene


def trials_of(folder: Path, rows: Sequence[Row], cases: Sequence[Case]) -> list[Trial]:
    """One for each row, in their order; `cases` are those that the rows name."""
    by_name = {case.name: case for case in cases}
    drawn = cache(render)
    return [trial_of(folder, row, by_name[row.case], drawn) for row in rows]


def trial_of(folder: Path, row: Row, case: Case, draw: Callable[[Scene], Rendering] = render) -> Trial:
    """The trial of one row; `draw` draws a scene."""
    source, target = draw(case.source), draw(case.target)
    return Trial(
        before=source.picture,
        after=_picture(picture_path(folder, row)),
        scope=case.scope,
        subject=source.mask,
        requirements=requirements_of(case, row.read),
        says_before=case.source.caption(),
        says_after=case.target.caption(),
        used=_mask(mask_path(folder, row)),
        target=target.picture,
        target_subject=target.mask,
        found=_mask(found_path(folder, row)),
        others=tuple(
            picture
            for k in range(1, row.candidates)
            if (picture := _picture(candidate_path(folder, row, k))) is not None
        ),
        readings=row.readings,
        of_noisy=_picture(noisy_path(folder, row)) if row.noise else None,
    )


def requirements_of(case: Case, read: Mapping[str, str | None]) -> tuple[Requirement, ...]:
    """One question an attribute: what is asked for, then what has to stay."""
    return tuple(
        Requirement(name, wanted, read.get(name), asked)
        for wants, asked in ((case.asked, True), (case.kept, False))
        for name, wanted in wants.items()
    )


def _picture(path: Path) -> Picture | None:
    return np.asarray(Image.open(path).convert("RGB")) if path.is_file() else None


def _mask(path: Path) -> Mask | None:
    return np.asarray(Image.open(path).convert("1")) if path.is_file() else None
