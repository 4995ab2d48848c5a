"""What must hold before a turn is queued, each with the words for the person when it does not.

Nothing is loaded or computed here, so a turn that cannot run is refused at once and nothing of it is stored.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pipelines.catalog import check_serves, scope_of, usable
from pipelines.catalog import method as find_method
from pipelines.catalog import settings as resolved_settings
from pipelines.contract import Extent, Kind, Quality, Scope, about
from pipelines.errors import PipelineError
from pipelines.models.folders import check_parts, find_model, find_models
from pipelines.params import Params
from pipelines.requests import check_text
from studio.errors import NotReady, OverLimit, UserError
from studio.session.selection import Selection
from studio.session.view import FRESH, Draft
from studio.settings import Hosting
from studio.store.blobs import DIGEST

E = TypeVar("E", Scope, Quality)


def clean_draft(draft: Draft) -> Draft:
    """A draft that can be stored: plain types, texts that are text, a method that there is. It need not be runnable
    yet. Raises `NotReady`, `BadRequest` and `UnknownMethod`."""
    said: dict[str, Any] = {**vars(draft)}  # what a page sent, whatever the annotations promise
    for name, _ in about(draft, Kind.TEXT):
        if not isinstance(said[name], str):
            raise NotReady(f"the {name} must be a text; got {said[name]!r:.80}")
        said[name] = _well_formed(said[name])
        check_text(said[name], name)
    for name in ("candidates", "seed"):
        if isinstance(said[name], bool) or not isinstance(said[name], int):
            raise NotReady(f"{name} must be a whole number; got {said[name]!r:.80}")
    for name in ("model", "method"):
        if not isinstance(said[name], str):
            raise NotReady(f"the {name} is chosen by its name; got {said[name]!r:.80}")
    if not isinstance(said["insisted"], bool):
        raise NotReady(f"whether somebody insisted is yes or no; got {said['insisted']!r:.80}")
    find_method(draft.method)
    for name in draft.references():
        if said[name] is not None and not (isinstance(said[name], str) and DIGEST.fullmatch(said[name])):
            raise NotReady(f"a reference picture is named by its SHA-256 in 64 hex digits; got {said[name]!r:.80}")
    for name in ("changes", "loras"):
        if not isinstance(said[name], dict):
            raise NotReady(f"the {name} are named values; got {said[name]!r:.80}")
    for key, value in draft.changes.items():
        if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise NotReady(f"the setting {key!r:.80} must be a number, a switch or a word; got {value!r:.80}")
    loras: dict[Any, Any] = said["loras"]
    for name, scale in loras.items():
        if not isinstance(name, str) or isinstance(scale, bool) or not isinstance(scale, int | float):
            raise NotReady(f"a LoRA has a name and a number for its scale; got {name!r:.80} and {scale!r:.80}")
        if not math.isfinite(scale):
            raise NotReady(f"the scale of the LoRA {name!r:.80} must be a finite number; got {scale}")
    return replace(
        draft,
        **{name: said[name] for name in draft.texts()},
        scope=_member(Scope, "what changes", draft.scope),
        quality=_member(Quality, "the quality", draft.quality),
        changes=dict(draft.changes),
        loras=dict(draft.loras),
    )


def stored_draft(data: Any) -> tuple[Draft, str]:
    """A draft as `present.draft_to_json` gave it, whatever became of it since. What cannot be is left out, and said."""
    draft, lost = FRESH, []
    said = data if isinstance(data, dict) else {}
    for name, value in said.items():
        if name != "prompts" and name in vars(draft):
            try:
                draft = clean_draft(replace(draft, **{name: value}))
            except (UserError, PipelineError, ValueError, TypeError, AttributeError):
                lost.append(name)
    changes = usable(draft.method, draft.quality, draft.changes)
    lost += [name for name in draft.changes if name not in changes]
    if not lost:
        return draft, ""
    return replace(draft, changes=changes), (
        f"Of the turn in preparation this could not be used, and is as in a new one: {', '.join(lost)[:200]}."
    )


def check_draft(draft: Draft, selection: Selection, model_folders: tuple[Path, ...]) -> Params:
    """The settings to run `draft` with.

    Raises `NotReady`, or `UnknownMethod`, `BadParameter` and `ModelError` of the pipelines. What concerns the pixels
    and the texts is `pipelines.requests.check_request`'s part.
    """
    entry = find_method(draft.method)
    models = find_models(model_folders)
    params = resolved_settings(draft.method, draft.quality, draft.changes, models.get(draft.model))
    if selection.mask is None:
        if entry.needs_mask:
            raise NotReady(f"click the subject in the picture first: {entry.title} needs to know what it is")
        if scope_of(entry, draft.scope) is not Scope.BOTH:
            raise NotReady("click the subject in the picture first, or let the turn change both")
    if not entry.needs_model:
        return params
    card = find_model(draft.model, model_folders)
    check_serves(entry, card, models.values())
    check_parts(card)
    return params


QUALITIES = tuple(Quality)
"""From the cheapest to the dearest."""


def allowed_qualities(hosting: Hosting | None) -> tuple[Quality, ...]:
    """Those that a turn may be run at."""
    return QUALITIES if hosting is None else QUALITIES[: QUALITIES.index(hosting.most_quality) + 1]


def check_limits(hosting: Hosting | None, quality: str, candidates: int) -> None:
    """Raise `OverLimit` for what a studio that strangers share does not run; nothing is limited without `hosting`."""
    if hosting is None:
        return
    allowed = allowed_qualities(hosting)
    if quality not in allowed:
        raise OverLimit(
            f"this studio is shared, so the quality of a turn must be one of {', '.join(allowed)}; got {quality}"
        )
    if candidates > hosting.most_candidates:
        raise OverLimit(
            f"this studio is shared, so a turn may have {hosting.most_candidates} candidates at most; got {candidates}"
        )


def check_size(hosting: Hosting | None, made: Extent, before: Extent) -> None:
    """Raise `OverLimit` for a picture that is larger than strangers may have, unless it does not grow."""
    if hosting is None or max(made.width, made.height) <= max(hosting.largest_side, before.width, before.height):
        return
    raise OverLimit(
        f"this studio is shared, so a picture may have {hosting.largest_side} pixels a side at most; this turn would "
        f"make one of {made.width} x {made.height}"
    )


def _well_formed(text: str) -> str:
    """Half of a surrogate pair cannot be stored as UTF-8 and becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _member(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise NotReady(f"{name} must be one of {', '.join(kind)}; got {value!r:.80}") from None
