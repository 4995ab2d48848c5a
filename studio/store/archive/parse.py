"""JSON from a stranger into the values of the schema: strict in syntax, types and fields."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from studio.store.archive.schema import FORMAT, VERSION, BadArchive, SessionFile

DEEPEST = 32
"""Levels of lists and objects in the JSON."""
LARGEST_NUMBER = 2**63

T = TypeVar("T")


def parsed(data: bytes) -> SessionFile:
    """``session.json`` as the schema has it; raises `BadArchive`, naming the field, for anything else."""
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except BadArchive:
        raise
    except (ValueError, RecursionError) as problem:
        raise BadArchive("session.json of the session file is not JSON; export the session again") from problem
    _check_values(found)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadArchive(f'session.json must be an object whose format is "{FORMAT}"')
    version = found.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        newer = isinstance(version, int) and version > VERSION
        raise BadArchive(
            f"the session file has version {version!r:.40} of the format; this studio reads versions 1 to {VERSION}"
            + (". Open it with the newer studio that wrote it" if newer else "")
        )
    return _typed_fields(SessionFile, found, "session.json")


def _no_constant(name: str) -> None:
    raise BadArchive(f"session.json holds {name}, which is no number that JSON knows")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadArchive("session.json names a field twice in one object")
    return found


def _check_values(root: Any) -> None:
    """Depth, numbers and texts, wherever they stand: nothing after this need think of them."""
    level, depth = [root], 0
    while level:
        if depth > DEEPEST:
            raise BadArchive(f"session.json is nested deeper than {DEEPEST} levels")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                if not _is_unicode(value):
                    raise BadArchive(f"session.json holds a text that is not Unicode: {value!r:.80}")
            elif isinstance(value, int | float) and not abs(value) < LARGEST_NUMBER:  # infinity is no such number
                raise BadArchive("session.json holds a number too large for any of its fields")
        level, depth = below, depth + 1


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def typed(kind: Any, data: Any, what: str) -> Any:
    """`data`, JSON from a stranger, as a value of the annotation `kind`; raises `BadArchive` naming `what`."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _typed_fields(typing.cast(type, kind), data, what)
    if origin is types.UnionType:  # always "something or nothing"
        return None if data is None else typed(get_args(kind)[0], data, what)
    if origin is tuple and isinstance(data, list):
        return tuple(typed(get_args(kind)[0], item, f"{what}[{i}]") for i, item in enumerate(data))
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(data, str) and data in list(kind):
        return kind(data)
    wanted: Any = {float: (int, float), int: int, str: str, bool: bool}.get(kind, dict if origin is Mapping else ())
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise BadArchive(f"{what} is not what the format wants there: got {data!r:.80}")
    return data


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed_fields(kind: type[T], data: Any, what: str) -> T:
    hints = _hints(typing.cast(Any, kind))
    known = {f.name: f for f in fields(typing.cast(Any, kind))}
    required = {f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING}
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name not in getattr(kind, "no_longer_told", ())}
    if not isinstance(data, dict) or not required <= set(data) <= set(known):
        came = f"the fields {', '.join(map(repr, data))}" if isinstance(data, dict) else repr(data)
        raise BadArchive(f"{what} needs the fields {', '.join(sorted(required))}; it has {came:.200}")
    return kind(**{name: typed(hints[name], value, f"{what}.{name}") for name, value in data.items()})
