"""What a turn without a model takes at twelve megapixels, method by method.

``python -m pipelines.evaluation.by_hand`` prints it. The picture is scikit-image's photograph of an astronaut, made
4,000 x 3,000 pixels large, its subject an ellipse about the head and the shoulders.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from typing import Any

import cv2
import numpy as np
from skimage import data as photographs

from pipelines.catalog import CATALOG
from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.hand.params import Fill
from pipelines.hand.run import run_by_hand
from pipelines.params import Edge

WIDTH, HEIGHT = 4000, 3000
ROUNDS = 3
CASES: tuple[tuple[str, Scope, dict[str, Any]], ...] = (
    ("recolour", Scope.SUBJECT, {"hue": 120.0}),
    ("recolour", Scope.BOTH, {"hue": 120.0}),
    ("light", Scope.BACKGROUND, {"exposure": -1.0, "contrast": 0.2}),
    ("backdrop", Scope.BACKGROUND, {"edge": Edge.SOFT}),
    ("backdrop", Scope.BACKGROUND, {}),
    ("defocus", Scope.BACKGROUND, {}),
    ("defocus", Scope.BACKGROUND, {"edge": Edge.MATTED}),
    ("straighten", Scope.BOTH, {"angle": 3.0}),
    ("crop", Scope.BOTH, {"left": 0.25}),
    ("extend", Scope.BOTH, {"right": 0.1}),
    ("resize", Scope.BOTH, {"longer": 2000}),
    ("remove", Scope.SUBJECT, {}),
    ("remove", Scope.SUBJECT, {"fill": Fill.SMOOTH}),
    ("place", Scope.BOTH, {"right": 0.1, "scale": 0.8}),
)
"""Method, what changes, and the settings that are not the method's own."""


def photograph() -> tuple[Picture, Mask]:
    """The picture and its subject."""
    picture = np.asarray(cv2.resize(_own("astronaut"), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (int(0.44 * WIDTH), int(0.5 * HEIGHT)), (int(0.22 * WIDTH), int(0.38 * HEIGHT)), 0, 0, 360, 1, -1)
    return picture, mask > 0


def _own(name: str) -> Picture:
    """A photograph of scikit-image's own."""
    picture: Picture = getattr(photographs, name)()
    return picture


def measured(name: str, scope: Scope, settings: dict[str, Any], picture: Picture, mask: Mask) -> tuple[float, float]:
    """The median of the seconds that the method takes, and of those that processors worked on it: where other programs
    run beside it, the second says more."""
    entry = CATALOG[name]
    reference = _own("coffee") if name == "backdrop" else None
    request = EditRequest(
        picture=picture,
        mask=mask,
        subject="",
        background="",
        scope=entry.changes or scope,
        seed=7,
        background_reference=reference,
    )
    seconds, work = [], []
    for _ in range(ROUNDS):
        began, busy = time.perf_counter(), time.process_time()
        run_by_hand(entry, request, entry.params(**settings))
        seconds.append(time.perf_counter() - began)
        work.append(time.process_time() - busy)
    return statistics.median(seconds), statistics.median(work)


def main() -> None:
    """Prints one line a case."""
    picture, mask = photograph()
    print(f"{WIDTH} x {HEIGHT} pixels, subject {mask.mean():.0%}, {cv2.getNumThreads()} threads, median of {ROUNDS}")  # noqa: T201
    for name, scope, settings in CASES:
        seconds, work = measured(name, scope, settings, picture, mask)
        said = ", ".join(f"{key} {value}" for key, value in settings.items()) or "as it comes"
        print(f"{name:10} {CATALOG[name].changes or scope!s:10} {said:32} {seconds:5.2f} s, work {work:5.2f} s")  # noqa: T201
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"memory at most: {peak:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
