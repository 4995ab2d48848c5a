"""The studio for assistants, by the Model Context Protocol: tools that are verbs of `studio.verbs`, files as resources,
and two prompts that teach to look often.

Pictures are answered small, as WebP, with a link to the whole one. Whatever is refused is told in the studio's own
words. No address is ever fetched and no path is read: a picture comes as its bytes, by the ticket of an upload, or as
an example.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import inspect
import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
)
from pydantic import Field
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pipelines.contract import Picture
from pipelines.errors import BadPicture, BadRequest, PipelineError
from pipelines.pictures import LARGEST_FILE, small_webp
from studio.api.gate import LARGEST_JSON
from studio.api.uploads import Uploads
from studio.api.v1 import FOLDERS, NO_SESSION, OUR_FAULT
from studio.errors import UnknownSession, UserError
from studio.exports.kinds import ENDINGS, MEDIA_TYPES, ExportKind
from studio.exports.pictures import recipe
from studio.jobs.job import UNFINISHED, JobState
from studio.session.view import JobView, SessionView
from studio.verbs.jobs import JobHandle
from studio.verbs.session import as_json, member
from studio.verbs.studio import OpenStudio

log = logging.getLogger(__name__)

ADDRESS = "/mcp"
SIDE = 768
"""Pixels of the longer side of a picture that is answered, at most."""
LARGEST_PICTURE = 200_000
"""Bytes of one, at most."""
LARGEST_INLINE = 2**20
"""Bytes of an exported picture that is answered itself, and not only its link."""
LONGEST_WAIT = 300.0
"""Seconds that a tool waits for a job."""
DIMMED = 0.3
"""Of its brightness, what is no subject keeps where the mask is shown."""

NOT_TAKEN = (
    "a picture is taken as base64 of its bytes (data), by the ticket of a file that was sent to POST /api/v1/uploads "
    "(upload), or as the id of an example (example); no address is fetched and no path is read"
)
INSTRUCTIONS = (
    "Palimpsest edits a picture one turn at a time, its subject and its background apart. Open a picture, say what the "
    "subject is (mask), look at the mask, run a turn at draft quality, look at the candidates, keep one, and go on. "
    "What a turn was not to change stays as it is, pixel by pixel; nothing that was kept is ever lost. "
    "What texts a model understands is in palimpsest://models."
)
EDIT = """Edit the picture of the session {session} so that: {wish}

1. look at it, and say what you see. Coordinates are pixels of the whole picture, from its top left.
2. mask the subject with one click on its middle; look(overlay="mask"). Where the mask is too small or too large, add
   clicks that include or exclude, and look again. Do not run anything on a mask that you have not looked at.
3. edit_turn at quality "draft", changing as little as the wish needs: the subject or the background, not both if one
   will do. Look at every candidate that comes back. Judge it by the wish and by the pixels that were to stay.
