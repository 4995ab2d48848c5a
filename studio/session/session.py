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
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from types import EllipsisType
from typing import Any, TypeVar

from pipelines import pictures as codec
from pipelines.catalog import CATALOG, Method, alike, scope_of, settings
from pipelines.catalog import method as find_method
from pipelines.contract import Box, Extent, Kind, Mask, Scope, about
from pipelines.errors import PipelineError
from pipelines.frames import Frame
from pipelines.hints.pictures import misfit
from pipelines.instructions.contract import Asked, Split
from pipelines.masks.prompts import MaskPrompts
from pipelines.models.folders import check_parts, find_model
from pipelines.models.lora_files import lora_use
from pipelines.params import ModelParams
from pipelines.progress import Progress
from pipelines.requests import LARGEST_SEED, MOST_CANDIDATES, check_picture, check_text
from pipelines.window import window_of
from studio.errors import (
    Busy,
    DamagedSession,
    NothingStaged,
    NotMadeFor,
    NotReady,
    UnknownMask,
    UnknownPicture,
    UserError,
)
from studio.history import replay as replays
from studio.history.frames import frames, reframes
from studio.history.replay import Replay, Step
from studio.history.sound import is_name
from studio.history.tree import LONGEST_NAME, Tree
from studio.history.turn import Turn, TurnRequest
from studio.jobs.job import Job, JobState
from studio.session.attention import GIVEN, STAGE, Attention, attended, texts_of
from studio.session.checks import check_draft, check_limits, clean_draft, stored_draft
from studio.session.computing import HUNDRED, Compared, Computing, step_names, within
from studio.session.order_swap import Swap, compare_pair, orders, pairs, swap
from studio.session.present import (
    draft_of,
    draft_to_json,
    editing_view,
    job_view,
    staged_to_json,
    staged_view,
    stored_put_away,
    trash_views,
    turn_view,
    turn_views,
    used_up,
)
from studio.session.selection import Combine, SavedMask, Selection, Selections, stored_masks, stored_selections
from studio.session.services import Services
from studio.session.tabs import Tabs
from studio.session.view import (
    AttentionView,
    Draft,
    JobView,
    MaskView,
    OrdersView,
    SavedMaskView,
    SessionView,
    SplitView,
    TurnView,
)
from studio.store.archive.schema import MOST_MASKS
from studio.store.record import Record, Staged
from studio.visitors import asking

log = logging.getLogger(__name__)

T = TypeVar("T")

REPLACED_MASKS = 16
MOST_PUT_AWAY = 8
"""Candidates that were not kept and can be brought back; older ones are forgotten."""


