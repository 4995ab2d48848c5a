"""A session: one picture and everything done to it. The single object of the studio that changes.

It holds frozen values (the timeline, the draft, the mask's steps, the candidates) and replaces them: every change is
saved first and takes effect after, so a full disk leaves the session as it was. Methods may come from any thread. The
engine is never called under the session's lock: undo, jump and the page's view stay quick while a mask is computed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import pictures as codec
from pipelines.catalog import method as find_method
from pipelines.catalog import settings as resolved_settings
from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Mask, Picture
from pipelines.masks.prompts import MaskPrompts
from pipelines.models.folders import find_models
from pipelines.progress import Progress
from pipelines.requests import check_request
from studio.errors import Busy, NothingStaged, UnknownPicture
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.jobs.job import Job, JobState
from studio.jobs.runner import Runner
from studio.jobs.work import EditingEngine
from studio.session.checks import LARGEST_SEED, check_draft, clean_draft
from studio.session.present import draft_from_json, draft_to_json, job_view, staged_view, turn_view, turn_views
from studio.session.selection import Selection, Selections
from studio.session.view import Draft, JobView, MaskChoice, MaskView, SessionView, TurnView
from studio.store.store import Record, Staged, Store

log = logging.getLogger(__name__)

REPLACED_MASKS = 16


@dataclass(frozen=True)
class Services:
    """What every session uses."""

    store: Store
    runner: Runner
    engine: EditingEngine
    background: Executor
    """Where masks are made anew after a turn; one thread."""
    pixels: Callable[[str], Picture]
    """The picture of a digest; those looked at last are kept decoded, so that a click need not wait for that."""
    model_folders: tuple[Path, ...]
    segmenter: str


@dataclass(frozen=True)
class _Plan:
    """A turn on its way through the queue."""

    parent: str
    picture: str
    """Digest of the parent's picture."""
    asked: TurnRequest
    """With the first candidate's seed, and without the weights' checksum: the result brings it."""
    candidates: int
    fitted: str | None = None
    """Digest of layers that were fitted for the same request before."""
    appends: bool = False
    """Whether the finished pictures join the staged ones or take their place."""