4. Where none is right, say why, and change the words, the mask or the seed; then run again. Where one is, keep it.
5. Only when the draft is right, run the same words at "standard", look, and keep.
6. After every second turn, compare with the original and look at the difference: what drifted that nobody asked for?
"""
REVIEW = """Review the session {session}: list_turns, then look at the original and at each turn of the line.
Say for each turn what changed, whether that is what its texts asked for, and what changed that should have stayed
(compare it with the turn before, inside and outside the mask). Where two neighbouring turns changed different parts,
swap them and say whether their order mattered. End with the turn that you would go back to, if any, and why."""

Turn = Annotated[
    str | int, Field(description="A turn: its id, its number along the line (0 is the original), current or original")
]
Session = Annotated[str, Field(description="The session's id, as open_picture gave it")]
Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT, description="Seconds to wait for it to be done")]


def build_server(verbs: OpenStudio, uploads: Uploads | None = None) -> MCPServer[Any]:
    """The server of one studio, for whichever transport; `uploads` has the files that were sent over HTTP."""
    tools = Tools(verbs, uploads)
    server: MCPServer[Any] = MCPServer("palimpsest", title="Palimpsest", instructions=INSTRUCTIONS)
    looking: tuple[Callable[..., Any], ...] = (tools.look, tools.job, tools.list_turns, tools.compare, tools.export)
    for tool in looking:
        server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))(calmly(tool))
    for tool in (
        tools.open_picture,
        tools.mask,
        tools.edit_turn,
        tools.cancel,
        tools.keep,
        tools.go,
        tools.branch,
        tools.swap,
    ):
        hints = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
        server.tool(annotations=hints)(calmly(tool))

    @server.resource("palimpsest://methods", mime_type="application/json")
    def methods() -> str:
        """The methods, with every setting, its range and what the presets give it."""
        return json.dumps([asdict(row) for row in verbs.methods()])

    @server.resource("palimpsest://models", mime_type="application/json")
    def models() -> str:
        """The models there are, what each was made for, and the examples to begin with."""
        examples = [{"id": e.id, "title": e.title, "clicks": e.clicks} for e in verbs.examples()]
        return json.dumps({"models": [asdict(row) for row in verbs.models()], "examples": examples})

    @server.resource("palimpsest://session/{session}/recipe.json", mime_type="application/json")
    def recipe_of(session: str) -> str:
        """How the turn one stands on came to be: every request from the original to it."""
        record = verbs.session(session).record()
        return json.dumps(recipe(record, record.tree.current))

    @server.resource("palimpsest://session/{session}/turn/{turn}/{kind}", mime_type="application/octet-stream")
    def file(session: str, turn: str, kind: str) -> bytes:
        """A turn, or the whole session, as a file of a kind that export knows."""
        return verbs.session(session).export(kind, turn)

    @server.prompt(title="Edit in turns")
    def edit_in_turns(session: str, wish: str) -> str:
        """How to edit well: mask, look, draft, look, standard; and to watch the pixels that were to stay."""
        return EDIT.format(session=session, wish=wish)

    @server.prompt(title="Review the turns")
    def review_turns(session: str) -> str:
        """Look at every turn, and say what drifted."""
        return REVIEW.format(session=session)

    return server


class Tools:
    """The tools; each is one verb."""

    def __init__(self, verbs: OpenStudio, uploads: Uploads | None) -> None:
        self._verbs, self._uploads = verbs, uploads

    def open_picture(
        self,
        data: Annotated[str, Field(description="base64 of a PNG, JPEG, WebP, AVIF, TIFF, HEIC or session file")] = "",
        upload: Annotated[str, Field(description="The ticket of a file sent to POST /api/v1/uploads")] = "",
        example: Annotated[str, Field(description="The id of an example, as palimpsest://models lists them")] = "",
        name: Annotated[str, Field(max_length=120)] = "",
    ) -> CallToolResult:
        """Begin a session with a picture, of which one of data, upload and example is said. No address is fetched."""
        if sum(map(bool, (data, upload, example))) != 1:
            raise BadPicture(f"{NOT_TAKEN}; got {sum(map(bool, (data, upload, example)))} of the three. Send one")
        if example:
            session = self._verbs.open_example(example)
        elif upload:
            if self._uploads is None:
                raise BadPicture(f"{NOT_TAKEN}; got a ticket, and over standard input no file is uploaded. Send data")
            session = self._verbs.open(self._uploads.take(upload), name)
        else:
            session = self._verbs.open(decoded(data), name)
        view = session.view()
        said = f"session {session.sid}: {view.name}, {view.width} x {view.height} pixels"
        return answered([said, *view.notes], seen(view), [shown(session.picture()), link(view, view.current)])

    def look(
        self,
        session: Session,
        turn: Turn = "current",
        region: Annotated[
            tuple[int, int, int, int] | None, Field(description="left, top, right, bottom in pixels, to look from near")
        ] = None,
        overlay: Annotated[str, Field(description="none, mask (what is no subject is dimmed) or difference")] = "none",
        max_side: Annotated[int, Field(ge=64, le=SIDE, description="Pixels")] = SIDE,
    ) -> CallToolResult:
        """Look at a turn, at what is masked, or at where it differs from the turn before it."""
        opened = self._verbs.session(session)
        view, id = opened.view(), opened.turn_id(turn)
        picture, said = opened.picture(id), f"turn {number_of(view, id)}"
        if overlay == "mask":
            mask = opened.mask_pixels()
            if mask is None:
                raise BadRequest("nothing is masked, so there is no mask to look at; call mask first")
            picture = np.where(mask[..., None], picture, (picture * DIMMED).astype(np.uint8))
            said += f"; the subject is {view.mask.area:.1%} of the picture, all else is dimmed"
        elif overlay == "difference":
            parent = next((t.parent for t in view.turns if t.id == id), None)
            if parent is None:
                raise BadRequest("the original differs from nothing: it was made by no turn. Look at a later turn")
            picture = opened.compared_picture(parent, id, difference=True)
            said += "; bright is where it differs from the turn before"
        elif overlay != "none":
            raise BadRequest(f"the overlay must be one of none, mask, difference; got {overlay!r:.80}")
        if region is not None:
            picture = part(picture, region)
            said += f"; region {', '.join(map(str, region))}"
        return answered([said], {"turn": id, "region": region}, [shown(picture, max_side), link(view, id)])

    def mask(
        self,
        session: Session,
        clicks: Annotated[
            list[tuple[float, float, bool]], Field(description="x, y in pixels, and whether it is of the subject")
        ] = [],  # noqa: B006  never changed
        box: Annotated[
            tuple[float, float, float, float] | None, Field(description="left, top, right, bottom, in pixels")
        ] = None,
        phrase: Annotated[str, Field(description="What it is called, where a model reads phrases")] = "",
        grow: Annotated[int, Field(description="Pixels; below 0 shrinks")] = 0,
        feather: Annotated[float, Field(ge=0, le=64, description="Pixels over which the seam fades")] = 2.0,
        invert: bool = False,
    ) -> CallToolResult:
        """Say what the subject is, all of it anew; nothing at all takes the mask away. Look at what comes back."""
        opened = self._verbs.session(session)
        found = opened.mask(clicks, box=box, phrase=phrase, grow=grow, feather=feather, invert=invert)
        pixels = opened.mask_pixels()
        if pixels is None:
            return answered(["nothing is masked now"], as_json(found), [])
        picture = opened.picture()
        dimmed = np.where(pixels[..., None], picture, (picture * DIMMED).astype(np.uint8))
        others = "".join(f"; {choice.label} {choice.score:.2f}" for choice in found.choices)
        said = f"the subject is {found.area:.1%} of the picture, all else is dimmed{others}"
        return answered([said], as_json(found), [shown(dimmed)])

    async def edit_turn(
        self,
        session: Session,
        ctx: Context[Any],
        subject: Annotated[str, Field(description="What the subject becomes; empty where it stays")] = "",
        background: Annotated[str, Field(description="What the background becomes; empty where it stays")] = "",
        method: Annotated[str, Field(description="As palimpsest://methods lists them")] = "layered",
        quality: Annotated[str, Field(description="draft, standard or exact")] = "draft",
        candidates: Annotated[int, Field(ge=1, le=8)] = 1,
        seed: int = 7,
        settings: Annotated[
            dict[str, bool | int | float | str], Field(description="Of the method, beyond its preset")
        ] = {},  # noqa: B006
        insist: Annotated[bool, Field(description="Run a model on a picture that it was not made for")] = False,
        wait: Wait = 60.0,
    ) -> CallToolResult:
        """Run a turn on the one that one stands on. Its candidates come back to be looked at; keep makes one a turn."""

        def begin() -> JobHandle:
            return self._verbs.session(session).turn(
                subject,
                background,
                method=method,
                quality=quality,
                candidates=candidates,
                seed=seed,
                settings=settings,
                insist=insist,
            )

        handle = await asyncio.to_thread(begin)
        return await self._followed(handle, ctx, wait)

    async def job(
        self, id: Annotated[str, Field(description="The job's id")], ctx: Context[Any], wait: Wait = 30.0
    ) -> CallToolResult:
        """Where a job is; its candidates, once it is done."""
        return await self._followed(await asyncio.to_thread(self._verbs.job, id), ctx, wait)

    def cancel(self, id: Annotated[str, Field(description="The job's id")]) -> CallToolResult:
        """Stop a job. Nothing that was kept changes."""
        now = self._verbs.job(id).cancel()
        return answered([f"job {id} is {now.state}"], as_json(now), [])

    def keep(
        self, session: Session, candidate: Annotated[int, Field(ge=0, description="Its number, from 0")] = 0
    ) -> CallToolResult:
        """A finished candidate becomes the next turn, on which one then stands."""
        opened = self._verbs.session(session)
        kept = opened.keep(candidate)
        view = opened.view()
        said = f"turn {kept.number} is kept: {kept.label}; {kept.outside_changed} pixels changed that were to stay"
        return answered([said], as_json(kept), [link(view, kept.id)])

    def list_turns(self, session: Session) -> CallToolResult:
        """All turns: number, texts, method, and how far each drifted. No pictures: look at those."""
        view = self._verbs.session(session).view()
        lines = [
            f"{'*' if turn.id == view.current else ' '} {turn.number} {turn.id[:12]} {turn.label}"
            + (f" ({turn.method}, {turn.quality}, seed {turn.seed})" if turn.method else "")
            for turn in view.turns
        ]
        return answered([f"branch {view.branch}; * is where one stands", *lines], seen(view), [])

    def go(
        self, session: Session, turn: Annotated[str | int, Field(description="A turn, or undo or redo, for one step")]
    ) -> CallToolResult:
        """Stand on a turn; running from an earlier one branches, and nothing is lost."""
        opened = self._verbs.session(session)
        view = opened.go(turn)
        said = f"one stands on turn {number_of(view, view.current)}"
        return answered([said], seen(view), [shown(opened.picture(), SIDE // 2), link(view, view.current)])

    def branch(self, session: Session, turn: Turn = "current", name: str = "") -> CallToolResult:
        """Begin a branch at a turn, and stand on it."""
        view = self._verbs.session(session).branch(name or None, turn)
        return answered([f"branch {view.branch} begins at turn {number_of(view, view.current)}"], seen(view), [])

    async def swap(
        self,
        session: Session,
        first: Turn,
        second: Turn,
        ctx: Context[Any],
        adopt: Annotated[bool, Field(description="Lay the other order down as a branch")] = False,
        wait: Wait = 120.0,
    ) -> CallToolResult:
        """Compute two neighbouring turns in the other order: both pictures, and whether the order matters."""
        opened = await asyncio.to_thread(self._verbs.session, session)
        handle = await asyncio.to_thread(opened.swap, first, second)
        now = await self._waited(handle, ctx, wait)
        if now.state is not JobState.DONE:
            return told(now)
        found = opened.view().swap
        assert found is not None, "a swap that is done has a comparison"
        picture = self._verbs.studio.services.pixels
        pictures: list[ContentBlock] = [shown(picture(found.ab), SIDE // 2), shown(picture(found.ba), SIDE // 2)]
        said = ["the pictures in the order that there is, and in the other one", json.dumps(dict(found.consistency))]
        if adopt:
            view = await asyncio.to_thread(opened.adopt)
            said.append(f"the other order is the branch {view.branch}")
        return answered(said, {"consistency": dict(found.consistency)}, pictures)

    def compare(self, session: Session, first: Turn, second: Turn = "current") -> CallToolResult:
        """Two turns side by side, where they differ, and how much: inside and outside the mask of the later one."""
        opened = self._verbs.session(session)
        found = as_json(opened.compare(first, second))
        both = [shown(opened.compared_picture(first, second, difference=d)) for d in (False, True)]
        parts = (
            f"{name}: {part['changed']} pixels changed, by {part['largest']} levels at most"
            for name, part in found["numbers"].items()
        )
        return answered([*parts, "side by side, and where they differ"], found, both)

    def export(
        self,
        session: Session,
        turn: Turn = "current",
        kind: Annotated[str, Field(description=f"One of {', '.join(ExportKind)}")] = "png",
    ) -> CallToolResult:
        """A turn, or the whole session (palimpsest), as a file: its link, and a small picture's bytes."""
        opened = self._verbs.session(session)
        wanted, id, view = member(ExportKind, "the kind of file", kind), opened.turn_id(turn), opened.view()
        assert wanted is not None, "a kind was said"
        data = opened.export(wanted, id)
        found = link(view, id, wanted, len(data))
        content: list[ContentBlock] = [found]
        if len(data) <= LARGEST_INLINE:
            blob = base64.b64encode(data).decode()
            held = BlobResourceContents(uri=found.uri, mime_type=found.mime_type, blob=blob)
            content.append(EmbeddedResource(type="resource", resource=held))
        said = f"{found.name}, {len(data):,} bytes"
        return answered([said], {"uri": found.uri, "bytes": len(data)}, content)

    # Inside

    async def _waited(self, handle: JobHandle, ctx: Context[Any], wait: float) -> JobView:
        """The job once it is over, or after `wait` seconds; each step that moves it on is told."""
        end, reached = time.monotonic() + wait, -1.0
        while True:
            now = await asyncio.to_thread(handle.view)
            done = sum(stage.fraction for stage in now.stages) / max(len(now.stages), 1)
            if done > reached:
                reached = done
                where = f"{now.ahead} before it" if now.state is JobState.QUEUED else now.stage
                await ctx.report_progress(round(done, 4), 1.0, where)
            left = end - time.monotonic()
            if now.state not in UNFINISHED or left <= 0:
                return now
            await asyncio.to_thread(handle.wait, min(0.3, left))

    async def _followed(self, handle: JobHandle, ctx: Context[Any], wait: float) -> CallToolResult:
        now = await self._waited(handle, ctx, wait)
        if now.state is not JobState.DONE:
            return told(now)
        opened = await asyncio.to_thread(self._verbs.session, handle.sid)
        staged = opened.candidates
        pictures: list[ContentBlock] = [shown(opened.candidate(k)) for k in range(len(staged))]
        lines = [
            f"candidate {k}: seed {one.seed}; {one.outside_changed} pixels changed that were to stay"
            + (f"; it is one flat colour, {one.flat}" if one.flat else "")
            for k, one in enumerate(staged)
        ]
        return answered([f"job {now.id} is done", *lines], as_json(now) | {"session": handle.sid}, pictures)


