"""Plots the loss of a training from what it said on the terminal: ``python -m pipelines.evaluation.training_plot LOG``.

Every trainer here says lines like ``draw: step 25 of 900  31 s  loss 0.1300``; each of its stages becomes a curve, a
running median of `SMOOTH` lines, on a logarithmic axis. The plot is one SVG file.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from statistics import median

from pipelines.evaluation.plots import Axis

LINE = re.compile(r"^(?:(?P<stage>[\w ]+): )?step (?P<step>\d+)\b.*\bloss (?P<loss>\d+(?:\.\d+)?)")
SMOOTH = 9
WIDTH, HEIGHT = 640.0, 300.0
COLOURS = ("#b3611f", "#2f6f9f", "#4c7a34", "#7a4c8f")

Curve = list[tuple[int, float]]
"""Steps and losses."""


def read_log(lines: Iterable[str]) -> dict[str, Curve]:
    """The losses above 0 by stage; of a training without stages the stage is called ``loss``. Raises `ValueError` where
    there is none."""
    found: dict[str, Curve] = {}
    for said in map(LINE.match, lines):
        if said is not None and float(said["loss"]) > 0:
            found.setdefault(said["stage"] or "loss", []).append((int(said["step"]), float(said["loss"])))
    if not found:
        raise ValueError("the log has no line like 'step 25 of 900  31 s  loss 0.1300'; give what a trainer said")
    return found


def smoothed(curve: Curve) -> Curve:
    """Each loss as the median of the `SMOOTH` around it, fewer at the ends."""
    reach = SMOOTH // 2
    return [
        (step, median(loss for _, loss in curve[max(0, k - reach) : k + reach + 1]))
        for k, (step, _) in enumerate(curve)
    ]


def svg(curves: dict[str, Curve]) -> str:
    """The plot as a document."""
    drawn = {stage: smoothed(curve) for stage, curve in curves.items()}
    steps = [step for curve in drawn.values() for step, _ in curve]
    losses = [loss for curve in drawn.values() for _, loss in curve]
    x = Axis(0, max(steps), 52, WIDTH - 80)
    y = Axis(min(losses) / 1.2, max(losses) * 1.2, HEIGHT - 40, 16, logarithmic=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" font-family="sans-serif" '
        'font-size="11" fill="#444"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for value, at in y.ticks:
        parts.append(f'<path d="M{x.start:.1f} {at:.1f}H{x.end:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x.start - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value, at in x.ticks:
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 22:.1f}" text-anchor="middle">{value:.0f}</text>')
    parts.append(f'<text x="{(x.start + x.end) / 2:.1f}" y="{HEIGHT - 6:.1f}" text-anchor="middle">step</text>')
    for number, (stage, curve) in enumerate(drawn.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x.at(step):.1f},{y.at(loss):.1f}" for step, loss in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        step, loss = curve[-1]
        parts.append(
            f'<text x="{x.at(step) + 5:.1f}" y="{y.at(loss) + 4:.1f}" fill="{colour}">{escape(stage)} {loss:.3g}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Read the command line, write the plot."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluation.training_plot", description=__doc__)
    parser.add_argument("log", type=Path, help="what a trainer said")
    parser.add_argument("--out", type=Path, required=True, help="the SVG file")
    asked = parser.parse_args()
    asked.out.write_text(svg(read_log(asked.log.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


if __name__ == "__main__":
    main()
