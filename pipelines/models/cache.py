"""A small least-recently-used cache for loaded models and picture embeddings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps the `limit` values used last. Not locked: whoever owns it holds its own lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value under `key`, made on the first call. The oldest goes before a new one is made: memory is short."""
        if key not in self._held:
            while len(self._held) >= self._limit:
                self._held.popitem(last=False)
            self._held[key] = make()
        self._held.move_to_end(key)
        return self._held[key]

    def drop(self, key: K) -> None:
        """Forget `key`, if it is held."""
        self._held.pop(key, None)

    def keep_only(self, *keys: K) -> None:
        """Forget all but these."""
        for key in [key for key in self._held if key not in keys]:
            del self._held[key]

    def __len__(self) -> int:
        return len(self._held)