def calmly(tool: Callable[..., Any]) -> Callable[..., Any]:
    """`tool`, whose refusals are answers in the studio's words, and whose bugs say no more than a code."""

    def refused(problem: Exception) -> CallToolResult:
        if isinstance(problem, UnknownSession):
            words = NO_SESSION
        elif isinstance(problem, UserError | PipelineError):
            words = FOLDERS.sub("", str(problem))
        else:
            code = secrets.token_hex(3)
            log.error("error %s in the tool %s", code, tool.__name__, exc_info=problem)
            words = OUR_FAULT.format(code=code)
        return CallToolResult(content=[TextContent(type="text", text=words)], is_error=True)

    if inspect.iscoroutinefunction(tool):

        @functools.wraps(tool)
        async def later(*args: Any, **named: Any) -> Any:
            try:
                return await tool(*args, **named)
            except Exception as problem:  # noqa: BLE001 - told, and logged where it is a bug
                return refused(problem)

        return later

    @functools.wraps(tool)
    def at_once(*args: Any, **named: Any) -> Any:
        try:
            return tool(*args, **named)
        except Exception as problem:  # noqa: BLE001 - as above
            return refused(problem)

    return at_once


def decoded(data: str) -> bytes:
    """The bytes that base64 stands for, also behind ``data:image/png;base64,``; raises `BadPicture`."""
    text = data.strip()
    if (found := re.match(r"data:[\w.+/-]+;base64,", text)) is not None:
        text = text[found.end() :]
    if len(text) > LARGEST_FILE * 4 // 3 + 4:
        raise BadPicture(f"a file may have {LARGEST_FILE >> 20} MB; got more. Make it smaller")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadPicture(f"{NOT_TAKEN}; got {text[:40]!r}, which is no base64") from None


