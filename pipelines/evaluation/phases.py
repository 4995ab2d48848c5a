"""The three phases of a layered edit as pictures on one sheet: ``python -m pipelines.evaluation.phases``.

One case of the bench, with its true mask. In reading order: the picture and the background reference; what each text
alone draws, as it was typed and as phase 1 fitted it; what the blend of both draws before and after phase 2; the
estimates of phase 3 at six of its steps; the edit and the true answer. What a text alone draws begins at one noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Picture, Quality, Scope
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.samplers import DDIM
from pipelines.evaluation.cases import Case, make_case
from pipelines.evaluation.speed import model_of
from pipelines.evaluation.window import EMBEDDED
from pipelines.images import from_network
from pipelines.layered.embed import blended
from pipelines.layered.method import run
from pipelines.layered.plan import plan_of
from pipelines.layered.state import Fitted
from pipelines.models.bundle import ModelBundle
from pipelines.models.loader import device_named
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LayeredParams
from pipelines.seeds import generator, normal_like
from pipelines.toybox.render import render

ESTIMATES = 6
"""Steps of the guidance that are shown, evenly spaced, the last one among them."""
A_ROW = 6
TILE, LINE = 192, 22
"""Side of a picture on the sheet and height of the words below it, in pixels."""

Captioned = tuple[str, Picture]


def phases(bundle: ModelBundle, request: EditRequest, params: LayeredParams) -> list[Captioned]:
    """The pictures of one edit, in the order of the sheet, without the true answer."""
    estimates: list[Picture] = []

    def watch(stage: str, step: int, total: int, preview: Picture | None = None) -> None:  # noqa: ARG001 - `Progress`
        if stage == "guidance" and preview is not None:
            estimates.append(preview)

    result = run(bundle, request, params, watch)
    assert result.fitted is not None, "a layered edit says what it fitted"
    fitted = Fitted.from_bytes(result.fitted, bundle, Fitted.read(result.fitted, bundle).mask)
    canvas = Canvas.of(bundle, request)
    plan = plan_of(request, params)

    def drawn(e: PromptEmbeds) -> Picture:
        timesteps = bundle.schedule.timesteps(params.steps)
        noise = normal_like(canvas.z_ref, generator(request.seed, "phases"))
        predict = guided(bundle, always(e), canvas.prompts[""], params.guidance)
        return from_network(bundle.decode(denoise(bundle, noise, DDIM(noise), timesteps, predict, lambda _: None)))

    shown: list[Captioned] = [("before", canvas.small)]
    if fitted.reference is not None:
        shown.append(("background reference", fitted.reference))
    for name, text, e in (("e_a", request.subject, fitted.e_a), ("e_b", request.background, fitted.e_b)):
        if text:
            shown += [(f"{name}: {text}", drawn(canvas.prompts[text])), (f"{name} after phase 1", drawn(e))]
    e_opt = blended(fitted.e_a, fitted.e_b, plan.alpha)
    shown.append(("e_opt before phase 2", drawn(e_opt)))
    if fitted.weights:
        with fitted.applied(bundle):
            shown.append(("e_opt after phase 2", drawn(e_opt)))
    chosen = np.unique(np.linspace(0, len(estimates) - 1, min(ESTIMATES, len(estimates))).round().astype(int))
    shown += [(f"phase 3, {k + 1} of {len(estimates)}", estimates[k]) for k in chosen]
    return [*shown, ("the edit", result.candidates[0].picture)]


def sheet(shown: Sequence[Captioned]) -> Image.Image:
    """The pictures in rows of `A_ROW`, each over its words."""
    rows = -(-len(shown) // A_ROW)
    page = Image.new("RGB", (A_ROW * TILE, rows * (TILE + LINE)), "white")
    for k, (words, picture) in enumerate(shown):
        x, y = k % A_ROW * TILE, k // A_ROW * (TILE + LINE)
        page.paste(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        ImageDraw.Draw(page).text((x + 4, y + TILE + 4), words, "black")
    return page


def request_of(case: Case, seed: int) -> EditRequest:
    """The case as a turn with the scene's own mask."""
    drawn = render(case.source)
    return EditRequest(
        picture=drawn.picture,
        mask=drawn.mask,
        subject=case.subject,
        background=case.background,
        scope=case.scope,
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=str(EMBEDDED), help="a model folder, or random-tiny, random-sd15")
    parser.add_argument("--quality", type=Quality, default=Quality.EXACT, choices=list(Quality))
    parser.add_argument("--scope", type=Scope, default=Scope.BOTH, choices=list(Scope))
    parser.add_argument("--case", type=int, default=1, help="which of the bench's cases of that scope, from 0")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("build/phases.png"))
    asked = parser.parse_args(arguments)
    bundle = model_of(asked.model, device_named("auto"))
    params = settings("layered", asked.quality, card=bundle.card)
    assert isinstance(params, LayeredParams), type(params)
    case = make_case(asked.scope, asked.case)
    shown = phases(bundle, request_of(case, asked.seed), params)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    sheet([*shown, ("the true answer", render(case.target).picture)]).save(asked.out, optimize=True)
    print(f"{asked.out}: {case.name}, {case.subject or 'the subject stays'} / {case.background or 'it stays'}")  # noqa: T201


if __name__ == "__main__":
    main()
