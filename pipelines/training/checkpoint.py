"""One training's checkpoint: written whole or not at all, and read only by the training that it is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import ModelError

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 180
"""Between two of them."""


def write_checkpoint(scratch: Path, state: Mapping[str, Any], out: Path, publish: Callable[[], None]) -> None:
    """`state`, which has ``step`` and ``identity`` in it, into `scratch`; then `publish` writes the model to `out`.

    Raises `ModelError` where there is no room: the last checkpoint stays as it was.
    """
    part = scratch / f"{CHECKPOINT}.part"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), part)
        part.replace(scratch / CHECKPOINT)
        publish()
    except (OSError, RuntimeError) as error:  # torch's writer says so with the latter
        part.unlink(missing_ok=True)
        raise ModelError(
            f"step {state['step']} could not be written to {scratch} and {out} "
            f"({getattr(error, 'strerror', None) or str(error)[:100]}); the last checkpoint is whole. Free some "
            "room and run the same command: it goes on from there"
        ) from error


def read_checkpoint(scratch: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in `scratch`, or ``None`` where no training was begun there.

    `identity` is what a checkpoint has to have in common with the training that goes on from it, as plain values.
    Raises `ModelError` for one that is damaged or of another training, saying what differs.
    """
    path = scratch / CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        theirs = state["identity"]
    except Exception as error:  # what a damaged pickle raises is anything
        raise ModelError(
            f"{path} is no checkpoint, or damaged ({str(error)[:100]}); delete {scratch} to begin anew"
        ) from error
    other = [name for name in identity if theirs.get(name) != identity[name]]
    if other:
        told = "; ".join(f"{name}: {_difference(theirs.get(name), identity[name])}" for name in other)
        raise ModelError(
            f"{path} must be of this training; it is of another one ({told}). Give the same options, another "
            f"--scratch, or delete {scratch} to begin anew"
        )
    return state


def begun(scratch: Path) -> dict[str, Any] | None:
    """The plan, as plain values, of the training that was begun in `scratch`; ``None`` where there is none.

    Of a damaged checkpoint it is empty: `read_checkpoint` says what is wrong.
    """
    if not (scratch / CHECKPOINT).exists():
        return None
    try:
        plan: dict[str, Any] = torch.load(scratch / CHECKPOINT, weights_only=True, map_location="cpu")["identity"][
            "plan"
        ]
    except Exception:  # what a damaged pickle raises is anything  # noqa: BLE001
        return {}
    return plan


def _difference(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        names = [name for name in ours if theirs.get(name) != ours[name]]
        return ", ".join(f"{name} {theirs.get(name)} instead of {ours[name]}" for name in names)
    return f"{theirs} instead of {ours}"
