"""The HTTP API for programs, ``/api/v1``: each address is one verb of `studio.verbs`, and what it takes is in
`studio.api.v1_bodies`.

Who may ask is the gate's affair. Ids that are nobody's and ids that are another's are not found alike, and no answer
names a folder of this machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from pipelines.catalog import CATALOG
from pipelines.colour_spaces import ColourSpace
from pipelines.errors import BadParameter, DeviceFault, NotEnoughMemory, PipelineError
from studio import errors
from studio.api.answers import KEEP, NOT_KEPT, headers, refused
from studio.api.hosts import came_from_elsewhere
from studio.api.uploads import Uploads
from studio.api.v1_bodies import (
    NAME,
    AttentionBody,
    BranchBody,
    GoBody,
    KeepBody,
    MaskBody,
    OpenBody,
    RenameBody,
    SaveMaskBody,
    SwapBody,
    TurnBody,
    UseMaskBody,
)
from studio.errors import UserError
from studio.exports.kinds import ENDINGS, MEDIA_TYPES, ExportKind
from studio.exports.pictures import Finish
from studio.jobs.job import UNFINISHED
from studio.session.sessions import ExampleKind
from studio.session.view import JobView, MaskView, SavedMaskView, SessionView, TurnView
from studio.settings import Gallery
from studio.store.record import Summary
from studio.verbs.rows import MethodRow, ModelRow
from studio.verbs.session import Compared, OpenSession, TurnAsk
from studio.verbs.studio import OpenStudio

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
FOLLOW_EVERY = 0.2
"""Seconds between two events of a running job, at least."""
LATER = 5.0
"""Seconds after which to come again where nobody knows better."""
LONGEST_GOT = 80
"""Characters of a wrong value that are repeated."""

STATUS: dict[type[Exception], int] = {
    errors.UnknownSession: 404,
    errors.UnknownTurn: 404,
    errors.UnknownBranch: 404,
    errors.UnknownPicture: 404,
    errors.UnknownMask: 404,
    errors.UnknownExample: 404,
    errors.UnknownJob: 404,
    errors.OnlyHere: 403,
    errors.TurnFailed: 409,
    errors.Busy: 429,
    errors.NotMadeFor: 409,
    errors.NothingStaged: 409,
    errors.WrongTurns: 409,
    errors.StaleView: 409,
    errors.StorageFull: 507,
    errors.StorageError: 409,
    errors.DeviceLost: 503,
    NotEnoughMemory: 503,
    DeviceFault: 503,
}
"""What a refusal is in HTTP; all others are 422, for something in the request has to be another."""
NOT_LISTED = (
    "The sessions are not listed to everybody here: a session's id opens it. "
    "Name the one you mean, or start the studio with --gallery all."
)
OUR_FAULT = "Something in the studio broke (code {code}); nothing was changed. Try again, or report the code."
NO_SESSION = "there is no session of that id; open one, or begin one with a picture"
EMPTY = "the file is expected as the request's body; got nothing. Send its bytes as they are"
SOURCES = "a new session begins with an upload or an example; send one of the two"
FOLDERS = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?[\\/](?:[^\s\\/'\"]+[\\/])+")


class Refusal(BaseModel):
    """Why something was not done, in words: what was expected, what came, what to do."""

    error: str
    field: str | None = None
    """Which part of the request it is about."""
    expected: str | None = None
    got: str | None = None
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True)
class Uploaded:
    """A file that waits to be used, once."""

    upload: str


@dataclass(frozen=True)
class ExampleRow:
    """A picture that comes with the studio, and a turn that works on it; or a session that was made."""

    id: str
    title: str
    kind: ExampleKind
    subject: str
    background: str
    scope: str
    clicks: tuple[tuple[float, float], ...]


class Calmly(APIRoute):
    """A route whose refusals are told in the studio's words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as problem:
                return invalid(problem)
            except (UserError, PipelineError) as problem:
                return told(problem)
            except HTTPException as problem:
                return refused(problem.status_code, str(problem.detail))
            except Exception:
                code = secrets.token_hex(3)
                log.exception("error %s in %s", code, self.path)
                return refused(500, OUR_FAULT.format(code=code))

        return answer


