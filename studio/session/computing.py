"""Turns requests into pictures: where the values of a session meet the engine. No session is locked here.

What was computed once is remembered under a key that names the computation: a request on a parent, prompts on a
picture, two orders of two turns. Asked again, by whatever session of the data folder, it costs nothing. Fitted layers
are kept as well, under a key that leaves out whatever only sampling depends on: with other such settings, or the next
seeds, only sampling runs.

Where the settings ask for a warm start, what is fitted begins at the layers of the parent turn, and the request says
at which. Layers go when there is no room; a turn whose parent's are gone begins cold, and its request says that. So a
request always names what its picture was made from, and run again after its parent's layers are gone it is another one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pipelines import pictures as codec
from pipelines.catalog import is_by_hand, recorded
from pipelines.catalog import method as find_method
from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Kind, Mask, Picture, Request, Scope, about
from pipelines.errors import PipelineError
from pipelines.evaluation.consistency import Consistency, Edited
from pipelines.evaluation.drift import Drift
from pipelines.frames import Frame
from pipelines.hand.reframe import reframed
from pipelines.masks import cut
from pipelines.masks.carry import carried_mask, carried_prompts, marks
from pipelines.masks.prompts import MaskPrompts, central_click, refining
from pipelines.masks.refine import compose, painted
from pipelines.masks.segmenter import MaskAnswer
from pipelines.models.folders import SEGMENTER, find_model, phrase_finder
from pipelines.params import Params
from pipelines.progress import Progress
from pipelines.requests import check_frame, check_request
from studio.history.frames import frame_of, frames_along, reframes
from studio.history.replay import Replay, Step
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest, tagged_hash
from studio.jobs.work import edited as run
from studio.session.checks import check_size
from studio.session.selection import Selection
from studio.session.services import Services
from studio.session.view import MaskChoice
from studio.store.record import Staged

log = logging.getLogger(__name__)

HUNDRED = 100
"""Steps of a whole turn in a replay, whatever stages it has."""

OnTurn = Callable[[Turn], None]


@dataclass(frozen=True)
class Compared:
    """Both orders of two turns: the numbers, and the digest of the map of their difference."""

    consistency: Consistency
    difference: str


class Computing:
    """The engine and the store, seen from a session whose original is of `extent`."""

    def __init__(self, services: Services, extent: Extent) -> None:
        self._services = services
        self._extent = extent

    # Files become arrays

    def picture(self, digest: str) -> Picture:
        return self._services.pixels(digest)

    def mask(self, digest: str, extent: Extent) -> Mask:
        """That of a picture of `extent`."""
        return self._services.mask(digest, extent)

    def carried(self, digest: str, before: Frame, after: Frame) -> str:
        """Digest of the mask of that digest, which is of a picture in the frame `before`, in the frame `after`."""
        if before == after:
            return digest
        mask = carried_mask(self.mask(digest, before.extent), before.to(after), after.extent)
        return self._services.keep_mask(mask)

    def carried_marks(self, prompts: MaskPrompts, mask: str, before: Frame, after: Frame) -> tuple[MaskPrompts, str]:
        """`prompts` and the mask that they came to, made in the frame `before`, in the frame `after`. Where a mark lies
        beyond its sides the mask itself stands for them all."""
        if before == after:
            return prompts, mask
        there = self.carried(mask, before, after)
        carried = carried_prompts(prompts, before.to(after), after.extent)
        if marks(carried) != marks(prompts):
            return MaskPrompts(uploaded=there, snap=prompts.snap, feather=prompts.feather), there
        own = carried.uploaded
        return (carried if own is None else replace(carried, uploaded=self.carried(own, before, after))), there

    def edit_request(self, picture: str, asked: TurnRequest, candidates: int) -> EditRequest:
        """What the engine is given for `asked` on the picture of that digest."""
        given: dict[str, Any] = {
            name: self.picture(digest)
            for name, _ in about(asked, Kind.PICTURE)
            if (digest := getattr(asked, name)) is not None
        }
        for name, said in about(asked, Kind.MASK):
            if (digest := getattr(asked, name)) is not None and said.mask_of in given:
                given[name] = self._services.mask(digest, Extent.of(given[said.mask_of]))
        pixels = self.picture(picture)
        everything = np.ones(pixels.shape[:2], bool)
        return EditRequest(
            **{f.name: getattr(asked, f.name) for f in fields(Request)},
            **given,
            picture=pixels,
            mask=everything if asked.mask is None else self.mask(asked.mask, Extent.of(pixels)),
            candidates=candidates,
            refined=self._refined(asked, Extent.of(pixels)),
            feather=asked.feather,
            fit_seed=asked.fit_seed,
            loras=asked.loras,
        )

    def _refined(self, asked: TurnRequest, extent: Extent) -> Mask | None:
        """Where its marks go over the subject's edge."""
        marked = {} if asked.mask is None else asked.prompts
        if not any(stroke.get("refine") for stroke in marked.get("strokes", ())):
            return None
        return painted(refining(MaskPrompts.from_json(marked, extent)), extent)

    def check(self, picture: str, asked: TurnRequest, candidates: int) -> None:
        """Raises what `check_request` and `check_frame` raise, and `OverLimit` where the picture that comes of it is
        larger than strangers may have; nothing is computed."""
        method = find_method(asked.method)
        request = self.edit_request(picture, asked, candidates)
        check_request(request, method)
        frame = check_frame(method, recorded(asked.method, asked.params), Extent.of(request.picture))
        check_size(self._services.hosting, frame.extent, Extent.of(request.picture))

    def frames(self, line: Sequence[Turn]) -> tuple[Frame, ...]:
        """Of each turn of a line from the original."""
        return tuple(frames_along(line, self._extent))

    # Masks

    def select(self, prompts: MaskPrompts, picture: str, pointed_on: str | None) -> Selection:
        """What `prompts` select in the picture of that digest; a person looked at the one of `pointed_on`."""
        if prompts.is_empty:
            return Selection(prompts, pointed_on=pointed_on, made_on=picture)
        key = ""
        if prompts.asks_segmenter:
            mark = self._segmenter_mark(prompts)
            key = tagged_hash("selection", {"picture": picture, "prompts": prompts.to_json(), "segmenter": mark})
        found = self._services.store.remembered(key) if key else None
        if found is None:
            pixels = self.picture(picture)
            extent = Extent.of(pixels)
            uploaded = None if prompts.uploaded is None else self.mask(prompts.uploaded, extent)
            if prompts.asks_segmenter:
                answer = self._services.engine.segment(
                    self._services.pixels(picture), prompts, segmenter=self._services.segmenter, uploaded=uploaded
                )
            else:  # what is painted waits for no device
                answer = MaskAnswer(compose(uploaded, prompts, extent, pixels))
            found = {
                "mask": self._services.keep_mask(answer.mask),
                "area": float(np.mean(answer.mask)),
                "choices": [[label, float(score)] for label, score in answer.choices],
                "chosen": answer.chosen or 0,
            }
            if key:
                self._services.store.remember(key, found)
        return Selection(
            prompts=prompts,
            mask=found["mask"],
            area=found["area"],
            choices=tuple(MaskChoice(label, score) for label, score in found["choices"]),
            chosen=found["chosen"],
            pointed_on=pointed_on,
            made_on=picture,
        )

    def central_subject(self, picture: Picture) -> str | None:
        """Digest of the mask of what a click in the middle of any `picture` finds; ``None`` where that is nothing, or
        everything."""
        answer = self._services.engine.segment(
            picture, central_click(Extent.of(picture)), segmenter=self._services.segmenter
        )
        usable = answer.mask.any() and not answer.mask.all()
        return self._services.keep_mask(answer.mask) if usable else None

    def _segmenter_mark(self, prompts: MaskPrompts) -> list[str | int]:
        """Which weights answer `prompts`, without reading them: a name may come to stand for others."""
        folders = self._services.model_folders
        named = self._services.segmenter
        cards = [] if named == cut.NAME else [find_model(named, folders, SEGMENTER)]
        finder = phrase_finder(folders) if prompts.phrase else None
        mark: list[str | int] = [cut.NAME, cut.VERSION]
        for card in (*cards, *([] if finder is None else [finder])):
            files = sorted(card.path.glob("*.safetensors")) if card.path.is_dir() else [card.path]
            mark += [card.id, *(n for file in files for n in (file.stat().st_size, file.stat().st_mtime_ns))]
        return mark

    # Turns

    def candidates(
        self, line: Sequence[Turn], asked: TurnRequest, count: int, progress: Progress
    ) -> tuple[Staged, ...]:
        """`asked` and the following seeds on the last turn of `line` (which begins at the original)."""
        weights = self._weights(asked)
        if asked.warm is None:
            asked = self._begun(asked, line[-1], weights)
        requests = [_with_seed(asked, asked.seed + k, weights) for k in range(count)]
        known = [self.remembered(line[-1].id, request) for request in requests]
        if all(known):
            return tuple(staged for staged in known if staged is not None)
        return self._run(line, asked, count, weights, progress)

    def tried(self, line: Sequence[Turn], requests: Sequence[TurnRequest], progress: Progress) -> tuple[Staged, ...]:
        """One candidate of each request on the last turn of `line`; told by their methods' titles."""
        found: list[Staged] = []
        for asked in requests:
            entry = find_method(asked.method)
            found += self.candidates(line, asked, 1, within(progress, entry.title, len(entry.stages)))
            progress(entry.title, HUNDRED, HUNDRED)
        return tuple(found)

    def remembered(self, parent: str, request: TurnRequest) -> Staged | None:
        """What came of this request on this parent when it was computed; ``None`` when it was not, or is forgotten.

        Of one whose layers to begin at are gone, also what came of it without them, as it would be computed now.
        """
        store = self._services.store
        gone = request.warm is not None and not store.fitted.has(request.warm)
        for asked in (request, replace(request, warm=None)) if gone else (request,):
            found = store.remembered(asked.key(parent))
            if found is not None and store.pictures.has(found["picture"]):
                return Staged(parent, found["picture"], asked, Outcome.from_json(found["outcome"]))
        return None

    def replay(
        self, tree: Tree, replay: Replay, progress: Progress, *, fresh: bool = False, done: OnTurn = lambda _: None
    ) -> tuple[Turn, ...]:
        """Run the steps one after another, each on the turn that the one before made.

        Where the turn before has the same marks, the mask is what that one left. Other clicks are tried again on the
        picture that the step starts from, where that is another than they were made on; a mask that was painted or
        uploaded stays, and so does one in whose place nothing is found. A turn that is
        asked as it was on the parent it had begins at the same layers, where they are kept; any other one at those of
        the turn it follows now. With `fresh` everything is computed, remembered or not. `done` hears of each turn as it
        is finished.
        """
        line, made = [tree[id] for id in tree.line(replay.base)], []
        for number, step in enumerate(replay.steps, 1):
            seen_on = tree[replay.base if step.source is None else tree[step.source].parent or ""]
            request = self._pointed_again(step.request, [tree[id] for id in tree.line(seen_on.id)], line)
            if not request.weights:  # newly asked: what was computed with the weights there are counts
                request = replace(request, weights=self._weights(request))
            if not _same_again(tree, step, line[-1]):
                request = self._begun(request, line[-1], request.weights)
            name = step_names(len(replay.steps))[number - 1]
            staged = None if fresh else self.remembered(line[-1].id, request)
            if staged is None:
                weights = self._weights(request)  # those of today; the request has its own
                whole = within(progress, name, len(find_method(request.method).stages))
                (staged,) = self._run(line, request, 1, weights, whole, fresh=fresh)
            progress(name, HUNDRED, HUNDRED)
            turn = Turn.after(line[-1].id, staged.request, staged.picture, staged.outcome, time.time())
            line.append(turn)
            made.append(turn)
            done(turn)
        return tuple(made)

    def _weights(self, request: TurnRequest) -> str:
        """The checksum of the model that `request` runs on, as it is now; empty where it needs none."""
        return self._services.engine.weights(request.model) if find_method(request.method).needs_model else ""

    def _pointed_again(self, request: TurnRequest, seen_on: Sequence[Turn], line: Sequence[Turn]) -> TurnRequest:
        """`request`, which was made on the last turn of `seen_on`, with its subject's mask on the last of `line`."""
        here = line[-1]
        if request.mask is None or seen_on[-1].picture == here.picture:
            return request
        made_in, now_in = frame_of(seen_on, self._extent), frame_of(line, self._extent)
        begun_in = frame_of(line[:-1] or line, self._extent)
        prompts = MaskPrompts.from_json(request.prompts, made_in.extent)
        before, after = here.request, here.outcome.mask_after
        again, mask = self.carried_marks(prompts, request.mask, made_in, now_in)
        began, _ = self.carried_marks(prompts, request.mask, made_in, begun_in)
        if before is not None and after is not None and MaskPrompts.from_json(before.prompts, begun_in.extent) == began:
            mask = after if self.mask(after, now_in.extent).any() else mask
        elif again.asks_segmenter:
            found = self.select(again, here.picture, seen_on[-1].picture)
            mask = mask if found.mask is None or found.area == 0 else found.mask
        return replace(request, mask=mask, prompts=again.to_json())

    def _begun(self, request: TurnRequest, parent: Turn, weights: str) -> TurnRequest:
        """`request` with the layers that it begins at on `parent`: those that were fitted for it on the model of that
        checksum, where the settings ask for them and they are kept."""
        fitted, before = parent.outcome.fitted, parent.request
        here = (
            request.begins_warm
            and before is not None
            and (before.model, before.weights) == (request.model, weights)
            and fitted is not None
            and self._services.store.fitted.has(fitted)
        )
        return replace(request, warm=fitted if here else None)

    def _run(
        self,
        line: Sequence[Turn],
        asked: TurnRequest,
        count: int,
        weights: str,
        progress: Progress,
        *,
        fresh: bool = False,
    ) -> tuple[Staged, ...]:
        """`weights` is the checksum of the model as it is now. With `fresh` nothing that was fitted for this is used
        again; what it begins at is part of what is asked."""
        store, params = self._services.store, recorded(asked.method, asked.params)
        warm = None if asked.warm is None else store.fitted_layers(asked.warm)
        if warm is None:
            asked = replace(asked, warm=None)
        request = replace(self.edit_request(line[-1].picture, asked, count), warm=None if warm is None else warm.data)
        if find_method(asked.method).hears("source") and not asked.source:
            request = replace(request, source=known_source(line))
        fit = _fit_key(asked, request, params, weights)
        before = None if fit is None or fresh else store.fitted_before(fit)
        if before is not None:
            request = replace(request, fitted=before.data)
        result = run(self._services.engine, asked.model, asked.method, request, params, progress)
        fitted, reference = None, result.background_reference
        if fit is not None and result.fitted is not None and not result.in_float32:
            # What float32 fitted is not kept: where sampling needs no float32, it is not what would be fitted again.
            fitted = before.digest if before is not None else store.keep_fitted(fit, result.fitted)
        outcome = Outcome(
            seconds=sum(stage.seconds for stage in result.stages),
            stages=result.stages,
            weights_after=result.weights_after,
            in_float32=result.in_float32,
            background_reference=None if reference is None else store.pictures.put(codec.encode_png(reference)),
            fitted=fitted,
        )
        drifts = self._drifts(line, asked, [candidate.picture for candidate in result.candidates])
        return tuple(
            self._kept(
                line[-1].id,
                asked,
                candidate,
                result,
                replace(outcome, drift=None if drift is None else drift.to_json()),
            )
            for candidate, drift in zip(result.candidates, drifts, strict=True)
        )

    def _kept(
        self, parent: str, asked: TurnRequest, candidate: Candidate, result: EditResult, outcome: Outcome
    ) -> Staged:
        """Files first, then what names them."""
        outside, store = candidate.outside, self._services.store
        staged = Staged(
            parent=parent,
            picture=self._services.keep(candidate.picture),
            request=_with_seed(asked, candidate.seed, result.weights_before),
            outcome=replace(
                outcome,
                outside_changed=outside.changed,
                outside_kept=outside.kept,
                outside_largest=outside.largest,
                flat=candidate.flat,
                mask_after=self._mask_after(asked, candidate.picture, result.subject_after),
            ),
        )
        store.remember(
            staged.request.key(staged.parent), {"picture": staged.picture, "outcome": staged.outcome.to_json()}
        )
        return staged

    def _mask_after(self, asked: TurnRequest, picture: Picture, moved: Mask | None) -> str | None:
        """Digest of the subject's mask in `picture`, which the turn made. A subject that stayed is where it was, to the
        pixel, and so is one that was only coloured; of one that was `moved` it is known; one that was redrawn is found.
        Where no segmenter can look at the picture it is taken to be where it was: the picture is there, and is kept.
        """
        if asked.mask is None or (moved is None and (asked.scope is Scope.BACKGROUND or is_by_hand(asked.method))):
            return asked.mask
        if moved is None:
            try:
                mask = self.mask(asked.mask, Extent.of(picture))
                moved = self._services.engine.follow(picture, mask, self._services.segmenter)
            except PipelineError as error:
                log.warning("the subject is taken to be where it was: %s", error)
                return asked.mask
        return self._services.keep_mask(moved)

    # Measures

    def edited(self, request: TurnRequest, begun_in: Frame, seen_in: Frame) -> Edited:
        """What `request` could change of the picture it began from, which lies in the one frame, as seen in another. A
        frame is of the whole picture."""
        mask = None
        if request.mask is not None and not reframes(request):
            mask = carried_mask(self.mask(request.mask, begun_in.extent), begun_in.to(seen_in), seen_in.extent)
        return Edited(request.scope, mask, request.feather, painted=not is_by_hand(request.method))

    def _drifts(
        self, line: Sequence[Turn], asked: TurnRequest, pictures: Sequence[Picture]
    ) -> tuple[Drift | None, ...]:
        """Of every candidate at once: the masks of a line are large, and the same for all. Of a turn that needs no
        model it is not measured: that would take one, and nothing in it was painted anew. Where what measures fails
        there are no figures; the pictures are there, and are kept."""
        if is_by_hand(asked.method):
            return (None,) * len(pictures)
        frames = list(frames_along(line, self._extent))
        here, edits, steps = frames[-1], [], []
        for request, begun_in in zip([*(turn.request for turn in line[1:]), asked], frames, strict=True):
            assert request is not None, "only the original was asked for by nobody"
            if reframes(request):
                steps.append((find_method(request.method), recorded(request.method, request.params)))
            else:
                edits.append(self.edited(request, begun_in, here))
        original = self.picture(line[0].picture)
        if steps:  # what lies beyond the original's sides was kept by nobody
            reached = carried_mask(np.ones(original.shape[:2], np.bool_), here.moves, here.extent)
            edits += [] if reached.all() else [Edited(Scope.SUBJECT, ~reached, 0.0, painted=False)]
            original = reframed(original, steps)
        try:
            return self._services.engine.drift(original, pictures, edits, asked.model)
        except PipelineError as error:
            log.warning("how far the pictures drifted was not measured: %s", error)
            return (None,) * len(pictures)

    def compared(self, before: Turn, ab: Sequence[Turn], ba: Sequence[Turn]) -> Compared:
        """Turn A then B (`ab`) against B then A (`ba`), both from `before`."""
        key = tagged_hash("order", {"ab": [turn.id for turn in ab], "ba": [turn.id for turn in ba]})
        found = self._services.store.remembered(key)
        if found is None:
            extent = Extent.of(self.picture(before.picture))
            frames = [list(frames_along([before, *order], extent)) for order in (ab, ba)]
            (a1, b1), (b2, a2) = (
                [self.edited(_request(turn), was, along[-1]) for turn, was in zip(order, along[:-1], strict=True)]
                for order, along in zip((ab, ba), frames, strict=True)
            )
            # Where one of them changes the frame, one order begins with it: that is the start as seen in that frame.
            start = next((order[0] for order in (ab, ba) if reframes(order[0].request)), before)
            answer = self._services.engine.compare(
                self.picture(ab[-1].picture),
                self.picture(ba[-1].picture),
                self.picture(start.picture),
                (a1, a2),
                (b1, b2),
                _request(ab[-1]).model,
            )
            difference = self._services.store.pictures.put(codec.encode_png(answer.difference))
            found = {"consistency": answer.consistency.to_json(), "difference": difference}
            self._services.store.remember(key, found)
        return Compared(Consistency.from_json(found["consistency"]), found["difference"])