class Session:
    """See the module. Made by `Sessions`; there is one object of a session in the process."""

    def __init__(self, record: Record, services: Services) -> None:
        self.sid = record.sid
        self._services = services
        self._lock = threading.RLock()
        self._changed = threading.Condition(threading.Lock())
        self._ticks = 0
        self._original = Extent(record.width, record.height)
        self._framed: tuple[Tree, dict[str, Frame]] | None = None
        self._record = record
        self._draft, said = stored_draft(record.panel.get("draft"))
        self._selections, lost = stored_selections(record.panel.get("selections"))
        self._mended = tuple(note for note in (said, lost) if note)
        # Masks that a page may still be fetching when the next one replaces them.
        self._replaced: deque[str] = deque(maxlen=REPLACED_MASKS)
        self._asked = 0  # counts requests for a mask: an answer that was overtaken is dropped
        self.tabs = Tabs()
        self.steps = threading.RLock()
        """Held by programs while they take several steps that belong together, such as texts and then Run."""
        self._computing = Computing(services, self._original)
        editing = record.panel.get("editing")
        self._editing: str | None = editing if editing in record.tree.visible else None
        self._put_away = stored_put_away(record.panel.get("put_away"))
        self._masks = stored_masks(record.panel.get("masks"), record.tree.turns)
        self._discarded: tuple[int, tuple[Staged, ...]] = (-1, ())  # the revision that discarding made, and what went
        self._swap: Swap | None = None
        self._split: SplitView | None = None
        self._attention: Attention | None = None
        self._orders: dict[tuple[str, str], Compared] = {}
        self._drawn: tuple[Tree, tuple[TurnView, ...], int] | None = None
        self._noted: tuple[str, tuple[str, ...]] | None = None
        self._idle: tuple[Draft, dict[str, str]] | None = None
        self._sees: tuple[Draft, str | None, Box | None] | None = None
        self._job_id: str | None = None
        self._interrupted = self._interrupted_job()

    # What the page sees

    def view(self) -> SessionView:
        """Everything the page draws."""
        with self._lock:
            record, tree, here = self._record, self._record.tree, self._record.tree.current
            if self._drawn is None or self._drawn[0] is not tree:
                self._drawn = (tree, turn_views(tree, self._frames(tree)), record.rev)
            framed = self._frames(tree)
            return SessionView(
                sid=self.sid,
                name=record.name,
                rev=record.rev,
                saved_at=record.saved_at,
                width=framed[here].extent.width,
                height=framed[here].extent.height,
                turns=self._drawn[1],
                film=self._drawn[2],
                current=here,
                can_undo=tree.can_undo or self._selections.can_undo(here) or self._just_discarded,
                can_redo=tree.can_redo or self._selections.can_redo(here),
                draft=replace(self._draft, prompts=self._selections.now.prompts),
                mask=self._selections.now.view(tree.here.picture),
                job=self._job_view(),
                staged=tuple(staged_view(s, framed[s.parent]) for s in record.staged),
                notes=(*record.notes, *self._mended, *self._model_notes()),
                branch=tree.branch,
                branches=tuple(tree.branches.items()),
                editing=None if self._editing is None else editing_view(tree, self._editing),
                swap=None if self._swap is None else self._swap.view(),
                trash=trash_views(tree),
                split=self._split,
                damage=record.damage,
                put_away=tuple(staged_view(s, framed[s.parent]) for s in self._put_away if s.parent in framed),
                idle=self._idle_settings(),
                masks=tuple(one.view() for one in self._masks),
                sees=self._model_sees(),
                alike=self._alike(),
                attention=self._attended(),
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
                **own.references(),
            )
            if draft != own:
                self._commit(draft=draft)

    def set_prompts(self, prompts: MaskPrompts) -> MaskView:
        """Point at the subject anew: one step that can be undone. When several come at once the last one counts."""
        with self._lock:
            if prompts == self._selections.now.prompts and not self._selections.now.view(self._here.picture).stale:
                return self._mask_view()
            self._refuse_damaged()
            if prompts.uploaded is not None and prompts.uploaded not in self._files():
                raise UnknownPicture("this session has no such uploaded mask; upload it again")
            ticket, here = self._ticket(), self._here
        selection = self._computing.select(prompts, here.picture, here.picture)
        with self._lock:
            if ticket == self._asked:
                self._commit(selections=self._selections.put(selection, here.id))
            return self._mask_view()

    def upload_mask(self, data: bytes) -> MaskView:
        """Take a mask from a file of the picture's own size."""
        self._refuse_damaged()
        mask = codec.decode_mask(data, self._frame.extent)
        digest = self._services.keep_mask(mask)
        with self._lock:
            ticket, here = self._ticket(), self._here
            now = self._selections.now.prompts
            prompts = MaskPrompts(uploaded=digest, feather=now.feather, snap=now.snap)
        selection = self._computing.select(prompts, here.picture, here.picture)
        with self._lock:
            if ticket == self._asked:
                self._commit(selections=self._selections.put(selection, here.id))
            return self._mask_view()

    def save_mask(self, name: str) -> SavedMaskView:
        """Keep the mask as it stands under `name`, for later turns; one of that name is replaced. Raises `NotReady`
        where nothing is selected, or that is no name."""
        name = " ".join(name.split())
        if not is_name(name):
            raise NotReady(f"a mask's name has 1 to {LONGEST_NAME} printable characters; got {name!r:.80}")
        with self._lock:
            now = self._selections.now
            if now.mask is None:
                raise NotReady("nothing is selected, so there is no mask to save; select something first")
            others = tuple(one for one in self._masks if one.name != name)
            if len(others) >= MOST_MASKS:
                raise NotReady(f"a session keeps {MOST_MASKS} masks at most; forget one first")
            saved = SavedMask(name, now.mask, self._here.id, now.area)
            self._commit(masks=tuple(sorted((*others, saved), key=lambda one: one.name.casefold())))
        return saved.view()

    def use_mask(self, name: str, how: Combine = Combine.REPLACE) -> MaskView:
        """Select what was saved under `name`, or join it with what is selected; one step that can be undone. Saved in
        another frame it lies where that was. Raises `UnknownMask` where there is none of that name."""
        with self._lock:
            saved, here, now = self._saved(name), self._here, self._selections.now
            known = self._frames(self._record.tree)
        frame = known[here.id]
        mask = self._computing.mask(self._computing.carried(saved.mask, known[saved.turn], frame), frame.extent)
        before = None if now.mask is None else self._computing.mask(now.mask, frame.extent)
        joined = saved.joined(mask, before, how)
        digest = self._services.keep_mask(joined)
        with self._lock:
            self._ticket()
            prompts = MaskPrompts(uploaded=digest, feather=now.prompts.feather, snap=now.prompts.snap)
            selection = Selection(prompts, digest, float(joined.mean()), pointed_on=here.picture, made_on=here.picture)
            if here.id == self._here.id:
                self._commit(selections=self._selections.put(selection, here.id))
            return self._mask_view()

    def forget_mask(self, name: str) -> None:
        """Take a saved mask away. Raises `UnknownMask` where there is none of that name."""
        with self._lock:
            gone = self._saved(name)
            self._commit(masks=tuple(one for one in self._masks if one is not gone))

    def set_reference(self, which: str, data: bytes | None) -> None:
        """Give (or with ``None`` take away) the picture that the ``"background"`` or ``"subject"`` should follow.

        The subject of a picture is what a click in its middle finds; the whole picture where that is nothing. Raises
        `BadRequest` for one of a size that no turn could follow.
        """
        assert which in ("background", "subject"), which
        digest = mask = None
        if data is not None:
            picture = codec.decode(data).picture
            if self._services.hosting is not None:
                picture = codec.within(picture, self._services.hosting.largest_side)
            check_picture(picture, f"the {which} reference")
            digest = self._services.store.pictures.put(codec.encode_png(picture))
            if which == "subject":
                mask = self._computing.central_subject(picture)
        with self._lock:
            if which == "background":
                self._commit(draft=replace(self._draft, background_reference=digest))
            else:
                self._commit(draft=replace(self._draft, subject_reference=digest, subject_reference_mask=mask))

    # Running

    def start(self, insists: bool = False) -> JobView:
        """Queue the turn in preparation; where an earlier turn is being changed, that one and all that follow it.

        Raises what `check_draft` and `check_request` raise, `Busy` when a job is under way, and `NotMadeFor` where the
        model was made for other pictures, unless somebody `insists`, now or earlier; nothing is queued or stored then.
        """
        draft, selection, here, tree, editing = self._prepared()
        asked = self._request(draft, selection)
        self._computing.check(here.picture, asked, draft.candidates if editing is None else 1)
        self._refuse_misfit(draft, here.picture, insists)
        if editing is not None:
            return self._replay(tree, replays.edited(tree, editing, asked))
        return self._run(tree, here.id, asked, draft.candidates)

    def _prepared(self) -> tuple[Draft, Selection, Turn, Tree, str | None]:
        """What a run begins with: the draft, the mask as it is on this picture, where one stands, the timeline, and the
        turn that is being changed. Raises `Busy`."""
        self._refuse_second_job()
        self._remake_mask()
        with self._lock:
            return self._draft, self._selections.now, self._here, self._record.tree, self._editing

    def try_methods(self, names: Sequence[str], insists: bool = False) -> JobView:
        """Queue the turn in preparation once by each method of `names`, each with its own settings: a candidate of each
        to choose from.

        Raises as `start` does, and `NotReady` for names that are none or too many, for methods that do not take the
        same words, and while an earlier turn is being changed.
        """
        draft, selection, here, tree, editing = self._prepared()
        if editing is not None:
            raise NotReady("one method runs again what an earlier turn was; press Run, or leave the change first")
        if not 1 <= len(set(names)) == len(names) <= MOST_CANDIDATES:
            raise NotReady(f"choose between 1 and {MOST_CANDIDATES} methods to try, each once; got {len(names)}")
        entry = find_method(draft.method)
        fitting = {method.name for method in alike(entry, self._services.card(draft.model))}
        requests = []
        for name in names:
            if find_method(name).name not in fitting:
                raise NotReady(
                    f"{find_method(name).title} does not take the same words as {entry.title} on this model; choose "
                    f"from {', '.join(sorted(fitting))}"
                )
            asked = self._request(
                clean_draft(replace(draft, method=name, changes=draft.changes if name == draft.method else {})),
                selection,
            )
            self._computing.check(here.picture, asked, 1)
            requests.append(asked)
        self._refuse_misfit(draft, here.picture, insists)
        check_limits(self._services.hosting, draft.quality, len(requests))
        line = tuple(tree[id] for id in tree.line(here.id))

        def work(progress: Progress) -> tuple[Staged, ...]:
            return self._computing.tried(line, requests, progress)

        def deliver(finished: tuple[Staged, ...]) -> None:
            with self._lock:
                self._commit(staged=finished)

        return self._submit("try", tuple(find_method(name).title for name in names), work, deliver)

    def run_all(self, asked: Sequence[Asked], insists: bool = False) -> JobView:
        """Run several turns one after another, each with the panel's settings and the mask as it stands.

        They become turns when all are done. Raises as `start` does, and nothing is queued then.
        """
        draft, selection, here, tree, _ = self._prepared()
        entry = find_method(draft.method)
        if entry.reads != (Scope.SUBJECT, Scope.BACKGROUND):
            raise NotReady(f"{entry.title} does not read what a part becomes; choose a method that does, like Layered")
        if not asked:
            raise NotReady("there is nothing to run; say what the subject or the background should become")
        steps = []
        for one in asked:
            said = replace(draft, subject=one.subject, background=one.background, scope=one.scope)
            request = self._request(clean_draft(said), selection)
            self._computing.check(here.picture, request, 1)
            steps.append(Step(request, None))
        self._refuse_misfit(draft, here.picture, insists)
        return self._replay(tree, Replay(here.id, tuple(steps)))

    def split(self, words: str, subject: str, background: str) -> JobView:
        """Let the language model split a sentence into turns; the view shows what it found, and nothing else changes.

        `subject` and `background` are what the line said of them last. Raises `NotReady` where there is no model.
        """
        splitter = self._services.splitter
        if splitter is None:
            raise NotReady("no language model is set; start the studio with --language-model, or let the rules split")
        asked: list[str] = []

        def deliver(found: Split) -> None:
            with self._lock:
                self._split = SplitView(asked[0], found)

        with self._lock:  # the result comes after the job's name is known
            job = self._submit(
                "split", ("reading",), lambda progress: splitter(words, subject, background, progress), deliver
            )
            asked.append(job.id)
        return job

    def attend(self, text: str = "", words: Sequence[str] = ()) -> JobView:
        """Find what the model looks at in the picture one stands on, for the `words` of `text` or for all of them; the
        view's `attention` has it then. Without a text those of the turn in preparation and of what the picture shows.

        Raises `NotReady` where there is no text, and `ModelError`; a word that the text does not have fails the job.
        """
        with self._lock:
            draft, tree, here = self._draft, self._record.tree, self._here
        text = " ".join(text.split())
        check_text(text, "text")
        texts = {GIVEN: text} if text else texts_of(draft, tuple(tree[id] for id in tree.line(here.id)))
        if not texts:
            raise NotReady("there is no word to look for; say what the subject or the background becomes")
        check_parts(find_model(draft.model, self._services.model_folders))
        loras = tuple(lora_use(name, scale, self._services.model_folders) for name, scale in draft.loras.items())

        def work(progress: Progress) -> Attention:
            return attended(self._services, draft.model, loras, here.picture, texts, words, progress)

        def deliver(found: Attention) -> None:
            with self._lock:
                self._attention = found

        return self._submit("attention", (STAGE,), work, deliver, draft.model)

    def more_seeds(self) -> JobView:
        """The staged candidates' turn again with the next seeds, which join them."""
        with self._lock:
            self._refuse_second_job()
            if not self._record.staged:
                raise NothingStaged("there are no finished candidates to make more of; press Run first")
            last = self._record.staged[-1]
            count = self._draft.candidates
            following = last.request.seed + 1
            fit_seed = last.request.seed if last.request.fit_seed is None else last.request.fit_seed
            seed = following if following + count - 1 <= LARGEST_SEED else 0
            asked = replace(last.request, seed=seed, fit_seed=fit_seed, weights="")
            return self._run(self._record.tree, last.parent, asked, count, more=True)

    def cancel(self) -> None:
        """Stop the job at once; nothing happens when there is none, or it is over."""
        with self._lock:
            if self._job_id is not None:
                self._services.runner.cancel(self._job_id)

    # Candidates and the timeline

    def accept(self, index: int) -> TurnView:
        """Keep the staged candidate `index` as a turn after the one it was started from, and stand on it.

        The texts and references that it was made of are used up; the mask's clicks stay, and are tried on the new
        picture.
        """
        with self._lock:
            staged = self._record.staged
            if not 0 <= index < len(staged):
                raise NothingStaged(f"there are {len(staged)} finished candidates; number {index + 1} is none of them")
            chosen = staged[index]
            turn = Turn.after(chosen.parent, chosen.request, chosen.picture, chosen.outcome, time.time())
            tree = self._record.tree.append(turn)
            draft = used_up(self._draft, chosen.request)
            self._forget_finished_job()
            self._move(tree, draft=draft, staged=())
            frame = self._frames(tree)[turn.id]
            return turn_view(tree[turn.id], tree.depths()[turn.id], tree.lanes()[turn.id], frame)

    def discard(self) -> None:
        """Keep none of the staged candidates; `undo` right after it, or `bring_back`, has them again."""
        with self._lock:
            self._forget_finished_job()
            if self._record.staged:
                gone = self._record.staged
                self._commit(staged=())
                self._discarded = (self._record.rev, gone)

    def bring_back(self, pictures: Sequence[str]) -> None:
        """Stage candidates again that were put away: discarded, or not chosen, or replaced by the next run's."""
        with self._lock:
            found = tuple(s for s in self._put_away if s.picture in pictures)
            if not found:
                raise NothingStaged("these candidates were put away too long ago; run their turn again")
            self._stage_again(found)

    def undo(self) -> None:
        """Bring back what was discarded just now; else take back the mask's last step on this turn; when there is
        none, go one turn back."""
        with self._lock:
            tree = self._record.tree
            if self._just_discarded:
                self._stage_again(self._discarded[1])
            elif self._selections.can_undo(tree.current):
                self._ticket()
                self._commit(selections=self._selections.undo())
            elif tree.can_undo:
                self._move(tree.undo())

    def redo(self) -> None:
        """The way `undo` came."""
        with self._lock:
            tree = self._record.tree
            if self._selections.can_redo(tree.current):
                self._ticket()
                self._commit(selections=self._selections.redo())
            elif tree.can_redo:
                self._move(tree.redo())

    def jump(self, turn_id: str) -> None:
        """Stand on a turn; running from there branches."""
        with self._lock:
            self._move(self._record.tree.jump(turn_id))

    def branch(self, name: str | None = None) -> None:
        """A new branch at the turn one stands on."""
        with self._lock:
            self._move(self._record.tree.branch_here(name))

    def rename_branch(self, old: str, new: str) -> None:
        with self._lock:
            self._commit(tree=self._record.tree.rename_branch(old, new))

    def trash(self, turn_id: str) -> None:
        """Take a turn, and all that follow it, out of sight; `restore` brings them back."""
        with self._lock:
            self._refuse_second_job()
            tree = self._record.tree.trash(turn_id)
            staged = tuple(s for s in self._record.staged if s.parent in tree.visible)
            self._move(tree, staged=staged)
            if self._swap is not None and self._swap.second.id not in tree.visible:
                self._swap = None

    def restore(self, turn_id: str) -> None:
        """Bring back what went into the trash with this turn."""
        with self._lock:
            self._move(self._record.tree.restore(turn_id))

    def rename(self, name: str) -> None:
        """Call the session something else; `name` is a clean one."""
        with self._lock:
            self._commit(name=name)

    # Turns computed again

    def edit(self, turn_id: str) -> None:
        """Begin to change an earlier turn: one stands before it, with its texts, settings and mask in the panel.

        `start` then runs it and the turns after it anew, on a new branch; the old ones stay. Going elsewhere, or
        `leave`, ends it.
        """
        with self._lock:
            tree = self._record.tree
            turn = tree[turn_id]
            if turn.request is None or turn.parent is None:
                raise NotReady("the original was made by no turn; choose one of the turns after it to change")
            before = tree[turn.parent]
            extent = self._frames(tree)[before.id].extent
            prompts = MaskPrompts.from_json(turn.request.prompts, extent)
            selection = self._selection_of(turn.request, prompts, before.picture, extent)
            self._ticket()
            self._move(
                tree.jump(turn.id).undo(),
                draft=draft_of(turn.request, self._draft, self._services.card(turn.request.model)),
                selections=self._selections.put(selection, before.id),
                editing=turn.id,
            )

    def leave(self) -> None:
        """Leave the turn that was being changed as it was, and stand on it."""
        with self._lock:
            if self._editing is not None:
                draft = used_up(self._draft)
                self._move(self._record.tree.jump(self._editing), draft=draft)

    def cherry_pick(self, turn_id: str, onto: str) -> JobView:
        """Do what a turn did on another one as well."""
        return self._replay_of(lambda tree: replays.cherry_picked(tree, turn_id, onto))

    def squash(self, first: str, last: str) -> JobView:
        """Do what a run of turns did in one turn."""
        return self._replay_of(lambda tree: replays.squashed(tree, first, last))

    def revert(self, track: Scope) -> JobView:
        """Do the line one stands on again without what it did to the subject, or to the background."""
        return self._replay_of(lambda tree: replays.without_track(tree, tree.current, track))

    def combine(self, subject_of: str, background_of: str) -> JobView:
        """The subject as one turn made it, before the background that another one made."""
        return self._replay_of(lambda tree: replays.combined(tree, subject_of, background_of))

    def redo_from_original(self) -> JobView:
        """All requests of the line merged into one turn of the original, so that nothing is painted over twice."""
        return self._replay_of(lambda tree: replays.from_original(tree, tree.current))

    def swap(self, first: str, second: str) -> JobView:
        """Compute two neighbouring turns in the other order and compare; `adopt` makes it a branch."""
        with self._lock:
            tree = self._record.tree
            replays.swapped(tree, first, second)  # refused before anything is queued

        def deliver(found: Swap) -> None:
            with self._lock:
                self._commit()
                self._swap = found
                self._orders[first, second] = found.compared

        def work(progress: Progress) -> Swap:
            return swap(self._computing, tree, first, second, progress)

        with self._lock:
            job = self._submit("swap", step_names(2), work, deliver)
            self._swap = None  # the last comparison goes when this one is queued, and stays when it is refused
        return job

    def adopt(self) -> None:
        """Lay the other order down as a new branch and stand on its end."""
        with self._lock:
            if self._swap is None:
                raise NothingStaged(
                    "no other order has been computed; choose two neighbouring turns and swap them first"
                )
            self._move(self._record.tree.adopt(self._swap.turns))
            self._swap = None

    def dismiss(self) -> None:
        """Put the comparison of two orders away."""
        with self._lock:
            if self._swap is not None:
                self._commit()
                self._swap = None

    def orders(self, count: int) -> OrdersView:
        """Whether the order of the last turns matters, pair by pair: guessed, and measured where `measure` did."""
        with self._lock:
            tree, known = self._record.tree, dict(self._orders)
        return orders(self._computing, tree, count, known)

    def measure(self, count: int) -> JobView:
        """Run both orders of every pair of the last turns."""
        with self._lock:
            tree, wanted = self._record.tree, [p for p in pairs(self._record.tree, count) if p not in self._orders]
        if not wanted:
            raise NothingStaged("the order of all these turns has been measured")
        names = tuple(f"pair {number} of {len(wanted)}" for number in range(1, len(wanted) + 1))

        def work(progress: Progress) -> None:
            for name, pair in zip(names, wanted, strict=True):
                found = compare_pair(self._computing, tree, *pair, within(progress, name, 4))
                progress(name, HUNDRED, HUNDRED)
                with self._lock:
                    self._orders[pair] = found

        return self._submit("orders", names, work, lambda _: self._tick())

    # Inside. Everything below is called with the lock held, unless it says otherwise.

    def _saved(self, name: str) -> SavedMask:
        found = next((one for one in self._masks if one.name == name), None)
        if found is None:
            there = ", ".join(one.name for one in self._masks) or "none"
            raise UnknownMask(f"no mask was saved as {name!r:.80}; there are: {there}")
        return found

    @property
    def is_busy(self) -> bool:
        """Whether a job of it waits or runs."""
        return self._active_job() is not None

    @property
    def _here(self) -> Turn:
        return self._record.tree.here

    @property
    def _frame(self) -> Frame:
        """Of the picture one stands on."""
        with self._lock:
            tree = self._record.tree
            return self._frames(tree)[tree.current]

    def _frames(self, tree: Tree) -> dict[str, Frame]:
        """Of all turns of `tree`, by id; worked out when the timeline changes."""
        if self._framed is None or self._framed[0].turns is not tree.turns:
            self._framed = (tree, frames(tree.turns.values(), self._original))
        return self._framed[1]

    @property
    def _just_discarded(self) -> bool:
        return self._discarded[0] == self._record.rev

    def _stage_again(self, found: tuple[Staged, ...]) -> None:
        visible = self._record.tree.visible
        if any(s.parent not in visible for s in found):
            raise NothingStaged("the turn that these candidates follow is in the trash; bring that back first")
        self._commit(staged=(*self._record.staged, *found))

    def _without(self, staged: tuple[Staged, ...], tree: Tree) -> tuple[Staged, ...]:
        """What is put away once `staged` wait: the candidates that leave the stage and become no turn, newest first."""
        kept = {s.picture for s in staged}.union(turn.picture for turn in tree.turns.values())
        left = {s.picture: s for s in (*self._record.staged, *self._put_away) if s.picture not in kept}
        return tuple(left.values())[:MOST_PUT_AWAY]

    def _commit(
        self,
        *,
        tree: Tree | None = None,
        draft: Draft | None = None,
        selections: Selections | None = None,
        staged: tuple[Staged, ...] | None = None,
        editing: str | EllipsisType | None = ...,
        name: str | None = None,
        masks: tuple[SavedMask, ...] | None = None,
    ) -> None:
        """Save a change, then make it. If saving fails nothing has happened. In a session that is damaged one may go
        from turn to turn, which is not saved; all else raises `DamagedSession`."""
        new_draft = self._draft if draft is None else draft
        new_selections = self._followed(tree) if selections is None else selections
        new_editing = self._editing if isinstance(editing, EllipsisType) else editing
        new_tree = self._record.tree if tree is None else tree
        new_masks = self._masks if masks is None else masks
        put_away = self._put_away if staged is None else self._without(staged, new_tree)
        record = replace(
            self._record,
            tree=new_tree,
            staged=self._record.staged if staged is None else staged,
            panel=panel(new_draft, new_selections, new_editing, put_away, new_masks),
            name=self._record.name if name is None else name,
            rev=self._record.rev + 1,
            saved_at=time.time(),
        )
        if not self._record.damage:
            self._services.store.save(record, self._record)
        elif not self._only_moves(record, new_draft):
            self._refuse_damaged()
        self._replaced.extend(self._selections.files() - new_selections.files())
        self._record, self._draft, self._selections, self._editing = record, new_draft, new_selections, new_editing
        self._put_away, self._masks = put_away, new_masks
        self._tick()
        moved = tree is not None or selections is not None
        if moved and not record.damage and new_selections.now.needs_remaking(record.tree.here.picture):
            self._services.background.submit(self._remake_mask_quietly)

    def _only_moves(self, record: Record, draft: Draft) -> bool:
        """Whether `record` is the session with another place in its timeline, and nothing else."""
        before = self._record
        tree = replace(record.tree, branch=before.tree.branch, current=before.tree.current)
        return (tree, record.staged, record.name, draft) == (before.tree, before.staged, before.name, self._draft)

    def _refuse_damaged(self) -> None:
        if self._record.damage:
            raise DamagedSession(
                "this session is damaged: it can be looked at and exported, but not changed. Duplicate it to go on"
            )

    def _followed(self, tree: Tree | None) -> Selections:
        """What is pointed at, on the turn one goes to: where that turn was made with the same marks, the mask that it
        left. Other marks are tried anew there (`_remake_mask`); in another frame marks and mask are where that has
        them."""
        tree = self._record.tree if tree is None else tree
        here, known = tree.here, self._frames(tree)
        made_in, frame = known.get(self._selections.anchor, Frame(self._original)), known[here.id]
        selections = self._selections
        if frame != known[self._record.tree.current]:
            pointed = self._pointed_in(made_in, frame)
            selections = selections.at_home() if frame == made_in else selections.away(pointed)
        now, after, asked = selections.now, here.outcome.mask_after, here.request
        if after is None or asked is None or now.made_on == here.picture:
            return selections
        begun_in = known[here.parent or ""]
        if MaskPrompts.from_json(asked.prompts, begun_in.extent) != self._pointed_in(made_in, begun_in).prompts:
            return selections
        area = float(self._computing.mask(after, frame.extent).mean())
        if area == 0:  # it was taken out
            return selections.amended(Selection(now.prompts, made_on=here.picture))
        return selections.amended(
            Selection(
                prompts=now.prompts,
                mask=after,
                area=area,
                # A subject that stayed needs no second look.
                pointed_on=here.picture if after == asked.mask or reframes(asked) else now.pointed_on,
                made_on=here.picture,
            )
        )

    def _pointed_in(self, made_in: Frame, frame: Frame) -> Selection:
        """What is pointed at, which was made in the one frame, in another, untried on any picture there."""
        pointed = self._selections.pointed
        if made_in == frame or pointed.mask is None:
            return pointed
        prompts, mask = self._computing.carried_marks(pointed.prompts, pointed.mask, made_in, frame)
        area = float(self._computing.mask(mask, frame.extent).mean())
        if area == 0:
            return Selection(replace(MaskPrompts(), feather=prompts.feather, snap=prompts.snap))
        return replace(pointed, prompts=prompts, mask=mask, area=area, made_on=None)

    def _move(
        self,
        tree: Tree,
        *,
        draft: Draft | None = None,
        selections: Selections | None = None,
        staged: tuple[Staged, ...] | None = None,
        editing: str | None = None,
    ) -> None:
        """Commit another place in the timeline: a turn that was being changed is left by that."""
        self._commit(tree=tree, draft=draft, selections=selections, staged=staged, editing=editing)

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
        staged = (
            {s.picture, s.outcome.background_reference, s.outcome.mask_after}
            for s in (*self._record.staged, *self._put_away)
        )
        given = set(self._draft.references().values())
        masks = self._selections.files().union(self._replaced, (one.mask for one in self._masks))
        swapped = frozenset() if self._swap is None else self._swap.files()
        seen = frozenset() if self._attention is None else self._attention.files()
        return frozenset(d for d in given.union(*turns, *staged, masks, swapped, seen) if d is not None)

    def _model_notes(self) -> tuple[str, ...]:
        """The limits of the draft's model in words; its card is read when the model changes."""
        model = self._draft.model
        if self._noted is None or self._noted[0] != model:
            card = self._services.card(model)
            said = () if card is None else (card.notes, *map(_sentence, card.domain.remarks))
            self._noted = (model, tuple(note for note in said if note))
        return self._noted[1]

    def _idle_settings(self) -> dict[str, str]:
        """`SessionView.idle`; worked out when the draft changes."""
        draft = self._draft
        if self._idle is None or self._idle[0] is not draft:
            try:
                params = settings(draft.method, draft.quality, dict(draft.changes), self._services.card(draft.model))
                self._idle = (draft, find_method(draft.method).idle(draft, params))
            except PipelineError:  # what is wrong with a setting is said when it is run
                self._idle = (draft, {})
        return self._idle[1]

    def _model_sees(self) -> Box | None:
        """`SessionView.sees`; worked out when the draft or the mask changes."""
        draft, mask = self._draft, self._selections.now.mask
        if self._sees is None or self._sees[0] is not draft or self._sees[1] != mask:
            try:
                self._sees = (draft, mask, None if mask is None else self._window(draft, self._mask_here(mask)))
            except (PipelineError, UserError):  # what is wrong is said when it is run
                self._sees = (draft, mask, None)
        return self._sees[2]

    def _attended(self) -> AttentionView | None:
        """`SessionView.attention`."""
        found = self._attention
        return None if found is None or found.picture != self._here.picture else found.view

    def _alike(self) -> tuple[str, ...]:
        """Names of what `try_methods` takes."""
        if self._draft.method not in CATALOG:
            return ()
        found = alike(find_method(self._draft.method), self._services.card(self._draft.model))
        return tuple(method.name for method in found)

    def _window(self, draft: Draft, mask: Mask) -> Box | None:
        card, entry = self._services.card(draft.model), find_method(draft.method)
        params = settings(draft.method, draft.quality, dict(draft.changes), card)
        if card is None or not isinstance(params, ModelParams):
            return None
        place = window_of(mask, scope_of(entry, draft.scope), params, card.resolution)
        return None if place is None else Box(place[1].start, place[0].start, place[1].stop, place[0].stop)

    # Masks

    def _remake_mask(self) -> None:
        """Try the same prompts on the picture one stands on by now. Called without the lock."""
        with self._lock:
            selection, picture, ticket = self._selections.now, self._here.picture, self._asked
        if not selection.needs_remaking(picture):
            return
        remade = self._computing.select(selection.prompts, picture, selection.pointed_on)
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

    def _refuse_misfit(self, draft: Draft, picture: str, insists: bool) -> None:
        """A question rather than a refusal: asked once, before the first turn that would come to nothing."""
        if not find_method(draft.method).needs_model:
            return
        card = self._services.card(draft.model)
        if draft.insisted or card is None or not (why := misfit(self._services.pixels(picture), card)):
            return
        if not insists:
            raise NotMadeFor(why)
        with self._lock:
            self._commit(draft=replace(self._draft, insisted=True))

    def _request(self, draft: Draft, selection: Selection) -> TurnRequest:
        """The request of `draft`; the weights' checksum is filled in by whoever runs it. Raises as `check_draft`."""
        params = check_draft(draft, selection, self._services.model_folders)
        entry = find_method(draft.method)
        scope = scope_of(entry, draft.scope)
        return TurnRequest(
            **_heard(draft, entry, scope),
            model=draft.model if entry.needs_model else "",
            weights="",
            method=draft.method,
            params=asdict(params),
            quality=draft.quality,
            scope=scope,
            seed=draft.seed,
            mask=selection.mask,
            prompts=selection.prompts.to_json(),
            feather=selection.prompts.feather,
            loras=tuple(lora_use(name, scale, self._services.model_folders) for name, scale in draft.loras.items())
            if entry.needs_model
            else (),
        )

    def _mask_here(self, digest: str) -> Mask:
        return self._computing.mask(digest, self._frame.extent)

    def _selection_of(self, asked: TurnRequest, prompts: MaskPrompts, picture: str, extent: Extent) -> Selection:
        """The mask of a stored request, made on the picture of that digest, which is of that extent."""
        if asked.mask is None:
            return Selection()
        area = float(self._computing.mask(asked.mask, extent).mean())
        return Selection(prompts, asked.mask, area, pointed_on=picture, made_on=picture)

    # Jobs

    def _submit(
        self,
        does: str,
        stages: tuple[str, ...],
        work: Callable[[Progress], T],
        deliver: Callable[[T], None],
        kind: str = "",
    ) -> JobView:
        """Queue a job; `Busy` when the session has one. `deliver` runs on the worker, without the lock."""
        runner = self._services.runner
        with self._lock:
            self._refuse_second_job()
            self._forget_finished_job()
            job = runner.submit(
                self.sid, f"{does} {kind}".strip(), stages, work, deliver, lambda _: self._tick(), visitor=asking()
            )
            self._job_id = job.id
        self._tick()
        return job_view(job, runner)

    def _run(self, tree: Tree, parent: str, asked: TurnRequest, count: int, more: bool = False) -> JobView:
        """Compute candidates after the turn `parent`; with `more` they join the ones that wait."""
        line = tuple(tree[id] for id in tree.line(parent))
        kind = f"{asked.model} {asked.method} {asked.quality} {count} {'more' if more else 'new'}"

        def work(progress: Progress) -> tuple[Staged, ...]:
            return self._computing.candidates(line, asked, count, progress)

        def deliver(finished: tuple[Staged, ...]) -> None:
            with self._lock:
                self._commit(staged=(*self._record.staged, *finished) if more else finished)

        check_limits(self._services.hosting, asked.quality, count)
        return self._submit("edit", find_method(asked.method).stages, work, deliver, kind)

    def _replay_of(self, plan: Callable[[Tree], Replay]) -> JobView:
        with self._lock:
            tree = self._record.tree
        return self._replay(tree, plan(tree))

    def _replay(self, tree: Tree, replay: Replay) -> JobView:
        """Run the steps, then lay the turns they made down as a new branch and stand on its end."""

        def deliver(made: tuple[Turn, ...]) -> None:
            with self._lock:
                draft = used_up(self._draft, made[0].request) if self._editing is not None and made else None
                self._move(self._record.tree.adopt(made), draft=draft)

        for step in replay.steps:
            check_limits(self._services.hosting, step.request.quality, 1)
        names = step_names(len(replay.steps))
        return self._submit("replay", names, lambda progress: self._computing.replay(tree, replay, progress), deliver)

    def _active_job(self) -> Job | None:
        job = None if self._job_id is None else self._services.runner.job(self._job_id)
        return None if job is None or job.finished else job

    def _refuse_second_job(self) -> None:
        """Or any, where the session is damaged."""
        with self._lock:
            self._refuse_damaged()
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
        if note is None or note.state != JobState.INTERRUPTED or note.kind.split()[0] in ("split", "attention"):
            return None
        told = "the studio was stopped while this turn was under way; nothing of it was kept. Press Run to do it again"
        return JobView(note.id, note.kind.split()[0], JobState.INTERRUPTED, "", 0, 0, (), None, error=told)


def _heard(draft: Draft, entry: Method, scope: Scope) -> dict[str, Any]:
    """What the method goes by of what was filled in. Of a part that stays the page shows no text; what was typed there
    before is not said, nor what nobody reads."""
    heard: dict[str, Any] = {}
    for name, said in about(draft):
        value = getattr(draft, name)
        if said.kind is Kind.TEXT:
            stays = said.part is not None and scope not in (said.part, Scope.BOTH)
            heard[name] = value.strip() if entry.hears(name) and not stays else ""
        else:
            heard[name] = value if entry.hears(name) else None
    return heard


def _sentence(remark: str) -> str:
    return f"{remark[:1].upper()}{remark[1:]}."


def panel(
    draft: Draft,
    selections: Selections,
    editing: str | None = None,
    put_away: tuple[Staged, ...] = (),
    masks: tuple[SavedMask, ...] = (),
) -> dict[str, Any]:
    """How draft, mask steps, the turn that is being changed, the candidates that were put away and the saved masks are
    stored."""
    return {
        "draft": draft_to_json(draft),
        "selections": selections.to_json(),
        "editing": editing,
        "put_away": [staged_to_json(s) for s in put_away],
        "masks": [asdict(one) for one in masks],
    }