NO_FILE = "no_file_in_base64"
"""The kind of fault of what should be a picture's file in base64."""
EXPECTED = {
    NO_FILE: "a picture's file in base64",
    "missing": "given",
    "extra_forbidden": "left out: there is no such field",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_too_long": "a text of at most {max_length} characters",
    "too_long": "at most {max_length} of them",
    "too_short": "at least {min_length} of them",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "union_tag_invalid": "one with a method of {expected_tags}",
    "union_tag_not_found": "one with a method",
}
"""What a field must be, by the kind of what is wrong with it; of other kinds the checker's own words are told."""


def invalid(problem: RequestValidationError | ValidationError) -> Response:
    """The first thing that is wrong with a request: which field, what is expected, what came."""
    first = problem.errors()[0]
    place = [str(part) for part in first["loc"]]
    if place[1:2] and place[1] in CATALOG:  # the body of one method
        del place[1]
    field = ".".join(place[1:])[:NAME]
    kind = EXPECTED.get(str(first["type"]))
    expected = f"so: {first['msg']}" if kind is None else kind.format(**first.get("ctx", {}))
    got = json.dumps(first.get("input"), default=str, ensure_ascii=False)
    got = got if len(got) <= LONGEST_GOT else f"{got[:LONGEST_GOT]}…"
    return refused(
        422, f"{field or 'the request'} must be {expected}; got {got}", field=field, expected=expected, got=got
    )


def told(problem: UserError | PipelineError) -> Response:
    """A refusal in its own words, without the folders of this machine."""
    status = next((STATUS[kind] for kind in type(problem).__mro__ if kind in STATUS), 422)
    words = FOLDERS.sub("", str(problem))
    if isinstance(problem, errors.UnknownSession):  # the same for what is nobody's and what lies in the trash
        words = NO_SESSION
    after = getattr(problem, "seconds", None) or LATER if status in (429, 503) else None
    more = {"field": f"settings.{problem.setting}"} if isinstance(problem, BadParameter) and problem.setting else {}
    if status == 422 and "; got " in words:
        expected, _, got = words.partition("; got ")
        more |= {"expected": expected, "got": got}
    return refused(status, words, after, **more)


