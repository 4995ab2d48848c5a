"""Two pages on one session."""

from __future__ import annotations

from studio.session.tabs import MOST_TABS, QUIET_AFTER, Tabs
from studio.session.view import FRESH, MaskView, SessionView


def view(rev: int) -> SessionView:
    return SessionView("sid", "name", rev, 0.0, 8, 8, (), rev, "turn", False, False, FRESH, MaskView(None, 0.0))


def test_a_page_is_behind_when_another_one_changed_something_it_has_not_seen() -> None:
    tabs = Tabs()
    tabs.shown("a", view(1))
    tabs.shown("b", view(1))
    assert not tabs.is_behind("a") and not tabs.is_behind("b")
    tabs.changed("a", 2)
    tabs.shown("a", view(2))
    assert tabs.is_behind("b") and not tabs.is_behind("a")
    tabs.shown("b", view(2))
    assert not tabs.is_behind("b")


def test_what_the_studio_does_itself_stops_nobody() -> None:
    tabs = Tabs()
    tabs.shown("a", view(1))
    tabs.changed("b", 2)
    tabs.shown("a", view(7))  # revisions 3 to 7 were a job's
    tabs.shown("b", view(2))
    assert not tabs.is_behind("a") and not tabs.is_behind("b")


def test_a_closed_page_no_longer_counts_but_its_changes_do() -> None:
    now = [0.0]
    tabs = Tabs(lambda: now[0])
    tabs.shown("a", view(1))
    tabs.shown("b", view(1))
    assert tabs.others("a") == 1
    tabs.changed("b", 2)
    tabs.closed("b")
    assert tabs.others("a") == 0 and tabs.is_behind("a")
    tabs.shown("c", view(2))
    now[0] += QUIET_AFTER + 1
    assert tabs.others("a") == 0


def test_pages_are_forgotten_in_the_end() -> None:
    tabs = Tabs()
    for number in range(3 * MOST_TABS):
        tabs.shown(f"tab {number}", view(number))
    assert tabs.others("me") <= MOST_TABS


def test_what_a_page_was_sent_last_is_known_also_when_answers_overtake_each_other() -> None:
    tabs, (first, second, third) = Tabs(), [view(rev) for rev in (1, 2, 3)]
    assert tabs.shown("a", first) is None
    assert tabs.shown("a", third) is first
    assert tabs.shown("a", second) is third
    assert tabs.shown("a", third) is third and tabs.shown("b", third) is None
