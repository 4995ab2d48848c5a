"""Measures editors by instruction as the paper does: ``python -m pipelines.training.measure --row NAME=FOLDER ...``.

Held-out triples are edited by the model alone and by each trained folder. The paper's rows are made with
``launch.py train rounds``:

================  =======================================================
unedited          the reference itself, which an edit has to be better than; ours
base              nothing trained: the model reads the instruction
ControlNet        ``--edges alone``
no multi-round    ``--weight none``, the paper's baseline
fixed weight      ``--weight fixed``
linear decay      the default
================  =======================================================

An edge branch is shown the edges of the reference, as in use; those of the target (``--edges-of-target``, as in
training) tell the shape of the answer. Every figure goes by one CLIP, which is named: figures of different ones must
not be compared. The columns are those of Zeng et al. 2024:

===========  ================================================================================================
R@1, 10, 50  share of edits by which the true target is found within so many of the candidates (Table 2)
FID          of edits and targets, on the CLIP's features and not Inception's
CLIP         similarity of the edit to the target (Table 1)
right        share of edits that show all that the target shows, as a judge reads them where there is one; ours
2 rounds     FID, CLIP and right where each part has a round of its own (Table 3)
1st part     CLIP similarity to the true picture after the first part alone, where it is known; ours
swap         similarity of the two orders of rounds, where order is free (Table 3(b))
rotated      CLIP with the words of the whole text in another order
-2, -5, -9   CLIP without so many of its words
===========  ================================================================================================
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.contract import Picture
from pipelines.errors import BadParameter
from pipelines.evaluation.clip import ClipEmbed
from pipelines.evaluation.perceptual import frechet_distance
from pipelines.images import from_network, to_network
from pipelines.methods.refine import rounds
from pipelines.models.adapters import attached
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import ModelCard
from pipelines.models.loader import device_named, load_bundle
from pipelines.params import RefineParams
from pipelines.seeds import generator
from pipelines.training.reference import NOTHING, Reference, is_reference, load_reference, silence, told
from pipelines.training.sources import source_of
from pipelines.training.trainer import MODELS, eyes_for, named_model
from pipelines.training.triples import HELD_OUT, Instruction, Source, masked, rotated, squared

KS = (1, 10, 50)
MASKED = (2, 5, 9)
"""Words that are left out, as in the paper's table."""
UNEDITED, BASE = "unedited", "base"


@dataclass(frozen=True)
class Row:
    """One editor over all queries; shares and similarities from 0 to 1, ``None`` where there was nothing to measure."""

    name: str
    recall: dict[int, float]
    """R@K by K."""
    fid: float
    clip: float
    right: float | None
    two_rounds_fid: float
    two_rounds_clip: float
    two_rounds_right: float | None
    first_part_clip: float | None
    swap: float | None
    rotated: float
    masked: dict[int, float]
    """CLIP by the number of words left out."""


@dataclass(frozen=True)
class Queries:
    """The held-out triples that are edited, and the candidates among which targets are sought."""

    references: list[Picture]
    instructions: list[Instruction]
    targets: list[Picture]
    between: list[Picture] | None
    gallery: NDArray[np.float32]
    """``(M, D)``: what the CLIP sees in the candidates, of which the first N are the targets."""
    embed: ClipEmbed
    right: Callable[[Sequence[Picture]], list[bool] | None] = lambda _pictures: None
    """Whether each of N edits shows what its target does."""


def queries(source: Source, side: int, count: int, candidates: int, embed: ClipEmbed) -> Queries:
    """The first `count` triples of the held-out split; their targets and those of the ones after them are sought
    among. Raises `BadParameter` where there are not as many."""
    there = source.count(HELD_OUT)
    if not 2 <= count <= candidates <= there:
        raise BadParameter(
            f"queries and candidates must be from 2 on, and no more than the {there} held-out triples of "
            f"{source.name}; got {count} queries and {candidates} candidates. Give --count and --candidates"
        )
    found = [source.triple(HELD_OUT, number) for number in range(candidates)]
    targets = [squared(target, side) for _, _, target in found]
    between = [source.between(HELD_OUT, number) for number in range(count)]
    known = [squared(picture, side) for picture in between if picture is not None]
    return Queries(
        references=[squared(reference, side) for reference, _, _ in found[:count]],
        instructions=[said for _, said, _ in found[:count]],
        targets=targets[:count],
        between=known if len(known) == count else None,
        gallery=embed(targets),
        embed=embed,
        right=partial(source.right, HELD_OUT, range(count)),
    )


