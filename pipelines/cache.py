"""A least-recently-used cache that is bounded by what its values weigh. This file imports no torch.

Keys are names (a digest, an id), never the data itself, which would be held as well and not be counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps the values used last, as many as weigh `limit` together; the newest in any case, whatever it weighs.

    Any thread may ask. A value that several ask for at once may be made several times.
    """

    def __init__(self, limit: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        """`weigh` gives a value's bytes; without it every value weighs one, so that `limit` is their number."""
        self._limit = limit
        self._weigh = weigh
        self._lock = Lock()
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value under `key`, made on the first call. The oldest goes before a new one is made: memory is short."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
            self._shrink(self._limit - 1)
        value = make()
        with self._lock:
            self._drop(key)
            weight = self._weigh(value)
            self._shrink(self._limit - weight)
            self._held[key] = value, weight
            self._weight += weight
        return value

    def drop(self, key: K) -> None:
        """Forget `key`, if it is held."""
        with self._lock:
            self._drop(key)

    def keep_only(self, *keys: K) -> None:
        """Forget all but these."""
        with self._lock:
            for key in [key for key in self._held if key not in keys]:
                self._drop(key)

    @property
    def weight(self) -> int:
        """What is held weighs so much."""
        return self._weight

    def __len__(self) -> int:
        return len(self._held)

    def _shrink(self, most: int) -> None:
        while self._held and self._weight > most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: K) -> None:
        if key in self._held:
            self._weight -= self._held.pop(key)[1]
