"""A seal on every row: a hash of its other columns, made when the row is written and looked at when it is read.

SQLite checks how the pages of its file hang together, not what stands in them. A row that does not fit its seal was
changed by a failing disk or by another program. Against somebody who wants to deceive a seal is no help, and need not
be: the data folder is the person's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import Float, Table

from studio.history.turn import tagged_hash
from studio.store.tables import Sealed, SessionRow


def sealed(kind: type[Sealed], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, one for each column of the table of `kind`, as they will read back, and their seal."""
    columns = _table(kind).columns
    row = {name: float(value) if _is_real(columns[name], value) else value for name, value in values.items()}
    return row | {"seal": _seal(_table(kind), row)}


def is_sealed(row: Sealed) -> bool:
    """Whether everything in `row` is as it was written. Whatever may stand in a column is looked at and not trusted."""
    return fits(type(row), {**_values(row), "seal": row.seal})


def fits(kind: type[Sealed], row: Mapping[str, Any]) -> bool:
    """The same of a row that was read as plain columns of the table of `kind`."""
    values = dict(row)
    try:
        return bool(values.pop("seal") == _seal(_table(kind), values))
    except (TypeError, ValueError):  # bytes, or a number that is none
        return False


def change(row: Sealed, **values: Any) -> None:
    """Set columns of `row`, and its seal to match. A row that is damaged stays so: what else stands in it is not known
    to be right."""
    whole = is_sealed(row)
    for name, value in values.items():
        setattr(row, name, value)
    if whole:
        row.seal = _seal(_table(type(row)), _values(row))


def mark_damaged(row: SessionRow) -> None:
    """Seal a row that is damaged, as one that says so: no session holds nothing."""
    row.holds = "[]"
    with suppress(TypeError, ValueError):
        row.seal = _seal(_table(SessionRow), _values(row))


def _values(row: Sealed) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in _table(type(row)).columns if column.name != "seal"}


def _seal(table: Table, values: Mapping[str, Any]) -> str:
    assert values.keys() | {"seal"} == set(table.columns.keys()), f"a seal covers all of {table.name}"
    return tagged_hash(f"row/{table.name}", values)


def _is_real(column: Any, value: Any) -> bool:
    return isinstance(column.type, Float) and value is not None


def _table(kind: type[Sealed]) -> Table:
    return cast(Table, kind.__table__)