class Change(Protocol):
    """What becomes of the words of a text."""

    def __call__(self, text: str, *, rng: random.Random) -> str: ...


class Editor:
    """A model, perhaps with a trained folder, that edits many pictures."""

    def __init__(
        self,
        bundle: ModelBundle,
        reference: Reference,
        params: RefineParams,
        edges_of_target: bool,
        batch: int,
        seed: int,
    ) -> None:
        self.bundle, self.reference, self.params = bundle, reference, params
        self.edges_of_target, self.batch, self.seed = edges_of_target, batch, seed

    @torch.no_grad()
    def __call__(self, asked: Queries, texts: Sequence[Sequence[str]]) -> list[Picture]:
        """What each reference becomes: `texts` holds, for every round, a text for each. The noise is the same whatever
        the texts are."""
        made: list[Picture] = []
        for begin in range(0, len(asked.references), self.batch):
            some = slice(begin, begin + self.batch)
            seen = self.reference.tokens(asked.references[some])
            shown = asked.targets[some] if self.edges_of_target else asked.references[some]
            bundle = self.reference.network(self.bundle, shown, self.params.edges)
            z = bundle.encode(torch.cat([to_network(picture) for picture in asked.references[some]]))
            conditions = [told(bundle.embed_texts(list(part[some])), seen) for part in texts]
            nothing = bundle.embed_texts([""] * len(z))
            e_null = told(nothing if seen is None else silence(nothing), seen)
            source = generator(self.seed, f"queries from {begin}")
            z = rounds(bundle, z, conditions, e_null, self.params, source, lambda z_0: None)
            made += [from_network(bundle.decode(one[None])) for one in z]
        return made


def recalls(seen: NDArray[np.float32], gallery: NDArray[np.float32]) -> dict[int, float]:
    """R@K: edit `k` of ``(N, D)`` finds candidate `k` of ``(M, D)`` where fewer than K are more like it."""
    similarity = seen.astype(np.float64) @ gallery.astype(np.float64).T
    own = similarity[np.arange(len(seen)), np.arange(len(seen))]
    before = (similarity > own[:, None]).sum(1)
    return {k: float((before < k).mean()) for k in KS}


Edit = Callable[[Queries, Sequence[Sequence[str]]], list[Picture]]
"""What an `Editor` does; see its `__call__`."""


