from __future__ import annotations

import threading

from pipelines.cache import Cache


def test_the_cache_keeps_what_was_used_last() -> None:
    made: list[str] = []
    cache: Cache[str, str] = Cache(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, lambda key=key: made.append(key) or key.upper())
    assert made == ["a", "b", "c", "b"] and len(cache) == 2
    cache.drop("a")
    cache.drop("a")
    assert len(cache) == 1


def test_it_is_bounded_by_what_its_values_weigh_and_keeps_the_newest_in_any_case() -> None:
    cache: Cache[str, bytes] = Cache(100, len)
    for key, size in (("a", 40), ("b", 40), ("c", 20), ("d", 50)):
        cache.get(key, lambda size=size: bytes(size))
    assert (len(cache), cache.weight) == (2, 70), "a and b went for d"
    cache.get("huge", lambda: bytes(1_000))
    assert (len(cache), cache.weight) == (1, 1_000)
    cache.get("small", lambda: bytes(1))
    assert (len(cache), cache.weight) == (1, 1)
    cache.keep_only("other")
    assert (len(cache), cache.weight) == (0, 0)


def test_what_several_threads_ask_for_at_once_is_counted_once() -> None:
    cache: Cache[str, bytes] = Cache(100, len)
    meeting = threading.Barrier(4)

    def make() -> bytes:
        meeting.wait(10)
        return bytes(30)

    threads = [threading.Thread(target=cache.get, args=("a", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(cache), cache.weight) == (1, 30)


def test_what_could_not_be_made_is_not_held() -> None:
    cache: Cache[str, int] = Cache(2)
    for _ in range(2):
        try:
            cache.get("a", lambda: 1 // 0)
        except ZeroDivisionError:
            continue
    assert len(cache) == 0
