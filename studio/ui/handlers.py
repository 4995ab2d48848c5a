"""What the page's buttons do: plain functions from a session id and plain values to a message for the page.

Nothing here needs a browser. Every handler answers with a `payload.Payload`; those after which the turn panel must
show other values answer with that and one value for each of the panel's fields.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import gradio as gr

from pipelines.catalog import CATALOG, Group, offered
from pipelines.catalog import method as find_method
from pipelines.contract import Extent, Quality, Scope
from pipelines.errors import PipelineError
from pipelines.hints.unknown import usual_forms
from pipelines.masks.prompts import MaskPrompts
from pipelines.models.folders import TEXT_TO_IMAGE, ModelCard, find_models, matting, phrase_finder
from pipelines.params import knobs
from pipelines.requests import LONGEST_ASPECT, LONGEST_TEXT
from studio.api.hosts import came_from_elsewhere
from studio.api.uploads import Uploads
from studio.app import Studio
from studio.errors import NotMadeFor, StaleView, UnknownSession, UserError
from studio.session.checks import allowed_qualities
from studio.session.selection import Combine
from studio.session.session import Session
from studio.session.view import Draft, SessionView
from studio.settings import Gallery
from studio.store.archive.session_file import read_archive
from studio.ui import text
from studio.ui.forms import changes_of, values_of
from studio.ui.language import ENGLISH, say
from studio.ui.payload import Payload, is_live, notice, tick, whole
from studio.ui.sent import PANEL, TURN_TEXTS

log = logging.getLogger(__name__)

PLAIN_FIELDS = tuple(PANEL)

ZIP = b"PK"
"""How a session file begins, and no picture."""
FOLLOW_EVERY = 0.2
"""Seconds between two messages of a running job, at least."""
MOST_CANDIDATES = 4
"""That the panel offers."""
SETTLE_WITHIN = 20.0
"""Seconds to wait for a mask that is being made anew."""

Fields = list[Any]


@dataclass(frozen=True)
class Seat:
    """Where a page sits: the session that it shows, and its own name among the pages that show it."""

    sid: str | None
    tab: str


class Handlers:
    """All handlers of one studio."""

    def __init__(self, studio: Studio, uploads: Uploads | None = None) -> None:
        self.studio = studio
        self._followers: dict[str, object] = {}
        self.uploads = Uploads(studio.settings.upload_limit * 2**20) if uploads is None else uploads

    # ------------------------------------------------------------------------------------------ coming and going

    def boot(self, stored: object, request: gr.Request) -> tuple[Seat, Payload, Fields]:
        """What a page shows that was just loaded: the session in its address, else the last one of this browser."""
        last = stored.get("sid") if isinstance(stored, dict) else None
        sid = request.query_params.get("session") or (last if isinstance(last, str) else None)
        seat = Seat(sid, str(request.session_hash))
        payload, fields = self._looked(seat) if seat.sid else ({}, self.kept_fields())
        if "view" not in payload:
            seat = replace(seat, sid=None)
            payload |= {"sid": None, "view": None}
        elif others := self._session(seat).tabs.others(seat.tab):
            payload |= notice(text.also_open(others), "note")
        if self.studio.store.notice and self.studio.settings.hosting is None:  # it names sessions
            # Its work is elsewhere than it was: nothing is told before that.
            payload |= notice(self.studio.store.notice, lang=ENGLISH)
        elif "notice" not in payload and self.studio.settings.is_open and self.studio.settings.hosting is None:
            payload |= notice(say(text.OPEN_TO_ALL), "note")
        return seat, payload | {"about": self.about(came_from_elsewhere(request.headers))}, fields

    def left(self, request: gr.Request) -> None:
        """A page was closed, or its connection is gone."""
        for session in self.studio.sessions.open():
            session.tabs.closed(str(request.session_hash))

    def lists_all(self, elsewhere: bool) -> bool:
        """Whether a page is told of every session; one that is `elsewhere`, behind a proxy, only where that was set."""
        settings = self.studio.settings
        return settings.gallery is Gallery.ALL or (settings.lists_all and not elsewhere)

    def about(self, elsewhere: bool = False) -> dict[str, Any]:
        """What does not change for one page while the studio runs."""
        examples = [
            {
                "id": e.id,
                "title": say(e.title),
                "kind": e.kind,
                "subject": e.subject,
                "background": e.background,
                "method": CATALOG[e.method].title if e.method in CATALOG else "",
            }
            for e in self.studio.sessions.examples()
        ]
        methods = {
            name: {
                "title": say(m.title),
                "stages": m.stages,
                "needs_model": m.needs_model,
                "needs_mask": m.needs_mask,
                "goes_by_mask": m.goes_by_mask,
                "reads": m.reads,
                "follows": m.follows,
                "learns": m.learns,
                "changes": m.changes,
                "when": say("when {when}", when=say(m.when)),
                "examples": [text.example(words) if words else say(text.NOT_READ) for words in m.examples],
            }
            for name, m in CATALOG.items()
        }
        settings = self.studio.settings
        mattes = matting(settings.all_model_folders)
        return {
            "examples": examples,
            "methods": methods,
            "upload_limit": settings.upload_limit,
            "longest_text": LONGEST_TEXT,
            "longest_aspect": LONGEST_ASPECT,
            "lists_all": self.lists_all(elsewhere),
            "trash_days": settings.trash_days,
            "matting": "" if mattes is None else mattes.title,
            "phrases": phrase_finder(settings.all_model_folders) is not None,
            "manages_models": settings.manages_models and not elsewhere,
            "loras": self.studio.registry.loras(),
            "vocabularies": {
                card.id: dict(usual_forms(card.domain.vocabulary))
                for card in find_models(settings.all_model_folders).values()
                if card.domain.vocabulary is not None
            },
            "forgets": "" if settings.hosting is None else text.forgets(settings.hosting),
        }

    def engine_line(self, model: str) -> str:
        """``Stable Diffusion v1.5 on CPU`` once the engine is there; asking earlier would load it, so until then the
        model's title."""
        if getattr(self.studio.engine, "is_built", True):
            return self.studio.engine.describe()
        return {name: title for title, name in self.models()}.get(model, model)

    def models(self, chosen: str = "") -> list[tuple[str, str]]:
        """Title and id of every model that a turn can be run on; the configured one and the one that is `chosen` even
        when its folder is not there, so that running says what is wrong."""
        cards = find_models(self.studio.settings.all_model_folders).values()
        found = {card.id: card.title for card in cards if card.kind == TEXT_TO_IMAGE}
        gone = {name: name for name in (self.studio.settings.model, chosen) if name and name not in found}
        return [(title, name) for name, title in (found | gone).items()]

    def qualities(self) -> tuple[Quality, ...]:
        """Those that turns may be run at."""
        return allowed_qualities(self.studio.settings.hosting)

    @property
    def most_candidates(self) -> int:
        """Candidates that the panel offers."""
        hosting = self.studio.settings.hosting
        return MOST_CANDIDATES if hosting is None else min(MOST_CANDIDATES, hosting.most_candidates)

    def chosen_model(self, seat: Seat | None) -> str:
        """The model of the page's next turn; empty where it shows no session."""
        session = self.found(seat)
        return session.view().draft.model if session else ""

    def methods(self, model: str) -> list[tuple[str, str]]:
        """Title and name of the methods that run on that model, or on none, by what one wants."""
        card = self.card(model)
        groups = list(Group)
        fitting = offered(card.backbone if card else None)
        return [(say(m.title), m.name) for m in sorted(fitting, key=lambda method: groups.index(method.group))]

    def card(self, model: str) -> ModelCard | None:
        return find_models(self.studio.settings.all_model_folders).get(model)

    def opened(self, seat: Seat | None, ticket: object, name: object) -> tuple[Seat | None, Payload, Fields]:
        """A new session from an uploaded picture, or one that was exported as a file."""
        return self.taken(seat, lambda: self._brought(self.uploads.take(ticket), str(name or "Untitled")))

    def _brought(self, data: bytes, name: str) -> Session:
        """What the file is, it says itself: its name may have been changed."""
        if not data.startswith(ZIP):
            return self.studio.sessions.create(data, name)
        return self.studio.sessions.adopt_record(read_archive(io.BytesIO(data), self.studio.pictures))

    def example(self, seat: Seat | None, example_id: object) -> tuple[Seat | None, Payload, Fields]:
        """A new session from an example picture."""
        return self.taken(seat, lambda: self.studio.sessions.create_example(str(example_id), say))

    def taken(self, seat: Seat | None, find: Callable[[], Session]) -> tuple[Seat | None, Payload, Fields]:
        """The page turns to the session that `find` gives; it stays where it is when that fails."""
        found: list[Session] = []
        failed = self.calmly(lambda: found.append(find()))
        if failed is not None:
            return seat, failed, self.kept_fields()
        taken = Seat(found[0].sid, seat.tab if seat else secrets.token_hex(8))
        return taken, *self._looked(taken)

    def _looked(self, seat: Seat) -> tuple[Payload, Fields]:
        """Everything of a session for a page that shows nothing of it yet."""
        payload, fields = self.restored(seat, lambda session: None, anyway=True, afresh=True)
        damage = payload.get("view", {}).get("damage")
        return payload | (notice(damage, lang=ENGLISH) if damage else {}), fields

    async def settled(self, seat: Seat | None, shown: int | None) -> Payload:
        """The view once the mask has been made anew for the picture one stands on, which is done in the background.
        `shown` is the revision that the page has."""
        session = await asyncio.to_thread(self.found, seat)
        if session is None:
            return {}
        view = session.view()
        if view.rev == shown and view.draft.prompts.is_empty:
            return {}  # there is no mask to wait for
        if view.rev == shown:
            view = await asyncio.to_thread(session.wait, view.rev, SETTLE_WITHIN)
        return self._shown(seat, session, view) | {"settled": True}

    async def follow(self, seat: Seat | None) -> AsyncIterator[Payload]:
        """Messages while the session's job runs; the last one shows what came of it. A page follows once: where it asks
        again, the one before stops."""
        session = await asyncio.to_thread(self.found, seat)
        if session is None or seat is None:
            return
        view = session.view()
        if view.job is None:
            return
        this = self._followers[seat.tab] = object()
        try:
            async for message in self._followed(seat, session, view):
                if self._followers.get(seat.tab) is not this:
                    return
                yield message
        finally:
            if self._followers.get(seat.tab) is this:
                del self._followers[seat.tab]

    async def _followed(self, seat: Seat, session: Session, view: SessionView) -> AsyncIterator[Payload]:
        while is_live(view.job):
            yield tick(view)
            await asyncio.sleep(FOLLOW_EVERY)
            view = await asyncio.to_thread(session.wait, view.rev, 1.0)
        failed = view.job.error if view.job else None
        yield self._shown(seat, session, view) | (notice(failed, lang=ENGLISH) if failed else {})

    def _shown(self, seat: Seat | None, session: Session, view: SessionView) -> Payload:
        return whole(view, session.tabs.shown(seat.tab if seat else "", view))

    # ------------------------------------------------------------------------------------------------- the mask

    def mark(self, seat: Seat | None, marks: dict[str, Any] | None) -> Payload:
        """New clicks, box, strokes or adjustments; `marks` carries the whole list and the page's own counter."""
        sent = marks or {}

        def act(session: Session) -> None:
            view = session.view()
            prompts = MaskPrompts.from_json(sent.get("prompts", {}), Extent(view.width, view.height))
            if session.set_prompts(prompts).area == 0 and prompts.phrase:
                unnamed.append(prompts.phrase)

        unnamed: list[str] = []
        answer = self.answered(seat, act) | {"echo": sent.get("count", 0)}
        return answer | (notice(text.nothing_called(unnamed[0]), "note") if unnamed else {})

    def upload_mask(self, seat: Seat | None, ticket: object) -> Payload:
        """A mask from a file."""
        return self.answered(seat, lambda session: session.upload_mask(self.uploads.take(ticket)))

    def save_mask(self, seat: Seat | None, name: str) -> Payload:
        """The mask as it stands, under a name."""
        return self.answered(seat, lambda session: session.save_mask(name))

    def use_mask(self, seat: Seat | None, name: str, how: Combine) -> Payload:
        """One that was saved, in place of what is selected, or joined with it."""
        return self.answered(seat, lambda session: session.use_mask(name, how))

    def forget_mask(self, seat: Seat | None, name: str) -> Payload:
        """One that was saved is wanted no more."""
        return self.answered(seat, lambda session: session.forget_mask(name))

    # ------------------------------------------------------------------------------------------------- the turn

    def drafted(self, seat: Seat | None, *values: Any) -> Payload:
        """Keeps what stands in the panel."""
        return self.answered(seat, lambda session: session.set_draft(self.draft(session.view().draft, values)))

    def retuned(self, seat: Seat | None, *values: Any) -> tuple[Payload, Fields]:
        """Another method or quality: its settings start from its preset. A choice left as it was is told as well."""
        return self._chosen(seat, lambda before: self.draft(before, values), afresh=True)

    def remodelled(self, seat: Seat | None, model: object) -> tuple[Payload, Fields]:
        """Another model: where the method does not run on it, the first one that does takes its place."""
        return self._chosen(seat, lambda before: replace(before, model=str(model)), afresh=False)

    def framed(self, seat: Seat | None, sides: dict[str, float]) -> tuple[Payload, Fields]:
        """The frame of a crop was drawn on the picture: what is cut off at each side."""

        def act(session: Session) -> Draft:
            before = session.view().draft
            if before.method == "crop":
                session.set_draft(replace(before, changes={name: share for name, share in sides.items() if share}))
            return before

        return self.restored(seat, act)

    def _chosen(self, seat: Seat | None, ask: Callable[[Draft], Draft], afresh: bool) -> tuple[Payload, Fields]:
        def act(session: Session) -> Draft:
            before = session.view().draft
            asked = ask(before)
            fitting = [name for _, name in self.methods(asked.model)]
            fits = asked.method in fitting
            same = (asked.method, asked.quality) == (before.method, before.quality)
            now = replace(
                asked,
                method=asked.method if fits else fitting[0],
                changes=asked.changes if fits and (same or not afresh) else {},
            )
            session.set_draft(now)
            return replace(now, method=before.method, quality=before.quality, model=before.model)

        return self.restored(seat, act)

    def reference(self, seat: Seat | None, which: object, ticket: object) -> Payload:
        """A picture for the background, or the subject, to follow, or none."""
        part = "subject" if which == "subject" else "background"
        return self.answered(
            seat, lambda session: session.set_reference(part, self.uploads.take(ticket) if ticket else None)
        )

    def run(self, seat: Seat | None, *values: Any, insists: bool = False, methods: Sequence[str] = ()) -> Payload:
        """Starts the turn with what stands in the panel now, or tries it by each of `methods`. Where the model was made
        for other pictures the page asks first, and `insists` is the answer."""

        def act(session: Session) -> None:
            session.set_draft(self.draft(session.view().draft, values))
            if methods:
                session.try_methods(methods, insists)
            else:
                session.start(insists)

        return self.asking(seat, act, "run")

    def attend(self, seat: Seat | None, *values: Any) -> Payload:
        """Finds what the model looks at for each word of what stands in the panel now."""

        def act(session: Session) -> None:
            session.set_draft(self.draft(session.view().draft, values))
            session.attend()

        return self.answered(seat, act)

    def asking(self, seat: Seat | None, act: Callable[[Session], object], does: str) -> Payload:
        """As `answered`; where `NotMadeFor` says no, the page asks whether to do it all the same: its action `does`."""
        doubts: list[str] = []

        def carefully(session: Session) -> None:
            try:
                act(session)
            except NotMadeFor as doubt:
                doubts.append(str(doubt))

        payload = self.answered(seat, carefully)
        return payload | ({"confirm": {"text": doubts[0], "does": does}} if doubts else {})

    def cancel(self, seat: Seat | None) -> Payload:
        return self.answered(seat, lambda session: session.cancel(), anyway=True)

    def more_seeds(self, seat: Seat | None) -> Payload:
        return self.answered(seat, lambda session: session.more_seeds())

    def keep(self, seat: Seat | None, index: object) -> tuple[Payload, Fields]:
        """The finished candidate becomes the next turn."""
        return self.moved(seat, lambda session: session.accept(int(str(index))))

    def discard(self, seat: Seat | None) -> Payload:
        """No candidate is kept; they can be brought back."""
        gone: list[str] = []

        def act(session: Session) -> None:
            gone.extend(staged.picture for staged in session.view().staged)
            session.discard()

        payload = self.answered(seat, act)
        if "notice" in payload or not gone:
            return payload
        undo = {"text": say(text.UNDO), "does": "stageAgain", "sent": {"pictures": gone}}
        return payload | notice(text.discarded(len(gone)), "note", action=undo)

    # ------------------------------------------------------------------------------------------------- timeline

    def undo(self, seat: Seat | None) -> tuple[Payload, Fields]:
        return self.moved(seat, lambda session: session.undo())

    def redo(self, seat: Seat | None) -> tuple[Payload, Fields]:
        return self.moved(seat, lambda session: session.redo())

    # ------------------------------------------------------------------------------------------------- plumbing

    def answered(
        self, seat: Seat | None, act: Callable[[Session], object], anyway: bool = False, afresh: bool = False
    ) -> Payload:
        """Does `act` on the session and shows the outcome; what a person can act on is told, never raised.

        A page that has not seen what another one changed is shown that instead, unless it acts `anyway`. It is shown
        what it has not been sent yet, and with `afresh` everything.
        """
        views: list[SessionView] = []
        sent: list[SessionView | None] = []

        def work() -> None:
            session, tab = self._session(seat), seat.tab if seat else ""
            before = session.view().rev
            try:
                if session.tabs.is_behind(tab) and not anyway:
                    raise StaleView(text.OTHER_TAB)
                act(session)
            finally:
                views.append(session.view())
                if views[0].rev != before:
                    session.tabs.changed(tab, views[0].rev)
                sent.append(session.tabs.shown(tab, views[0]))

        failed = self.calmly(work)
        if not views:
            return failed or {}
        shown = whole(views[0], None if afresh else sent[0], engine=self.engine_line(views[0].draft.model))
        return shown | (failed or {})

    def restored(
        self,
        seat: Seat | None,
        act: Callable[[Session], Draft | None],
        anyway: bool = False,
        afresh: bool = False,
    ) -> tuple[Payload, Fields]:
        """As `answered`, with the view's revision and the panel's fields filled from the session's draft.

        `act` gives the draft that the page shows meanwhile, ``None`` when it shows that of no session: a field that
        shows the right value is left alone, for somebody may be typing in it by the time the answer comes.
        """
        shows: list[Draft | None] = []
        payload = self.answered(seat, lambda session: shows.append(act(session)), anyway, afresh)
        if "view" not in payload:
            return payload, self.kept_fields()
        shown = shows[0] if shows else None
        return payload, [payload["view"]["rev"], *self.fields(self._session(seat).view(), shown)]

    def moved(self, seat: Seat | None, act: Callable[[Session], object]) -> tuple[Payload, Fields]:
        """As `restored`, for what may lead to another picture: the mask is then made anew, and `settled` shows it."""
        left: list[str] = []

        def move(session: Session) -> Draft:
            before = session.view()
            left.append(before.current)
            act(session)
            return before.draft

        payload, fields = self.restored(seat, move)
        view = payload.get("view")
        if view is not None and left:
            marks = view["draft"]["prompts"]
            pointed = any(marks[part] for part in ("clicks", "box", "phrase", "scribbles", "strokes", "uploaded"))
            payload["settling"] = pointed and view["current"] != left[0]
        return payload, fields

    def _session(self, seat: Seat | None) -> Session:
        if seat is None or not seat.sid:
            raise UnknownSession(text.RESTARTED)
        return self.studio.sessions.get(seat.sid)

    def found(self, seat: Seat | None) -> Session | None:
        """The session, or nothing where there is none to follow."""
        try:
            return self._session(seat)
        except UserError:
            return None

    def calmly(self, work: Callable[[], object]) -> Payload | None:
        """Runs `work`; the message to show when it fails."""
        try:
            work()
        except (UserError, PipelineError) as error:
            return notice(text.fault(error), lang=ENGLISH)
        except Exception:
            code = secrets.token_hex(3)
            log.exception("bug %s in a handler of the page", code)
            return notice(f"{say(text.OUR_FAULT)} ({code})")
        return None

    # ------------------------------------------------------------------------------------------ the panel's fields

    def draft(self, before: Draft, values: tuple[Any, ...]) -> Draft:
        """`before` with the panel's `values` over it; mask and references are not the panel's."""
        plain = dict(zip(PLAIN_FIELDS, values, strict=False))
        method, quality, model = find_method(str(plain["method"])).name, Quality(plain["quality"]), str(plain["model"])
        filled = plain["filled"] == presets_named(quality, model)
        texts: dict[str, Any] = {name: str(plain[name] or "") for name in TURN_TEXTS}
        settings = dict(zip(CATALOG, _split(values[len(PLAIN_FIELDS) :]), strict=True))
        return replace(
            before,
            subject=str(plain["subject"] or ""),
            background=str(plain["background"] or ""),
            scope=Scope(plain["scope"]),
            method=method,
            model=model,
            quality=quality,
            candidates=int(plain["candidates"] or 1),
            seed=int(plain["seed"] or 0),
            **texts,
            # Run may be pressed before the settings show another quality's preset, or another model's: they say nothing
            # of it then.
            changes=changes_of(method, quality, settings[method], self.card(model)) if filled else {},
        )

    def fields(self, view: SessionView, shown: Draft | None) -> Fields:
        """One update for each of the panel's fields, and one for each method's form; none where `shown` has the value
        already."""
        draft = view.draft
        values = {name: getattr(draft, name) for name in PLAIN_FIELDS if name != "filled"} | {"scope": str(draft.scope)}
        plain: Fields = [
            gr.skip() if shown is not None and getattr(shown, name) == value else value
            for name, value in values.items()
        ]
        if shown is None or shown.method != draft.method:
            for part, words in zip(("subject", "background"), CATALOG[draft.method].labels, strict=True):
                kept = {} if shown is not None and getattr(shown, part) == values[part] else {"value": values[part]}
                plain[PLAIN_FIELDS.index(part)] = gr.update(label=say(words)) | kept
            for name in TURN_TEXTS:
                kept = {} if shown is not None and getattr(shown, name) == values[name] else {"value": values[name]}
                plain[PLAIN_FIELDS.index(name)] = gr.update(visible=CATALOG[draft.method].hears(name)) | kept
        if shown is None or shown.model != draft.model:
            plain[PLAIN_FIELDS.index("model")] = gr.update(choices=self.models(draft.model), value=draft.model)
            plain[PLAIN_FIELDS.index("method")] = gr.update(choices=self.methods(draft.model), value=draft.method)
        again = {} if shown is not None and shown.quality == draft.quality else {"value": str(draft.quality)}
        plain[PLAIN_FIELDS.index("quality")] = gr.update(choices=qualities(view, self.qualities())) | again
        if shown is not None and _settings(shown) == _settings(draft):
            return [*plain, *[gr.skip()] * (1 + sum(SIZES) + len(CATALOG))]
        settled: Fields = []
        card = self.card(draft.model)
        for name in CATALOG:
            settled += values_of(name, draft.quality, draft.changes if name == draft.method else {}, card)
        groups = [gr.update(visible=name == draft.method) for name in CATALOG]
        return [*plain, presets_named(draft.quality, draft.model), *settled, *groups]

    def kept_fields(self) -> Fields:
        """Leaves the panel as it is."""
        return [gr.skip()] * (1 + len(PLAIN_FIELDS) + sum(SIZES) + len(CATALOG))


SIZES = [len(knobs(m.params)) for m in CATALOG.values()]
"""How many settings each method has, in the catalogue's order."""


def presets_named(quality: Quality, model: str) -> str:
    """Which presets the settings begin with."""
    return f"{quality} on {model}"


def _settings(draft: Draft) -> tuple[object, ...]:
    """What the methods' forms show."""
    return draft.method, draft.quality, draft.model, draft.changes


def _split(values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The methods' settings, one tuple a method."""
    parts, start = [], 0
    for size in SIZES:
        parts.append(values[start : start + size])
        start += size
    return parts


def qualities(view: SessionView, allowed: Sequence[Quality]) -> list[tuple[str, str]]:
    """The qualities that are `allowed`, with the seconds a candidate took in this session where that was measured."""
    choices = []
    for quality in allowed:
        taken = [
            t.seconds for t in view.turns if t.method == view.draft.method and t.quality == quality and t.seconds > 0
        ]
        choices.append((text.quality(quality, median(taken) if taken else None), str(quality)))
    return choices
