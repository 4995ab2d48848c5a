"""Rows of the token table that a run has of its own: what the text encoders read in the place of the table's, which is
never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from pipelines.models.bundle import ModelBundle

Reading = Callable[[Tensor], Tensor]
"""What becomes of the rows of a text's tokens, ``(B, L, D)``."""


def token_tables(bundle: ModelBundle) -> tuple[nn.Embedding, ...]:
    """Of the text encoders, in their order."""
    encoders = [encoder for encoder in (bundle.text_encoder, bundle.text_encoder_2) if encoder is not None]
    return tuple(encoder.get_input_embeddings() for encoder in encoders)


@contextmanager
def read_as(bundle: ModelBundle, readings: Sequence[Reading]) -> Iterator[None]:
    """Inside, each text encoder reads what its one of `readings` makes of the table's rows."""

    def hook(reading: Reading) -> Callable[[nn.Module, object, Tensor], Tensor]:
        return lambda _module, _in, told: reading(told)

    with ExitStack() as hooks:
        for table, reading in zip(token_tables(bundle), readings, strict=True):
            hooks.callback(table.register_forward_hook(hook(reading)).remove)
        yield