class Session:
    """See the module. Made by `Sessions`; there is one object of a session in the process."""

    def __init__(self, record: Record, services: Services) -> None:
        self.sid = record.sid
        self._services = services
        self._lock = threading.RLock()
        self._changed = threading.Condition(threading.Lock())
        self._ticks = 0
        self._extent = Extent(record.width, record.height)
        self._record = record
        self._draft = draft_from_json(record.panel["draft"])
        self._selections = Selections.from_json(record.panel["selections"], self._extent)
        # Masks that a page may still be fetching when the next one replaces them.
        self._replaced: deque[str] = deque(maxlen=REPLACED_MASKS)
        self._asked = 0  # counts requests for a mask: an answer that was overtaken is dropped
        self._drawn: tuple[Tree, tuple[TurnView, ...]] | None = None
        self._noted: tuple[str, tuple[str, ...]] | None = None
        self._job_id: str | None = None
        self._interrupted = self._interrupted_job()

    # What the page sees

    def view(self) -> SessionView:
        """Everything the page draws."""
        with self._lock:
            record, tree, here = self._record, self._record.tree, self._record.tree.current
            if self._drawn is None or self._drawn[0] is not tree:
                self._drawn = (tree, turn_views(tree))
            return SessionView(
                sid=self.sid,
                name=record.name,
                rev=record.rev,
                saved_at=record.saved_at,
                width=record.width,
                height=record.height,
                turns=self._drawn[1],
                current=here,
                can_undo=tree.can_undo or self._selections.can_undo(here),
                can_redo=tree.can_redo or self._selections.can_redo(here),
                draft=replace(self._draft, prompts=self._selections.now.prompts),
                mask=self._selections.now.view(tree.here.picture),
                job=self._job_view(),
                staged=tuple(staged_view(s) for s in record.staged),
                notes=(*record.notes, *self._model_notes()),
            )

    def wait(self, since_rev: int, timeout: float) -> SessionView:
        """The view as soon as the revision is another one or the job moved; after `timeout` seconds in any case."""
        with self._changed:
            ticks = self._ticks
            self._changed.wait_for(lambda: self._record.rev != since_rev or self._ticks != ticks, timeout)
        return self.view()

    def picture_bytes(self, digest: str) -> bytes:
        """The PNG file of a picture or mask of this session; `UnknownPicture` for every other digest."""
        with self._lock:
            mine = digest in self._files()
        if not mine:
            raise UnknownPicture("this session has no such picture; reload the page to see the ones there are")
        return self._services.store.pictures.get(digest)

    def preview(self) -> bytes | None:
        """The newest preview of the running job as JPEG."""
        with self._lock:
            return None if self._job_id is None else self._services.runner.preview(self._job_id)

    # The draft

    def set_draft(self, draft: Draft) -> None:
        """Keep what stands in the panel. Mask and references have their own calls; what `draft` says of them is
        not read, so that a page which is behind cannot undo them."""
        draft = clean_draft(draft)
        with self._lock:
            own = self._draft
            draft = replace(
                draft,
                prompts=MaskPrompts(),
                background_reference=own.background_reference,
                subject_reference=own.subject_reference,
            )
            if draft != own:
                self._commit(draft=draft)

    def set_prompts(self, prompts: MaskPrompts) -> MaskView:
        """Point at the subject anew: one step that can be undone. When several come at once the last one counts."""
        with self._lock:
            if prompts == self._selections.now.prompts and not self._selections.now.view(self._here.picture).stale:
                return self._mask_view()
            if prompts.uploaded is not None and prompts.uploaded not in self._files():
                raise UnknownPicture("this session has no such uploaded mask; upload it again")
            ticket, here = self._ticket(), self._here
        selection = self._select(prompts, here.picture, here.picture)
        with self._lock:
            if ticket == self._asked:
                self._commit(selections=self._selections.put(selection, here.id))
            return self._mask_view()

    def upload_mask(self, data: bytes) -> MaskView:
        """Take a mask from a file of the picture's own size."""
        mask = codec.decode_mask(data, self._extent)
        digest = self._services.store.pictures.put(codec.encode_mask(mask))
        with self._lock:
            ticket, here = self._ticket(), self._here
            prompts = MaskPrompts(uploaded=digest, feather=self._selections.now.prompts.feather)
        selection = self._select(prompts, here.picture, here.picture)
        with self._lock:
            if ticket == self._asked:
                self._commit(selections=self._selections.put(selection, here.id))
            return self._mask_view()

    def set_reference(self, which: str, data: bytes | None) -> None:
        """Give (or with ``None`` take away) the picture that the ``"background"`` or ``"subject"`` should follow."""
        assert which in ("background", "subject"), which
        digest = None
        if data is not None:
            digest = self._services.store.pictures.put(codec.encode_png(codec.decode(data).picture))
        with self._lock:
            if which == "background":
                self._commit(draft=replace(self._draft, background_reference=digest))
            else:
                self._commit(draft=replace(self._draft, subject_reference=digest))

    # Running

    def start(self) -> JobView:
        """Queue the turn in preparation. Raises what `check_draft` and
        `check_request` raise, and `Busy` when a job is under way; nothing is queued or stored then."""
        self._refuse_second_job()
        self._remake_mask()
        with self._lock:
            draft, selection, here = self._draft, self._selections.now, self._here
        params = check_draft(draft, selection, self._services.model_folders)
        asked = TurnRequest(
            model=draft.model,
            weights="",
            method=draft.method,
            params=asdict(params),
            quality=draft.quality,
            subject=draft.subject.strip(),
            background=draft.background.strip(),
            scope=draft.scope,
            seed=draft.seed,
            mask=selection.mask,
            prompts=selection.prompts.to_json(),
            feather=selection.prompts.feather,
            background_reference=draft.background_reference,
            subject_reference=draft.subject_reference,
        )
        plan = _Plan(here.id, here.picture, asked, draft.candidates)
        check_request(self._edit_request(plan), find_method(draft.method))
        return self._submit(plan)

    def more_seeds(self) -> JobView:
        """The staged candidates' turn again with the next seeds; what was fitted for them is used again."""
        with self._lock:
            self._refuse_second_job()
            if not self._record.staged:
                raise NothingStaged("there are no finished candidates to make more of; press Run first")
            last = self._record.staged[-1]
            count = self._draft.candidates
            following = last.request.seed + 1
            asked = replace(last.request, seed=following if following + count - 1 <= LARGEST_SEED else 0, weights="")
            picture = self._record.tree[last.parent].picture
            return self._submit(_Plan(last.parent, picture, asked, count, last.outcome.fitted, appends=True))

    def cancel(self) -> None:
        """Stop the job at once; nothing happens when there is none, or it is over."""
        with self._lock:
            if self._job_id is not None:
                self._services.runner.cancel(self._job_id)

    # Candidates and the timeline

    def accept(self, index: int) -> TurnView:
        """Keep the staged candidate `index` as a turn after the one it was started from, and stand on it.

        The texts and references are used up; the mask's clicks stay, and are tried on the new picture.
        """
        with self._lock:
            staged = self._record.staged
            if not 0 <= index < len(staged):
                raise NothingStaged(f"there are {len(staged)} finished candidates; number {index + 1} is none of them")
            chosen = staged[index]
            turn = Turn.after(chosen.parent, chosen.request, chosen.picture, chosen.outcome, time.time())
            tree = self._record.tree.append(turn)
            draft = replace(self._draft, subject="", background="", background_reference=None, subject_reference=None)
            self._forget_finished_job()
            self._commit(tree=tree, draft=draft, staged=())
            return turn_view(tree[turn.id], tree.depths()[turn.id], tree.lanes()[turn.id])

    def discard(self) -> None:
        """Keep none of the staged candidates."""
        with self._lock:
            self._forget_finished_job()
            if self._record.staged:
                self._commit(staged=())

    def undo(self) -> None:
        """Take back the mask's last step on this turn; when there is none, go one turn back."""
        with self._lock:
            tree = self._record.tree
            if self._selections.can_undo(tree.current):
                self._ticket()
                self._commit(selections=self._selections.undo())
            elif tree.can_undo:
                self._commit(tree=tree.undo())

    def redo(self) -> None:
        """The way `undo` came."""
        with self._lock:
            tree = self._record.tree
            if self._selections.can_redo(tree.current):
                self._ticket()
                self._commit(selections=self._selections.redo())
            elif tree.can_redo:
                self._commit(tree=tree.redo())

    def jump(self, turn_id: str) -> None:
        """Stand on a turn; running from there branches."""
        with self._lock:
            self._commit(tree=self._record.tree.jump(turn_id))

    # Inside. Everything below is called with the lock held, unless it says otherwise.

    @property
    def _here(self) -> Turn:
        return self._record.tree.here

    def _commit(
        self,
        *,
        tree: Tree | None = None,
        draft: Draft | None = None,
        selections: Selections | None = None,
        staged: tuple[Staged, ...] | None = None,
    ) -> None:
        """Save a change, then make it. If saving fails nothing has happened."""
        new_draft = self._draft if draft is None else draft
        new_selections = self._selections if selections is None else selections
        record = replace(
            self._record,
            tree=self._record.tree if tree is None else tree,
            staged=self._record.staged if staged is None else staged,
            panel=panel(new_draft, new_selections),
            rev=self._record.rev + 1,
            saved_at=time.time(),
        )
        self._services.store.save(record, self._record)
        self._replaced.extend(self._selections.files() - new_selections.files())
        self._record, self._draft, self._selections = record, new_draft, new_selections
        self._tick()
        moved = tree is not None or selections is not None
        if moved and new_selections.now.needs_remaking(record.tree.here.picture):
            self._services.background.submit(self._remake_mask_quietly)

    def _tick(self) -> None:
        with self._changed:
            self._ticks += 1
            self._changed.notify_all()

    def _ticket(self) -> int:
        self._asked += 1
        return self._asked

    def _mask_view(self) -> MaskView:
        return self._selections.now.view(self._here.picture)

    def _files(self) -> frozenset[str]:
        """Digests of everything this session may show."""
        turns = (turn.files() for turn in self._record.tree.turns.values())
        staged = ({s.picture, s.outcome.background_reference} for s in self._record.staged)
        given = {self._draft.background_reference, self._draft.subject_reference}
        masks = self._selections.files().union(self._replaced)
        return frozenset(d for d in given.union(*turns, *staged, masks) if d is not None)

    def _model_notes(self) -> tuple[str, ...]:
        """The limits of the draft's model in words; its card is read when the model changes."""
        model = self._draft.model
        if self._noted is None or self._noted[0] != model:
            card = find_models(self._services.model_folders).get(model)
            self._noted = (model, (card.notes,) if card is not None and card.notes else ())
        return self._noted[1]

    # Masks

    def _select(self, prompts: MaskPrompts, picture: str, pointed_on: str | None) -> Selection:
        """Ask the engine what `prompts` select in the picture of that digest. Called without the lock."""
        if prompts.is_empty:
            return Selection(prompts, pointed_on=pointed_on, made_on=picture)
        uploaded = None if prompts.uploaded is None else self._mask(prompts.uploaded)
        answer = self._services.engine.segment(
            self._services.pixels(picture), prompts, segmenter=self._services.segmenter, uploaded=uploaded
        )
        return Selection(
            prompts=prompts,
            mask=self._services.store.pictures.put(codec.encode_mask(answer.mask)),
            area=float(np.mean(answer.mask)),
            choices=tuple(MaskChoice(label, float(score)) for label, score in answer.choices),
            chosen=answer.chosen or 0,
            pointed_on=pointed_on,
            made_on=picture,
        )

    def _remake_mask(self) -> None:
        """Try the same prompts on the picture one stands on by now. Called without the lock."""
        with self._lock:
            selection, picture, ticket = self._selections.now, self._here.picture, self._asked
        if not selection.needs_remaking(picture):
            return
        remade = self._select(selection.prompts, picture, selection.pointed_on)
        with self._lock:
            # Prompts may have been asked for before this began and have arrived meanwhile: those stand.
            untouched = ticket == self._asked and self._selections.now is selection
            if untouched and self._here.picture == picture:
                self._commit(selections=self._selections.amended(remade))

    def _remake_mask_quietly(self) -> None:
        """In the background, where nobody waits for the error: the old mask stays, and `start` says what is wrong."""
        try:
            self._remake_mask()
        except Exception:
            log.warning("the mask of session %s… could not be made anew", self.sid[:6], exc_info=True)

    def _picture(self, digest: str) -> Picture:
        return codec.decode(self._services.store.pictures.get(digest)).picture

    def _mask(self, digest: str) -> Mask:
        return codec.decode_mask(self._services.store.pictures.get(digest), self._extent)

    # Jobs

    def _submit(self, plan: _Plan) -> JobView:
        """Queue `plan`; `Busy` when the session has a job."""
        asked, engine, runner = plan.asked, self._services.engine, self._services.runner
        entry = find_method(asked.method)
        params = resolved_settings(asked.method, asked.quality, dict(asked.params))

        def work(progress: Progress) -> EditResult:
            return engine.edit(asked.model, asked.method, self._edit_request(plan), params, progress)

        kind = f"edit {asked.model} {asked.method} {asked.quality} {plan.candidates} {'more' if plan.fitted else 'new'}"
        with self._lock:
            self._refuse_second_job()
            self._forget_finished_job()
            job = runner.submit(
                self.sid, kind, entry.stages, work, lambda result: self._deliver(plan, result), lambda _: self._tick()
            )
            self._job_id = job.id
        self._tick()
        return job_view(job, runner)

    def _edit_request(self, plan: _Plan) -> EditRequest:
        """Files become arrays. Called without the lock."""
        asked, store, extent = plan.asked, self._services.store, self._extent
        background, subject = asked.background_reference, asked.subject_reference
        everything = np.ones((extent.height, extent.width), bool)
        return EditRequest(
            picture=self._picture(plan.picture),
            mask=everything if asked.mask is None else self._mask(asked.mask),
            subject=asked.subject,
            background=asked.background,
            scope=asked.scope,
            seed=asked.seed,
            candidates=plan.candidates,
            background_reference=None if background is None else self._picture(background),
            subject_reference=None if subject is None else self._picture(subject),
            feather=asked.feather,
            fitted=None if plan.fitted is None else store.fitted.get(plan.fitted),
        )

    def _deliver(self, plan: _Plan, result: EditResult) -> None:
        """On the worker, without the lock: files first, then the rows that name them."""
        pictures, reference = self._services.store.pictures, result.background_reference
        outcome = Outcome(
            seconds=sum(stage.seconds for stage in result.stages),
            stages=result.stages,
            weights_after=result.weights_after,
            background_reference=None if reference is None else pictures.put(codec.encode_png(reference)),
            fitted=None if result.fitted is None else self._services.store.fitted.put(result.fitted),
        )

        def staged(candidate: Candidate) -> Staged:
            outside = candidate.outside
            return Staged(
                parent=plan.parent,
                picture=pictures.put(codec.encode_png(candidate.picture)),
                request=replace(plan.asked, seed=candidate.seed, weights=result.weights_before),
                outcome=replace(
                    outcome,
                    outside_changed=outside.changed,
                    outside_kept=outside.kept,
                    outside_largest=outside.largest,
                ),
            )

        finished = tuple(staged(candidate) for candidate in result.candidates)
        with self._lock:
            self._commit(staged=(*self._record.staged, *finished) if plan.appends else finished)

    def _active_job(self) -> Job | None:
        job = None if self._job_id is None else self._services.runner.job(self._job_id)
        return None if job is None or job.finished else job

    def _refuse_second_job(self) -> None:
        with self._lock:
            if self._active_job() is not None:
                raise Busy("this session is computing a turn already; wait for it, or press Cancel first")

    def _forget_finished_job(self) -> None:
        self._interrupted = None
        if self._job_id is not None and self._active_job() is None:
            self._services.runner.forget(self._job_id)
            self._job_id = None

    def _job_view(self) -> JobView | None:
        job = None if self._job_id is None else self._services.runner.job(self._job_id)
        return self._interrupted if job is None else job_view(job, self._services.runner)

    def _interrupted_job(self) -> JobView | None:
        """The last job, if the studio was stopped while it waited or ran."""
        note = self._services.store.last_job(self.sid)
        if note is None or note.state != JobState.INTERRUPTED:
            return None
        told = "the studio was stopped while this turn was under way; nothing of it was kept. Press Run to do it again"
        return JobView(note.id, JobState.INTERRUPTED, "", 0, 0, (), None, error=told)


def panel(draft: Draft, selections: Selections) -> dict[str, Any]:
    """How draft and mask steps are stored."""
    return {"draft": draft_to_json(draft), "selections": selections.to_json()}
