"""Two pages on one session."""

from __future__ import annotations

from studio.session.tabs import MOST_TABS, QUIET_AFTER, Tabs


def test_a_page_is_behind_when_another_one_changed_something_it_has_not_seen() -> None:
    tabs = Tabs()
    tabs.shown("a", 1)
    tabs.shown("b", 1)
    assert not tabs.is_behind("a") and not tabs.is_behind("b")
    tabs.changed("a", 2)
    tabs.shown("a", 2)
    assert tabs.is_behind("b") and not tabs.is_behind("a")
    tabs.shown("b", 2)
    assert not tabs.is_behind("b")


def test_what_the_studio_does_itself_stops_nobody() -> None:
    tabs = Tabs()
    tabs.shown("a", 1)
    tabs.changed("b", 2)
    tabs.shown("a", 7)  # revisions 3 to 7 were a job's
    tabs.shown("b", 2)
    assert not tabs.is_behind("a") and not tabs.is_behind("b")


def test_a_closed_page_no_longer_counts_but_its_changes_do() -> None:
    now = [0.0]
    tabs = Tabs(lambda: now[0])
    tabs.shown("a", 1)
    tabs.shown("b", 1)
    assert tabs.others("a") == 1
    tabs.changed("b", 2)
    tabs.closed("b")
    assert tabs.others("a") == 0 and tabs.is_behind("a")
    tabs.shown("c", 2)
    now[0] += QUIET_AFTER + 1
    assert tabs.others("a") == 0


def test_pages_are_forgotten_in_the_end() -> None:
    tabs = Tabs()
    for number in range(3 * MOST_TABS):
        tabs.shown(f"tab {number}", number)
    assert tabs.others("me") <= MOST_TABS