Sid = Annotated[str, Path(description="The session's id", min_length=1, max_length=NAME)]
TurnName = Annotated[
    str,
    Path(description="The turn's id, its number along the line, current or original", min_length=1, max_length=NAME),
]
JobId = Annotated[str, Path(description="The job's id", min_length=1, max_length=NAME)]
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that an address may answer with: those of the gate, and those of its own."""
    about = {
        400: "What was sent is no JSON that is read",
        401: "A key is needed",
        403: "Another site asks, or what is not for everybody",
        404: "No such session, turn, picture or job",
        405: "The address does not take this method",
        409: "It cannot be done as things are",
        411: "It does not say how long it is",
        413: "More than is taken",
        415: "Not JSON",
        422: "Something in it has to be another",
        429: "Too much at once; `retry_after` says when",
        503: "What computes pictures is not there",
        507: "The disk is full",
    }
    own = {401, 403, 404, 405, 411, 413, 429, *statuses}
    return {status: {"model": Refusal, "description": about[status]} for status in sorted(own)}


def routes(verbs: OpenStudio, uploads: Uploads) -> list[BaseRoute]:
    """The routes of all verbs."""
    settings = verbs.studio.settings

    def session_of(sid: str) -> OpenSession:
        return verbs.session(sid)

    def following(problem: errors.Busy, session: OpenSession) -> errors.Busy:
        """`problem` with the seconds after which the session's own job will be over."""
        job = session.view().job
        if problem.seconds is None and job is not None:
            problem.seconds = job.seconds_left
        return problem

    # What there is

    def openapi() -> JSONResponse:
        """This description."""
        return JSONResponse(described(verbs, uploads))

    def models() -> tuple[ModelRow, ...]:
        """The models and LoRA files there are."""
        return verbs.models()

    def methods(model: str = "") -> tuple[MethodRow, ...]:
        """The methods, with every setting, its range and what the presets of the model give it; without a model, of the
        studio's own."""
        return verbs.methods(model=model)

    def examples() -> tuple[ExampleRow, ...]:
        """The pictures that come with the studio."""
        return tuple(
            ExampleRow(e.id, e.title, e.kind, e.subject, e.background, e.scope, e.clicks) for e in verbs.examples()
        )

    # Sessions

    async def upload(request: Request) -> Response:
        """Send a picture, a mask or a session file, as it is; it waits to be used once, by its ticket."""
        if request.headers.get("content-length", "0") == "0":
            return refused(422, EMPTY, expected="a file", got="nothing")
        taken = await uploads.taken(request)
        if isinstance(taken, Response):
            return refused(taken.status_code, bytes(taken.body).decode() or "The file did not arrive whole.")
        return JSONResponse({"upload": taken}, 201)

    def sessions(
        request: Request,
        search: Annotated[str, Query(max_length=NAME, description="Words of the name or the turns' texts")] = "",
        trashed: Annotated[bool, Query(description="Those in the trash instead")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
    ) -> tuple[Summary, ...]:
        """The sessions, the newest first. Only where the gallery shows all of them to everybody."""
        elsewhere = came_from_elsewhere(request.headers)
        if settings.gallery is not Gallery.ALL and (elsewhere or not settings.lists_all):
            raise errors.OnlyHere(NOT_LISTED)
        return verbs.sessions(search, trashed=trashed, limit=limit, offset=offset)

    def open_session(body: OpenBody, response: Response) -> SessionView:
        """Begin a session."""
        if (body.upload is None) == (body.example is None):
            raise errors.NotReady(SOURCES)
        if body.example is not None:
            session = verbs.open_example(body.example)
            if body.name:
                verbs.rename(session.sid, body.name)
        else:
            session = verbs.open(uploads.take(body.upload), body.name)
        response.headers["Location"] = f"{PREFIX}/sessions/{session.sid}"
        return session.view()

    def session(sid: Sid) -> SessionView:
        """Everything there is to know of a session."""
        return session_of(sid).view()

    def rename(sid: Sid, body: RenameBody) -> SessionView:
        """Call a session something else."""
        return verbs.rename(sid, body.name).view()

    def trash(sid: Sid) -> Response:
        """Put a session into the trash."""
        verbs.trash(sid)
        return Response(status_code=204)

    def restore(sid: Sid) -> SessionView:
        """Bring a session back from the trash."""
        return verbs.restore(sid).view()

    def copy(sid: Sid, response: Response) -> SessionView:
        """Copy a session under an id of its own."""
        session = verbs.duplicate(sid)
        response.headers["Location"] = f"{PREFIX}/sessions/{session.sid}"
        return session.view()

    # Turns

    def mask(sid: Sid, body: MaskBody) -> MaskView:
        """Say what the subject is. The mask's picture is at ``pictures/{mask}``."""
        session = session_of(sid)
        return session.mask(
            [(click.x, click.y, click.include) for click in body.clicks],
            box=None if body.box is None else (body.box.left, body.box.top, body.box.right, body.box.bottom),
            phrase=body.phrase,
            picture=None if body.upload is None else uploads.take(body.upload),
            grow=body.grow,
            feather=body.feather,
            invert=body.invert,
            choice=body.choice,
            snap=body.snap,
            strokes=[one.stroke() for one in body.strokes],
            scribbles=[one.stroke() for one in body.scribbles],
        )

    def masks(sid: Sid) -> tuple[SavedMaskView, ...]:
        """The masks that were saved by name. A mask's picture is at ``pictures/{mask}``."""
        return session_of(sid).masks

    def save_mask(sid: Sid, body: SaveMaskBody) -> SavedMaskView:
        """Keep the mask as it stands under a name, for every turn of the session."""
        return session_of(sid).save_mask(body.name)

    def use_mask(sid: Sid, body: UseMaskBody) -> MaskView:
        """Select a saved mask, alone or joined with what is selected."""
        return session_of(sid).use_mask(body.name, body.how)

    def forget_mask(sid: Sid, name: Annotated[str, Path(min_length=1, max_length=NAME)]) -> Response:
        """Take a saved mask away."""
        session_of(sid).forget_mask(name)
        return Response(status_code=204)

    def turn(sid: Sid, body: TurnBody, response: Response) -> JobView:
        """Begin a turn. Its job is followed at ``jobs/{id}``; finished pictures are the session's ``staged`` then."""
        session = session_of(sid)
        said = body.model_dump(exclude={"settings", "subject_upload", "background_upload"})
        changes = {} if body.settings is None else body.settings.model_dump(exclude_none=True)
        subject, background = (
            None if ticket is None else uploads.take(ticket) for ticket in (body.subject_upload, body.background_upload)
        )
        try:
            job = session.ask(TurnAsk(**said, settings=changes), subject, background)
        except errors.Busy as problem:
            raise following(problem, session) from None
        response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
        return job.view()

    def attention(sid: Sid, body: AttentionBody, response: Response) -> JobView:
        """Find what the model looks at for each word. The session's ``attention`` has the maps then; each is a small
        grey picture at ``pictures/{map}``."""
        session = session_of(sid)
        try:
            job = session.attention(body.text, body.words)
        except errors.Busy as problem:
            raise following(problem, session) from None
        response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
        return job.view()

    def keep(sid: Sid, body: KeepBody) -> TurnView:
        """A finished candidate becomes the next turn."""
        return session_of(sid).keep(body.candidate)

    def discard(sid: Sid) -> SessionView:
        """Keep none of the finished candidates."""
        return session_of(sid).discard()

    def go(sid: Sid, body: GoBody) -> SessionView:
        """Stand on a turn, or go one step."""
        return session_of(sid).go(body.turn)

    def branch(sid: Sid, body: BranchBody) -> SessionView:
        """Begin a branch."""
        return session_of(sid).branch(body.name, body.turn)

    def swap(sid: Sid, body: SwapBody, response: Response) -> JobView:
        """Compute two neighbouring turns in the other order; the session's ``swap`` has the comparison then."""
        session = session_of(sid)
        try:
            job = session.swap(body.first, body.second)
        except errors.Busy as problem:
            raise following(problem, session) from None
        response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
        return job.view()

    def adopt(sid: Sid) -> SessionView:
        """Lay the other order down as a new branch."""
        return session_of(sid).adopt()

    def compare(
        sid: Sid,
        first: Annotated[str, Query(max_length=NAME, description="A turn")],
        second: Annotated[str, Query(max_length=NAME, description="Another one")] = "current",
    ) -> Compared:
        """How alike two turns are, inside and outside the mask of the later one."""
        return session_of(sid).compare(first, second)

    # Files

    def picture(sid: Sid, digest: Annotated[str, Path(min_length=1, max_length=NAME)]) -> Response:
        """A picture or mask of the session, by the digest that its view gives, as PNG."""
        data = verbs.studio.sessions.get(sid).picture_bytes(digest)
        return Response(data, media_type="image/png", headers=headers(keep=KEEP))

    def export(
        sid: Sid,
        turn: TurnName,
        kind: ExportKind,
        recipe: Annotated[bool, Query(description="Whether a PNG, JPEG, WebP or AVIF carries its recipe")] = True,
        colours: Annotated[ColourSpace, Query(description="The colour space of a picture")] = ColourSpace.SRGB,
        size: Annotated[
            str, Query(max_length=NAME, description='A share like "50%", or the longer side in pixels; never enlarged')
        ] = Finish.size,
        quality: Annotated[int, Query(ge=1, le=100, description="Of a JPEG, WebP or AVIF")] = Finish.quality,
        bits: Annotated[int, Query(ge=8, le=16, description="A channel, of a PNG or TIFF: 8 or 16")] = Finish.bits,
    ) -> Response:
        """A turn as a file, or the whole session."""
        session = session_of(sid)
        data = session.export(kind, turn, recipe=recipe, colours=colours, size=size, quality=quality, bits=bits)
        name = f"{session.view().name}{ENDINGS[kind][0]}"
        return Response(data, media_type=MEDIA_TYPES[kind], headers=headers(name, NOT_KEPT))

    # Jobs

    def job(id: JobId) -> JobView:
        """Where a job is."""
        return verbs.job(id).view()

    async def events(id: JobId) -> Response:
        """The job after each of its steps, as server-sent events named after its state; the last one is over."""
        handle = await asyncio.to_thread(verbs.job, id)
        session = await asyncio.to_thread(verbs.studio.sessions.get, handle.sid)  # refused before anything is sent

        async def stream() -> AsyncIterator[str]:
            last: JobView | None = None
            while True:
                rev = session.view().rev
                try:
                    now = handle.view()
                except UserError:
                    return
                if now != last:
                    yield f"event: {now.state}\ndata: {json.dumps(asdict(now))}\n\n"
                    last = now
                if now.state not in UNFINISHED:
                    return
                await asyncio.sleep(FOLLOW_EVERY)
                await asyncio.to_thread(session.wait, rev, 1.0)

        return StreamingResponse(stream(), media_type="text/event-stream", headers=headers(keep=NOT_KEPT))

    def cancel(id: JobId) -> JobView:
        """Stop a job; one that is over stays as it is."""
        return verbs.job(id).cancel()

    def route(
        method: str, path: str, does: Callable[..., Any], statuses: tuple[int, ...] = (), code: int = 200, **more: Any
    ) -> Calmly:
        return Calmly(
            PREFIX + path,
            does,
            methods=[method],
            status_code=code,
            operation_id=does.__name__,
            responses={**answers(*statuses), **more.pop("also", {})},
            **more,
        )

    body = (400, 404, 409, 415, 422, 507)
    files = {
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}}
    }
    png = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
    stream = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    uploaded = {201: {"model": Uploaded, "description": "The ticket"}}
    one = "/sessions/{sid}"
    return [
        route("GET", "/openapi.json", openapi, include_in_schema=False),
        route("GET", "/models", models),
        route("GET", "/methods", methods),
        route("GET", "/examples", examples),
        route(
            "POST",
            "/uploads",
            upload,
            (400, 422, 507),
            201,
            also=uploaded,
            openapi_extra=TAKES_FILE,
            response_model=None,
        ),
        route("GET", "/sessions", sessions, (422,)),
        route("POST", "/sessions", open_session, body, 201),
        route("GET", one, session, (404, 409, 422)),
        route("PATCH", one, rename, body),
        route("DELETE", one, trash, (404, 409, 422), 204, response_model=None),
        route("POST", f"{one}/restore", restore, (404, 409, 422)),
        route("POST", f"{one}/copy", copy, (404, 409, 422, 507), 201),
        route("POST", f"{one}/mask", mask, (*body, 503)),
        route("GET", f"{one}/masks", masks, (404, 409, 422)),
        route("POST", f"{one}/masks", save_mask, body, 201),
        route("POST", f"{one}/masks/use", use_mask, body),
        route("DELETE", f"{one}/masks/{{name:path}}", forget_mask, (404, 409, 422, 507), 204, response_model=None),
        route("POST", f"{one}/turns", turn, (*body, 503), 202),
        route("POST", f"{one}/attention", attention, (*body, 503), 202),
        route("POST", f"{one}/keep", keep, body, 201),
        route("POST", f"{one}/discard", discard, (404, 409, 422, 507)),
        route("POST", f"{one}/go", go, body),
        route("POST", f"{one}/branch", branch, body),
        route("POST", f"{one}/swap", swap, (*body, 503), 202),
        route("POST", f"{one}/adopt", adopt, (404, 409, 422, 507)),
        route("GET", f"{one}/compare", compare, (404, 409, 422)),
        route("GET", f"{one}/pictures/{{digest}}", picture, (404, 409, 422), also=png, response_class=Response),
        route("GET", f"{one}/turns/{{turn}}/{{kind}}", export, (404, 409, 422), also=files, response_class=Response),
        route("GET", "/jobs/{id}", job, (404, 422)),
        route("GET", "/jobs/{id}/events", events, (404, 422, 503), also=stream, response_class=Response),
        route("DELETE", "/jobs/{id}", cancel, (404, 422)),
    ]


TAKES_FILE = {"requestBody": {"required": True, "content": FILE}}


def described(verbs: OpenStudio, uploads: Uploads) -> dict[str, Any]:
    """The OpenAPI description of all of it."""
    app = FastAPI(
        title="Palimpsest",
        version="1",
        summary="Edit pictures in turns: the page's verbs for programs.",
        description=(
            "Upload a picture, begin a session with it, say what the subject is, begin a turn, follow its job, keep a "
            "candidate. A token (`Authorization: Bearer`) is needed where others reach the studio."
        ),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=routes(verbs, uploads),
    )
    found = app.openapi()
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{}, {"token": []}]
    return found