def known_source(line: Iterable[Turn]) -> str:
    """What the turns of `line` say that the last one's picture shows: for each part, what was last said of it. Empty
    where nothing was; instructions say what to do, not what there is then, and of a part that was changed by hand what
    was said before may be true no more."""
    subject = background = ""
    for turn in line:
        asked = turn.request
        if asked is not None and is_by_hand(asked.method):
            subject = subject if asked.scope is Scope.BACKGROUND else ""
            background = background if asked.scope is Scope.SUBJECT else ""
        elif asked is not None and not find_method(asked.method).instructs:
            subject = asked.subject or subject
            background = asked.background or background
    return " ".join(part for part in (subject, background) if part)


def _request(turn: Turn) -> TurnRequest:
    assert turn.request is not None, "the original was asked for by nobody"
    return turn.request


def _same_again(tree: Tree, step: Step, parent: Turn) -> bool:
    """Whether the step is a turn of `tree` as it was asked, on the parent that it has there."""
    if step.source is None:
        return False
    turn = tree[step.source]
    return turn.parent == parent.id and turn.request == step.request


def _fit_key(asked: TurnRequest, request: EditRequest, params: Params, weights: str) -> str | None:
    """Names what is fitted for `request` on the model of that checksum; ``None`` where nothing is."""
    named = find_method(asked.method).fit_key
    if named is None:
        return None
    return tagged_hash("fit", {"model": asked.model, "weights": weights, "fit": named(request, params)})


def _with_seed(asked: TurnRequest, seed: int, weights: str) -> TurnRequest:
    """The request of the candidate of that seed."""
    fit_seed = asked.seed if asked.fit_seed is None else asked.fit_seed
    return replace(asked, seed=seed, fit_seed=None if fit_seed == seed else fit_seed, weights=weights)


def step_names(count: int) -> tuple[str, ...]:
    """The stages of a replay of `count` turns."""
    return tuple(f"turn {number} of {count}" for number in range(1, count + 1))


def within(progress: Progress, name: str, stages: int) -> Progress:
    """Work of that many stages told as one stage `name`, in hundredths; the last one is left to the caller."""
    seen: list[str] = []
    reached = 0

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        nonlocal reached
        if stage not in seen:
            seen.append(stage)
        share = (len(seen) - 1 + step / max(total, 1)) / max(stages, len(seen))
        reached = max(reached, min(HUNDRED - 1, int(HUNDRED * share)), 1)
        progress(name, reached, HUNDRED, preview)

    return tell