def row_of(name: str, edit: Edit, asked: Queries) -> Row:
    """All figures of one editor."""
    said, embed, n = asked.instructions, asked.embed, len(asked.references)
    wanted = asked.gallery[:n]

    def likeness(seen: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        return float((seen.astype(np.float64) * other).sum(1).mean())

    def read(change: Change) -> float:
        texts = [change(one.whole, rng=random.Random(f"words of {k}")) for k, one in enumerate(said)]
        return likeness(embed(edit(asked, [texts])), wanted)

    first, second = [one.first for one in said], [one.second for one in said]

    def right(made: list[Picture]) -> float | None:
        found = asked.right(made)
        return None if found is None else float(np.mean(found))

    at_once, in_turn, turned = (
        edit(asked, texts) for texts in ([[one.whole for one in said]], [first, second], [second, first])
    )
    single, forth, back = embed(at_once), embed(in_turn), embed(turned)
    free = np.array([one.independent for one in said])
    between = None if asked.between is None else likeness(embed(edit(asked, [first])), embed(asked.between))
    return Row(
        name,
        recall=recalls(single, asked.gallery),
        fid=frechet_distance(wanted, single),
        clip=likeness(single, wanted),
        right=right(at_once),
        two_rounds_fid=frechet_distance(wanted, forth),
        two_rounds_clip=likeness(forth, wanted),
        two_rounds_right=right(in_turn),
        first_part_clip=between,
        swap=likeness(forth[free], back[free]) if free.any() else None,
        rotated=read(rotated),
        masked={count: read(partial(masked, count=count)) for count in MASKED},
    )


def measure(
    card: ModelCard,
    folders: tuple[Path, ...],
    asked: Queries,
    trained: dict[str, Path],
    params: RefineParams,
    device: torch.device,
    edges_of_target: bool = False,
    batch: int = 8,
    seed: int = 0,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Row]:
    """The rows without an edit, of the model alone, and of every trained folder.

    Raises `ModelError`, and `BadParameter` for a folder that is none.
    """
    bundle = load_bundle(card, device)
    references = {BASE: NOTHING}
    for name, folder in trained.items():
        if not is_reference(folder):
            raise BadParameter(
                f"{folder} must be a folder of launch.py train rounds; it has no reference.json. Train it, or name "
                "another"
            )
        references[name] = load_reference(folder, bundle, folders)
    found = [row_of(UNEDITED, lambda one, _texts: one.references, asked)]
    for name, reference in references.items():
        with ExitStack() as stack:
            if name != BASE and has_lora(trained[name]):
                stack.enter_context(attached(bundle, [(trained[name], 1.0)]))
            found.append(row_of(name, Editor(bundle, reference, params, edges_of_target, batch, seed), asked))
        say(f"{name}: done")
    return found


def has_lora(folder: Path) -> bool:
    """The edge branch alone brings none."""
    return any(folder.glob("*lora*.safetensors"))


def as_lines(rows: Sequence[Row]) -> list[str]:
    """A table in Markdown: recall and what is right in percent, the others as they are."""

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    def plain(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    columns: list[tuple[str, Callable[[Row], str]]] = [
        *((f"R@{k}", lambda row, k=k: percent(row.recall[k])) for k in KS),
        ("FID", lambda row: plain(row.fid)),
        ("CLIP", lambda row: plain(row.clip)),
        ("right", lambda row: percent(row.right)),
        ("2 rounds: FID", lambda row: plain(row.two_rounds_fid)),
        ("2 rounds: CLIP", lambda row: plain(row.two_rounds_clip)),
        ("2 rounds: right", lambda row: percent(row.two_rounds_right)),
        ("1st part", lambda row: plain(row.first_part_clip)),
        ("swap", lambda row: plain(row.swap)),
        ("rotated", lambda row: plain(row.rotated)),
        *((f"-{count}", lambda row, count=count: plain(row.masked[count])) for count in MASKED),
    ]
    lines = ["| row | " + " | ".join(name for name, _ in columns) + " |", "| --- |" + " --: |" * len(columns)]
    return lines + ["| " + " | ".join([row.name, *(cell(row) for _, cell in columns)]) + " |" for row in rows]


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.training.measure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--row", action="append", default=[], metavar="NAME=FOLDER", help="a trained folder; repeated")
    parser.add_argument("--model", default="toybox", help="its name or folder")
    parser.add_argument("--clip", help="of all figures: its name or folder; the model's own by default")
    parser.add_argument("--data", type=Path, help="FashionIQ or Fashion200k; without it, the toy world")
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder that models and CLIPs are in")
    parser.add_argument("--count", type=int, default=100, help="held-out triples that are edited")
    parser.add_argument("--candidates", type=int, default=1000, help="pictures among which targets are sought")
    parser.add_argument("--steps", type=int, default=20, help="sampler steps a round")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--edges-of-target", action="store_true", help="as in training; else those of the reference")
    parser.add_argument("--batch", type=int, default=8, help="pictures at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="a JSON file for the rows")
    asked = parser.parse_args()
    folders, device = (asked.models,), device_named(asked.device)
    card = named_model(asked.model, folders=folders)
    clip, source = eyes_for(card, asked.clip, folders), source_of(asked.data)
    told = queries(source, card.resolution, asked.count, asked.candidates, ClipEmbed(clip, device))
    rows = measure(
        card,
        (clip.path.parent, *folders),
        told,
        dict(_named(row) for row in asked.row),
        RefineParams(steps=asked.steps, guidance=asked.guidance),
        device,
        asked.edges_of_target,
        asked.batch,
        asked.seed,
        lambda line: print(line, flush=True),  # noqa: T201  what takes minutes says how far it is
    )
    if asked.out:
        asked.out.write_text(json.dumps({"clip": clip.id, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    about = f"{source.name}, {asked.count} edits, {asked.candidates} candidates, every figure by {clip.id}"
    print("\n".join([about, "", *as_lines(rows)]))  # noqa: T201  what it is for


def _named(row: str) -> tuple[str, Path]:
    name, equals, folder = row.partition("=")
    if not equals or name in ("", BASE, UNEDITED):
        raise BadParameter(
            f"a row must be a name and a folder, such as linear=build/linear; got {row!r:.80}. Name it so"
        )
    return name, Path(folder)


if __name__ == "__main__":
    main()
