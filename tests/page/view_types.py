"""Writes ``assets/js/view.d.ts``: what the page is sent, as types for the check of its scripts (``make types``).

They are the frozen values of `studio.session.view` and what hangs on them, as `dataclasses.asdict` and JSON make them
plain: tuples become lists, enumerations their values.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pipelines.evaluation.consistency import Consistency
from pipelines.evaluation.drift import Drift
from pipelines.hints.contract import Hint
from studio.session.registry import ModelsView
from studio.session.view import OrderCell, OrdersView, SessionView, SwapView, TurnView
from studio.store.record import Summary

FILE = Path(__file__).resolve().parents[2] / "assets" / "js" / "view.d.ts"
HEAD = "// What Python sends to the page. Written by `make types` from the dataclasses; do not edit.\n"
SENT: tuple[type, ...] = (SessionView, OrdersView, ModelsView, Summary, Hint)
"""The values that messages hold (``store.js``); what they are made of follows."""
STORED: dict[tuple[type, str], tuple[type, str]] = {
    (TurnView, "drift"): (Drift, "Drift | null"),
    (SwapView, "consistency"): (Consistency, "Consistency"),
    (OrderCell, "consistency"): (Consistency, "Consistency | null"),
}
"""Fields that hold another value as JSON already, by what they hold."""
PLAIN: dict[Any, str] = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null", Any: "any"}


def declarations() -> str:
    """The text of the file."""
    found: dict[str, str] = {}
    waiting: list[type] = list(SENT)
    while waiting:
        kind = waiting.pop(0)
        if kind.__name__ not in found:
            found[kind.__name__] = "\n".join(_interface(kind, waiting))
    return f"{HEAD}\n" + "\n\n".join(found[name] for name in sorted(found)) + "\n"


def _interface(kind: type, waiting: list[type]) -> Iterator[str]:
    hints, told = typing.get_type_hints(kind), _told(kind)
    yield from _comment((kind.__doc__ or "").split("\n\n")[0], "")
    yield f"export interface {kind.__name__} {{"
    for field in fields(kind):
        yield from _comment(told.get(field.name, ""), "  ")
        if stored := STORED.get((kind, field.name)):
            waiting.append(stored[0])
            yield f"  {field.name}: {stored[1]};"
        else:
            yield f"  {field.name}: {_type(hints[field.name], waiting)};"
    yield "}"


def _comment(words: str, margin: str) -> Iterator[str]:
    if words := " ".join(words.split()).replace("*/", ""):
        yield from textwrap.wrap(f"/** {words} */", 116, initial_indent=margin, subsequent_indent=f"{margin} * ")


def _told(kind: type) -> dict[str, str]:
    """What stands below each field, by its name."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    told = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            told[ast.unparse(field.target)] = str(below.value.value)
    return told


def _type(hint: Any, waiting: list[type]) -> str:
    """`hint` as JSON has it; the dataclasses in it are added to `waiting`."""
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(f'"{one.value}"' for one in hint)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        waiting.append(hint)
        return hint.__name__
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(one, waiting) for one in inner)
    if origin in (dict, Mapping):
        return f"Record<{_type(inner[0], waiting)}, {_type(inner[1], waiting)}>"
    if origin is tuple and inner[-1] is Ellipsis:
        one = _type(inner[0], waiting)
        return f"({one})[]" if "|" in one else f"{one}[]"
    if origin is tuple:
        return f"[{', '.join(_type(one, waiting) for one in inner)}]"
    raise TypeError(f"{hint} has no form in JSON that is known here")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        FILE.write_text(declarations(), encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != declarations():
        sys.exit(f"{FILE.name} is not what Python sends; run: make types")
