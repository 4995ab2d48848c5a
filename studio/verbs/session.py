"""One session, edited by a program: the verbs of the page as calls. Made by `studio.verbs.studio.OpenStudio`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pipelines.catalog import is_by_hand
from pipelines.colour_spaces import ColourSpace
from pipelines.contract import Box, Extent, Picture, Quality, Scope
from pipelines.errors import BadPicture
from pipelines.evaluation.beside import Beside, beside, difference_picture, side_by_side
from pipelines.frames import Frame
from pipelines.masks.carry import carried_mask, carried_picture
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.params import Knob, Params, knob
from pipelines.pictures import decode_mask, encode_png
from pipelines.requests import LARGEST_SEED, LONGEST_TEXT, MOST_CANDIDATES
from studio.app import Studio
from studio.errors import NotReady, UnknownTurn
from studio.exports.kinds import ExportKind, exported
from studio.exports.pictures import Finish
from studio.history.frames import frames
from studio.session.selection import Combine
from studio.session.session import Session
from studio.session.view import JobView, MaskView, SavedMaskView, SessionView, StagedView, TurnView
from studio.store.record import Record
from studio.verbs.jobs import JobHandle
from studio.verbs.rows import Value

T = TypeVar("T")

PictureLike = Picture | bytes | Path | str
"""Pixels as ``(H, W, 3) uint8``, the bytes of a file, or the path of one."""
UNDO, REDO, CURRENT, ORIGINAL = "undo", "redo", "current", "original"


def knobs_of(help: str) -> Any:
    """A field of named values, none by default."""
    return field(default_factory=dict, metadata={"knob": Knob(help)})


@dataclass(frozen=True)
class TurnAsk(Params):
    """One turn as a program asks for it. The HTTP API and the tools for assistants are generated from these fields."""

    subject: str = knob("", "What the subject becomes; empty keeps it", 0, LONGEST_TEXT, "characters")
    background: str = knob("", "What the background becomes; empty keeps it", 0, LONGEST_TEXT, "characters")
    negative: str = knob("", "What is to be kept out of the picture", 0, LONGEST_TEXT, "characters")
    source: str = knob(
        "", "What the picture shows now, for methods that go by it; unsaid, what the turns before said", 0, LONGEST_TEXT
    )
    scope: Scope | None = knob(
        None, "What may change; by default what was described, or without a model what is selected"
    )
    method: str = knob("layered", "How it is edited; `methods` lists what there is")
    quality: Quality = knob(Quality.STANDARD, "How much work the turn is given")
    candidates: int = knob(1, "Finished pictures to choose from", 1, MOST_CANDIDATES)
    seed: int = knob(7, "Of the first candidate; the others have those after it", 0, LARGEST_SEED)
    model: str | None = knob(None, "The model's id, from `models`; by default the session's own")
    settings: Mapping[str, Value] = knobs_of("Settings of the method over the preset of its quality")
    loras: Mapping[str, float] = knobs_of("Scale by name of each LoRA file that is attached")
    insist: bool = knob(False, "Run a model on a picture that it was not made for")


@dataclass(frozen=True)
class Compared:
    """Two turns beside each other."""

    first: str
    second: str
    """Ids of the turns."""
    numbers: Beside
    """Inside is the mask of the later turn."""


class OpenSession:
    """A session that is open. A turn is named by its id, by its number along the line one stands on (0 is the
    original), or as ``"current"`` or ``"original"``. Methods may come from any thread."""

    def __init__(self, studio: Studio, session: Session) -> None:
        self._studio = studio
        self._session = session
        self._tab = f"program-{secrets.token_hex(6)}"

    @property
    def sid(self) -> str:
        """The session's id, which opens it."""
        return self._session.sid

    def view(self) -> SessionView:
        """Everything there is to know of it now."""
        return self._session.view()

    @property
    def candidates(self) -> tuple[StagedView, ...]:
        """The finished pictures of which one can be kept."""
        return self.view().staged

    # Pointing and running

    def mask(
        self,
        clicks: Sequence[tuple[float, float] | tuple[float, float, bool]] = (),
        *,
        box: tuple[float, float, float, float] | None = None,
        phrase: str = "",
        picture: PictureLike | None = None,
        grow: int = 0,
        feather: float = 2.0,
        invert: bool = False,
        choice: int | None = None,
        snap: bool | None = None,
        strokes: Sequence[Stroke] = (),
        scribbles: Sequence[Stroke] = (),
    ) -> MaskView:
        """Say what the subject is; nothing at all takes the mask away.

        `clicks` are ``(x, y)`` in pixels, ``(x, y, False)`` for "not this"; `box` is left, top, right, bottom;
        `picture` is a mask of the picture's own size, white on black. `grow` and `feather` are in pixels, `choice` is
        the number of one of the alternatives of a single click, and `snap` draws the edge along the picture's.
        `strokes` are painted; `scribbles` run through what belongs to the subject, or (``erase``) does not. Raises
        `BadRequest`, and `BadPicture` for a mask that is none.
        """
        with self._changing():
            view = self._session.view()
            if picture is not None:
                self._session.upload_mask(encoded(picture))
            now = self._session.view().draft.prompts
            wanted = MaskPrompts(
                clicks=tuple(Click(*click) for click in clicks),
                box=None if box is None else Box(*box),
                phrase=phrase,
                choice=choice,
                uploaded=now.uploaded if picture is not None else None,
                snap=now.snap if snap is None else snap,
                strokes=tuple(strokes),
                scribbles=tuple(scribbles),
                grow=grow,
                feather=feather,
                invert=invert,
            )
            checked = MaskPrompts.from_json(wanted.to_json(), Extent(view.width, view.height))
            return self._session.set_prompts(checked)

    @property
    def masks(self) -> tuple[SavedMaskView, ...]:
        """The masks that were saved, in the order of their names."""
        return self.view().masks

    def save_mask(self, name: str) -> SavedMaskView:
        """Keep the mask as it stands under `name`, for every turn of the session; one of that name is replaced. Raises
        `NotReady` where nothing is selected, or that is no name."""
        return self._change(lambda session: session.save_mask(name))

    def use_mask(self, name: str, how: Combine | str = Combine.REPLACE) -> MaskView:
        """Select what was saved under `name`, or join it with what is selected: ``"add"`` it, ``"erase"`` it from that,
        or ``"keep"`` what is in both. Raises `UnknownMask`, and `NotReady` for another word."""
        joined = member(Combine, "how", how) or Combine.REPLACE
        return self._change(lambda session: session.use_mask(name, joined))

    def forget_mask(self, name: str) -> None:
        """Take a saved mask away. Raises `UnknownMask`."""
        self._change(lambda session: session.forget_mask(name))

    def turn(
        self,
        subject: str = "",
        background: str = "",
        *,
        negative: str = "",
        source: str = "",
        scope: Scope | str | None = None,
        method: str = "layered",
        quality: Quality | str = Quality.STANDARD,
        candidates: int = 1,
        seed: int = 7,
        model: str | None = None,
        settings: Mapping[str, Value] | None = None,
        loras: Mapping[str, float] | None = None,
        subject_picture: PictureLike | None = None,
        background_picture: PictureLike | None = None,
        insist: bool = False,
    ) -> JobHandle:
        """Begin a turn; its finished candidates wait in `candidates` until one is kept.

        See `TurnAsk` for what each argument says; `subject_picture` and `background_picture` are to be followed.
        Raises `NotReady`, `BadRequest`, `BadParameter`, `ModelError`, `UnknownMethod`, `Busy`, and `NotMadeFor` unless
        somebody insists; nothing is begun then.
        """
        ask = TurnAsk(
            subject=subject,
            background=background,
            negative=negative,
            source=source,
            scope=member(Scope, "what changes", scope),
            method=method,
            quality=member(Quality, "the quality", quality) or Quality.STANDARD,
            candidates=candidates,
            seed=seed,
            model=model,
            settings=settings or {},
            loras=loras or {},
            insist=insist,
        )
        return self.ask(ask, subject_picture, background_picture)

    def ask(
        self,
        ask: TurnAsk,
        subject_picture: PictureLike | None = None,
        background_picture: PictureLike | None = None,
    ) -> JobHandle:
        """As `turn`, of a value."""
        scope = ask.scope or (
            asked_by_hand(self.view())
            if is_by_hand(ask.method)
            else described(ask.subject, ask.background, subject_picture is not None, background_picture is not None)
        )
        with self._changing():
            before = self._session.view()
            draft = replace(
                before.draft,
                **{name: getattr(ask, name) for name in before.draft.texts()},
                scope=scope,
                method=ask.method,
                quality=ask.quality,
                candidates=ask.candidates,
                seed=ask.seed,
                model=before.draft.model if ask.model is None else ask.model,
                changes=dict(ask.settings),
                loras=dict(ask.loras),
            )
            self._session.set_draft(draft)
            for which, picture, had in (
                ("subject", subject_picture, draft.subject_reference),
                ("background", background_picture, draft.background_reference),
            ):
                if picture is not None or had is not None:
                    self._session.set_reference(which, None if picture is None else encoded(picture))
            return JobHandle(self._studio, self._session.start(ask.insist).id)

    def attention(self, text: str = "", words: Sequence[str] = ()) -> JobHandle:
        """Find what the model looks at for the `words` of `text`, or for all of them; the view's `attention` has it
        then. Without a text those of the turn in preparation. Raises `NotReady`, `ModelError` and `Busy`."""
        with self._changing():
            return JobHandle(self._studio, self._session.attend(text, words).id)

    def keep(self, candidate: int = 0) -> TurnView:
        """The finished candidate of that number becomes the next turn, on which one then stands. Raises
        `NothingStaged`."""
        return self._change(lambda session: session.accept(candidate))

    def discard(self) -> SessionView:
        """Keep none of the finished candidates."""
        return self._moved(lambda session: session.discard())

    def cancel(self) -> SessionView:
        """Stop the job that runs, if one does."""
        self._session.cancel()
        return self.view()

    # The timeline

    def go(self, turn: str | int) -> SessionView:
        """Stand on a turn, or go one step: ``"undo"``, ``"redo"``. Running from an earlier turn branches. Raises
        `UnknownTurn`."""

        def move(session: Session) -> None:
            if turn == UNDO:
                session.undo()
            elif turn == REDO:
                session.redo()
            else:
                session.jump(self.turn_id(turn))

        return self._moved(move)

    def branch(self, name: str | None = None, turn: str | int = CURRENT) -> SessionView:
        """A new branch at a turn, on which one then stands. Raises `UnknownTurn` and `BadName`."""

        def begin(session: Session) -> None:
            session.jump(self.turn_id(turn))
            session.branch(name)

        return self._moved(begin)

    def swap(self, first: str | int, second: str | int) -> JobHandle:
        """Compute two neighbouring turns in the other order; the comparison is the view's `swap` then. Raises
        `WrongTurns`, `UnknownTurn` and `Busy`."""
        with self._changing():
            return JobHandle(self._studio, self._session.swap(self.turn_id(first), self.turn_id(second)).id)

    def adopt(self) -> SessionView:
        """Lay the other order down as a new branch. Raises `NothingStaged`."""
        return self._moved(lambda session: session.adopt())

    def turn_id(self, turn: str | int) -> str:
        """The id of a turn, however it was named; raises `UnknownTurn`."""
        tree = self.record().tree
        if turn == CURRENT:
            return tree.current
        if turn == ORIGINAL:
            return tree.line(tree.current)[0]
        if isinstance(turn, int) or re.fullmatch(r"[0-9]{1,9}", turn):
            line = tree.line(tree.branches[tree.branch])
            if not 0 <= int(turn) < len(line):
                raise UnknownTurn(f"the branch has the turns 0 (the original) to {len(line) - 1}; got {turn}")
            return line[int(turn)]
        return tree[turn].id

    # Looking

    def picture(self, turn: str | int = CURRENT) -> Picture:
        """The pixels of a turn, ``(H, W, 3) uint8``."""
        return self._pixels(self.record().tree[self.turn_id(turn)].picture)

    def candidate(self, number: int = 0) -> Picture:
        """The pixels of a finished candidate; raises `NotReady` where there is none of that number."""
        staged = self.candidates
        if not 0 <= number < len(staged):
            raise NotReady(f"there are {len(staged)} finished candidates; number {number} is none of them")
        return self._pixels(staged[number].picture)

    def mask_pixels(self) -> Any:
        """The mask as it stands, ``(H, W) bool``; ``None`` where nothing is selected."""
        view = self.view()
        if view.mask.mask is None:
            return None
        return decode_mask(self._studio.pictures.get(view.mask.mask), Extent(view.width, view.height))

    def compare(self, first: str | int, second: str | int) -> Compared:
        """How alike two turns are, inside and outside the mask of the later one; the first as it lies in the
        frame of the second. Raises `UnknownTurn`."""
        tree = self.record().tree
        a, b = tree[self.turn_id(first)], tree[self.turn_id(second)]
        later = max((a, b), key=lambda turn: len(tree.line(turn.id)))
        digest = None if later.request is None else later.request.mask
        frames = self._frames()
        here, mask = frames[b.id], None
        if digest is not None:
            begun_in = frames[later.parent or later.id]
            mask = decode_mask(self._studio.pictures.get(digest), begun_in.extent)
            mask = carried_mask(mask, begun_in.to(here), here.extent)
        return Compared(a.id, b.id, beside(self._seen_in(a.id, b.id), self._pixels(b.picture), mask))

    def compared_picture(self, first: str | int, second: str | int, difference: bool = False) -> Picture:
        """Both turns side by side, or where they differ."""
        draw = difference_picture if difference else side_by_side
        return draw(self._seen_in(self.turn_id(first), self.turn_id(second)), self.picture(second))

    def _frames(self) -> dict[str, Frame]:
        record = self.record()
        return frames(record.tree.turns.values(), Extent(record.width, record.height))

    def _seen_in(self, turn: str, other: str) -> Picture:
        """The picture of `turn` as it lies in the frame of the turn `other`."""
        known, picture = self._frames(), self.picture(turn)
        own, there = known[turn], known[other]
        return picture if own == there else carried_picture(picture, own.to(there), there.extent)

    def export(
        self,
        kind: ExportKind | str = ExportKind.PNG,
        turn: str | int = CURRENT,
        *,
        recipe: bool = True,
        colours: ColourSpace | str = ColourSpace.SRGB,
        size: str = Finish.size,
        quality: int = Finish.quality,
        bits: int = Finish.bits,
    ) -> bytes:
        """The file of a turn, or of the whole session; a picture is finished as said. Raises `UnknownTurn`, `NotReady`
        for a kind or space that there is none of, and `BadParameter`."""
        wanted = member(ExportKind, "the kind of file", kind) or ExportKind.PNG
        space = member(ColourSpace, "colours", colours) or ColourSpace.SRGB
        finish = Finish(recipe, space, size, quality, bits)
        return exported(self.record(), self.turn_id(turn), self._studio.pictures, wanted, finish)

    def record(self) -> Record:
        """What is saved of it."""
        return self._studio.sessions.record(self.sid)

    # Inside

    def _pixels(self, digest: str) -> Picture:
        return self._studio.services.pixels(digest)

    def _change(self, act: Callable[[Session], T]) -> T:
        with self._changing():
            return act(self._session)

    def _moved(self, act: Callable[[Session], object]) -> SessionView:
        self._change(act)
        return self.view()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What is done inside is one step among all programs, and pages that show the session are told of it."""
        with self._session.steps:
            before = self._session.view().rev
            try:
                yield
            finally:
                rev = self._session.view().rev
                if rev != before:
                    self._session.tabs.changed(self._tab, rev)
                    self._session.tabs.closed(self._tab)  # a program is no page that is open


E = TypeVar("E", Scope, Quality, ExportKind, ColourSpace, Combine)


def member(kind: type[E], name: str, value: E | str | None) -> E | None:
    """The member of `kind` that is called `value`; raises `NotReady` with those there are."""
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise NotReady(f"{name} must be one of {', '.join(kind)}; got {value!r:.80}") from None


def asked_by_hand(view: SessionView) -> Scope:
    """What somebody means to change by a method that reads no text: the subject, where one is selected."""
    return Scope.SUBJECT if view.mask.mask is not None else Scope.BOTH


def described(subject: str, background: str, subject_picture: bool = False, background_picture: bool = False) -> Scope:
    """What somebody who said this wants changed; raises `NotReady` where that is nothing."""
    subjects, backgrounds = bool(subject.strip()) or subject_picture, bool(background.strip()) or background_picture
    if not subjects and not backgrounds:
        raise NotReady("nothing was asked for; say what the subject or the background should become")
    return Scope.BOTH if subjects and backgrounds else Scope.SUBJECT if subjects else Scope.BACKGROUND


def encoded(picture: PictureLike) -> bytes:
    """The bytes of a picture's file; raises `BadPicture` where it cannot be read."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        try:
            return Path(picture).expanduser().read_bytes()
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise BadPicture(f"{Path(picture).name} cannot be read ({why}); name a file that can be") from None
    return encode_png(picture)


def as_json(view: JobView | SessionView | TurnView | MaskView | Compared) -> dict[str, Any]:
    """A view as plain values."""
    return asdict(view)
