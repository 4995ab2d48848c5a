"""Who a visitor is: a name that a proxy signed in, or a hash of the address that our own proxies heard from."""

from __future__ import annotations

import pytest

from studio.api.visitors import Visitors, network
from studio.settings import Settings


def visitors(**settings: object) -> Visitors:
    return Visitors(Settings.hosted(**settings))


@pytest.mark.parametrize(
    ("proxies", "said", "same_as"),
    [
        (0, "203.0.113.9", "198.51.100.1"),  # nobody in front: what is said is not believed
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # whoever says another address first is not believed
        (2, "1.2.3.4, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (3, "203.0.113.9, 10.0.0.1", "203.0.113.9"),  # fewer than there should be: the first
        (1, "", "198.51.100.1"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxies_heard_from(proxies: int, said: str, same_as: str) -> None:
    found = visitors(proxies=proxies)
    assert found.of({"x-forwarded-for": said}, "198.51.100.1") == found.of({}, same_as)


def test_a_proxy_is_expected_on_the_loopback_address_only() -> None:
    assert Settings.hosted(host="127.0.0.1").proxies_in_front == 1
    assert Settings.hosted().proxies_in_front == 0


def test_a_signed_in_name_counts_wherever_it_comes_from_and_only_in_its_header() -> None:
    found = visitors(name_header="X-Forwarded-User")
    at_home, away = (found.of({"x-forwarded-user": "ada"}, address) for address in ("203.0.113.9", "198.51.100.1"))
    assert at_home == away != found.of({"x-forwarded-user": "bob"}, "203.0.113.9")
    assert visitors().of({"x-forwarded-user": "ada"}, "203.0.113.9") != at_home
    assert found.of({"x-forwarded-user": "203.0.113.9"}, "") != found.of({}, "203.0.113.9"), "no name is an address"


def test_nothing_of_the_address_is_in_it_and_another_start_gives_another() -> None:
    one, two = (visitors().of({}, "203.0.113.9") for _ in range(2))
    assert one != two and len(one) == 32 and "203" not in one


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_device_that_changes_its_address_at_home_stays_the_same(address: str, found: str) -> None:
    assert network(address) == found