def part(picture: Picture, region: tuple[int, int, int, int]) -> Picture:
    """A part of a picture; raises `BadRequest` for one that it has not."""
    left, top, right, bottom = region
    height, width = picture.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise BadRequest(f"a region lies within {width} x {height} pixels; got {left}, {top} to {right}, {bottom}")
    return np.ascontiguousarray(picture[top:bottom, left:right])


def shown(picture: Picture, side: int = SIDE) -> ImageContent:
    """The picture, small."""
    data = small_webp(picture, side, LARGEST_PICTURE)
    return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type="image/webp")


def link(view: SessionView, turn: str, kind: ExportKind = ExportKind.PNG, size: int | None = None) -> ResourceLink:
    """Where a turn's file is read."""
    return ResourceLink(
        type="resource_link",
        name=f"turn {number_of(view, turn)}{ENDINGS[kind][0]}",
        uri=f"palimpsest://session/{view.sid}/turn/{turn}/{kind}",
        mime_type=MEDIA_TYPES[kind],
        size=size,
    )


def number_of(view: SessionView, id: str) -> int:
    """The turn's number along its line."""
    return next(turn.number for turn in view.turns if turn.id == id)


def seen(view: SessionView) -> dict[str, Any]:
    """Of a session, what helps to go on."""
    turns = [
        {"id": t.id, "number": t.number, "parent": t.parent, "subject": t.subject, "background": t.background}
        | {"method": t.method, "quality": t.quality, "drift": t.drift}
        for t in view.turns
    ]
    return {
        "session": view.sid,
        "name": view.name,
        "width": view.width,
        "height": view.height,
        "current": view.current,
        "branch": view.branch,
        "branches": dict(view.branches),
        "mask_area": view.mask.area if view.mask.mask else None,
        "candidates": len(view.staged),
        "turns": turns,
    }


def told(now: JobView) -> CallToolResult:
    """Of a job that is not done: where it is, or why it came to nothing."""
    if now.state in UNFINISHED:
        where = f"{now.ahead} before it" if now.state is JobState.QUEUED else f"{now.stage} {now.step} of {now.total}"
        return answered([f"job {now.id} is {now.state} ({where}); ask job again"], as_json(now), [])
    words = now.error or f"the job was {now.state}; start it once more"
    return CallToolResult(content=[TextContent(type="text", text=FOLDERS.sub("", words))], is_error=True)


def answered(lines: list[str], structured: dict[str, Any], more: list[Any]) -> CallToolResult:
    """Words for the model, values for programs, and pictures or links."""
    text = TextContent(type="text", text="\n".join(lines))
    return CallToolResult(content=[text, *more], structured_content=json.loads(json.dumps(structured, default=str)))


class OverHttp:
    """The server at `ADDRESS`. Each request stands for itself, so who asks is known of each; nothing is kept of it."""

    def __init__(self, server: MCPServer[Any]) -> None:
        # Who may ask, and how much one may send, was looked at by the gate.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(
            stateless_http=True, transport_security=security, max_request_body_size=2 * LARGEST_JSON
        )
        self._manager = server.session_manager
        self._runs: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._runs is None:  # the loop is that of the page's server, which runs already
            self._runs = asyncio.get_running_loop().create_task(self._run())
        await self._ready.wait()
        await self._manager.handle_request(scope, receive, send)

    async def _run(self) -> None:
        async with self._manager.run():
            self._ready.set()
            await asyncio.Event().wait()


def routes(verbs: OpenStudio, uploads: Uploads) -> list[BaseRoute]:
    """The route that assistants speak at."""
    return [Route(ADDRESS, OverHttp(build_server(verbs, uploads)), methods=["POST"])]
