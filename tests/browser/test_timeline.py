"""The timeline in the hand of a person: the real page, the real model, and a timeline of a thousand turns."""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import asdict, replace

import pytest
from playwright.sync_api import Browser, expect

from pipelines.catalog import settings
from pipelines.contract import Extent, Quality, Scope
from pipelines.masks.prompts import MaskPrompts
from studio.app import Studio
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.session.session import Session
from studio.session.view import FRESH
from studio.ui.payload import is_live, whole
from tests.browser.desk import PHONE, Desk, sat_down

pytestmark = pytest.mark.browser

TURNS, BRANCHES, TRUNK = 1000, 200, 403
TURTLE = (108, 152)
"""On the subject of the example "Turtle in the desert"."""
RUNS = 180_000
"""Milliseconds that a few turns may take on a busy machine."""


def two_turns(studio: Studio) -> Session:
    """A turtle that was made red and then put into a forest, by the quickest method there is."""
    session = studio.sessions.create_example("turtle-in-the-desert")
    marks = {"clicks": [{"x": TURTLE[0], "y": TURTLE[1], "include": True}]}
    session.set_prompts(MaskPrompts.from_json(marks, Extent(256, 256)))
    for scope, words in ((Scope.SUBJECT, "a red turtle"), (Scope.BACKGROUND, "in a forest")):
        subject, background = (words, "") if scope is Scope.SUBJECT else ("", words)
        session.set_draft(
            replace(
                FRESH,
                subject=subject,
                background=background,
                scope=scope,
                method="sdedit",
                quality=Quality.DRAFT,
                changes={"paste_back": True},
            )
        )
        finished(session)
        session.accept(0)
    return session


def finished(session: Session) -> None:
    """Run what was asked for and wait for it."""
    session.start()
    end = time.monotonic() + 180
    while is_live(session.view().job) and time.monotonic() < end:
        session.wait(session.view().rev, 1.0)


def chooses(desk: Desk, caption: str, item: str) -> None:
    """Open the menu of the turn of that caption with the right button, and choose."""
    desk.page.locator(f".p-node[title='{caption}']").last.click(button="right")
    desk.page.get_by_role("menuitem", name=item).click()


def test_an_earlier_turn_is_changed_and_the_rest_replayed(browser: Browser, served: tuple[Studio, str]) -> None:
    session = two_turns(served[0])
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        chooses(desk, "1 · a red turtle", "Change this turn")
        heading, run = desk.page.locator("#heading"), desk.page.locator(".p-run")
        expect(heading.locator("h2")).to_have_text("Changing turn 1")
        expect(heading).to_contain_text("1 later turn runs again")
        expect(run).to_contain_text("Run 2 turns")
        expect(desk.page.locator(".p-spot[data-state=stale] .p-node")).to_have_attribute("title", "2 · in a forest")
        expect(desk.page.locator("#subject textarea")).to_have_value("a red turtle")
        desk.page.get_by_role("button", name="Leave turn 1 as it was").click()
        expect(heading.locator("h2")).to_have_text("Turn 2")
        expect(desk.page.locator("#subject textarea")).to_have_value("")

        desk.page.locator(".p-node.p-here").focus()
        desk.page.keyboard.press("m")
        desk.page.keyboard.press("Enter")
        desk.says(subject="a blue turtle")  # before the answer fills the field with what the turn says
        expect(run).to_contain_text("Run 2 turns")
        expect(desk.page.locator("#subject textarea")).to_have_value("a blue turtle")
        run.click()
        expect(desk.turns).to_have_count(5, timeout=RUNS)
        expect(desk.page.locator(".p-node.p-here")).to_have_attribute("title", "2 · in a forest")
        expect(desk.page.locator("#subject textarea")).to_have_value("")
        expect(desk.page.locator(".p-branch")).to_have_text(["main", "branch 2"])
        assert desk.page.locator(".p-node:not(.p-small) .p-cap").all_inner_texts()[1] == "1 · a blue turtle"


def test_any_two_turns_are_looked_at_beside_each_other(browser: Browser, served: tuple[Studio, str]) -> None:
    session = two_turns(served[0])
    original, second = session.view().turns[0], session.view().turns[-1]
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        chooses(desk, "original", "Compare with the turn shown")
        over, beside = desk.page.locator(".p-over"), desk.page.locator(".p-outside")
        expect(desk.page.get_by_role("tab", name="Before / after")).to_have_attribute("aria-selected", "true")
        expect(over).to_have_attribute("src", re.compile(original.picture))
        expect(desk.page.locator(".p-tag.p-left")).to_have_text("original")
        expect(beside).to_have_text("turn 2 beside original")
        desk.looks("Difference")
        expect(desk.page.locator(".p-legend")).to_contain_text("% differs")

        chooses(desk, "2 · in a forest", "Compare with the turn before")
        expect(desk.page.locator(".p-tag.p-left")).to_have_text("turn 1")
        expect(beside).not_to_contain_text("beside")
        chooses(desk, "original", "Compare with the turn shown")
        desk.page.locator(".p-node[title='1 · a red turtle']").click()
        expect(beside).not_to_contain_text("beside")
        assert second.picture != original.picture


def test_a_turn_tells_that_its_fit_began_at_the_one_before(browser: Browser, served: tuple[Studio, str]) -> None:
    session = served[0].sessions.create_example("turtle-in-the-desert")
    short = {"embed_steps": 1, "tuned": "none", "steps": 2, "warm_start": True}
    for words in ("in a forest", "in the snow"):
        marks = {"clicks": [{"x": TURTLE[0], "y": TURTLE[1], "include": True}]}
        session.set_prompts(MaskPrompts.from_json(marks, Extent(256, 256)))
        session.set_draft(
            replace(
                FRESH,
                subject="",
                background=words,
                scope=Scope.BACKGROUND,
                method="layered",
                quality=Quality.DRAFT,
                changes=short,
            )
        )
        finished(session)
        session.accept(0)
    facts = "goes on from the turn before"
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        expect(desk.page.locator(".p-facts")).to_contain_text(facts)
        desk.page.locator(".p-node[title='1 · in a forest']").click()
        expect(desk.page.locator(".p-facts b")).to_have_text("Turn 1")
        expect(desk.page.locator(".p-facts")).not_to_contain_text(facts)


def test_two_turns_are_swapped_looked_at_and_adopted(browser: Browser, served: tuple[Studio, str]) -> None:
    session = two_turns(served[0])
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        desk.page.get_by_role("button", name="Does the order of turns 1 and 2 matter?").click()
        comparison = desk.page.get_by_role("region", name="Both orders compared")
        expect(comparison).to_contain_text("Does the order of turns 1 and 2 matter?", timeout=RUNS)
        found = session.view().swap
        assert found is not None
        expect(comparison.locator(".p-badge")).to_have_text(found.consistency["order"])
        expect(comparison.locator(".p-tag")).to_have_text(["1 then 2 · as it is", "2 then 1"])
        comparison.get_by_role("slider").focus()
        desk.page.keyboard.press("Home")
        expect(comparison.locator(".p-over")).to_have_attribute("style", "clip-path: inset(0px 100% 0px 0px);")
        comparison.get_by_role("tab", name="Difference").click()
        expect(comparison.locator(".p-legend")).to_contain_text("subject")
        badge = desk.page.locator(".p-order")
        expect(badge).to_have_attribute("aria-label", re.compile(found.consistency["order"]))
        desk.page.locator(".p-rail").get_by_role("button", name="Orders").click()
        expect(desk.page.locator(".p-orders .p-known .p-sr")).to_have_text(found.consistency["order"])
        expect(desk.page.get_by_role("button", name="All measured")).to_be_disabled()
        desk.page.keyboard.press("Escape")
        comparison.get_by_role("button", name="Use 2 then 1").click()
        expect(comparison).to_have_count(0)
        expect(desk.turns).to_have_count(5)
        captions = desk.page.locator(".p-node:not(.p-small) .p-cap")
        expect(captions).to_have_text(["original", "1 · in a forest", "2 · a red turtle"])


def test_by_drag_to_the_trash_and_back(browser: Browser, served: tuple[Studio, str]) -> None:
    session = two_turns(served[0])
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        desk.page.locator(".p-node[title='2 · in a forest']").drag_to(desk.page.locator(".p-node[title='original']"))
        here = desk.page.locator(".p-node.p-here")
        expect(here).to_have_attribute("title", "1 · in a forest", timeout=RUNS)
        chooses(desk, "1 · in a forest", "Move to trash")
        expect(desk.turns).to_have_count(3)
        desk.page.get_by_role("button", name="Trash 1").click()
        desk.page.get_by_role("button", name="Bring back in a forest").click()
        expect(desk.turns).to_have_count(4)
        expect(desk.page.locator(".p-pop")).to_contain_text("The trash is empty")


def test_the_keyboard_alone_is_enough(browser: Browser, served: tuple[Studio, str]) -> None:
    session = two_turns(served[0])
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        press = desk.page.keyboard.press
        desk.page.locator(".p-node.p-here").focus()
        press("ArrowLeft")
        press("Shift+F10")
        menu = desk.page.get_by_role("menu", name="1 · a red turtle")
        expect(menu.get_by_role("menuitem").first).to_be_focused()
        press("End")
        press("ArrowUp")
        expect(menu.get_by_role("menuitem", name="Branch here")).to_be_focused()
        press("Enter")
        expect(desk.page.locator(".p-branch.p-on")).to_have_text("branch 2")
        press("F2")
        desk.page.keyboard.type("winter <b>")
        press("Enter")
        expect(desk.page.locator(".p-branch.p-on")).to_have_text("winter <b>")
        desk.page.locator(".p-node.p-here").focus()
        press("m")
        press("Escape")
        expect(desk.page.locator(".p-menu")).to_have_count(0)
        expect(desk.page.locator(".p-node.p-here")).to_be_focused()
        press("m")
        press("End")
        press("Enter")
        expect(desk.turns).to_have_count(1)


def test_the_film_fits_a_phone(browser: Browser, served: tuple[Studio, str]) -> None:
    session = long_session(served[0])
    with sat_down(browser, f"{served[1]}/?session={session.sid}", PHONE) as desk:
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        desk.page.locator(".p-spot:has(.p-here) .p-turn-menu").click()
        box = desk.page.locator(".p-menu").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]
        assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE[1]


def long_session(studio: Studio) -> Session:
    """A thousand turns on 200 branches that all show one picture: a trunk, and short branches off it all along."""
    session = studio.sessions.create_example("turtle-in-the-desert")
    record = session._record
    original = record.tree.here
    turns, branches = [original], {}

    def grow(parent: Turn, count: int) -> Turn:
        for _ in range(count):
            request = TurnRequest(
                model="toybox",
                weights="",
                method="layered",
                params=asdict(settings("layered", Quality.DRAFT, {})),
                quality=Quality.DRAFT,
                subject=f"a turtle of the colour {len(turns)}",
                background="",
                scope=Scope.SUBJECT,
                seed=len(turns),
                mask=None,
                prompts={},
                feather=2.0,
            )
            parent = Turn.after(parent.id, request, original.picture, Outcome(seconds=1.0), float(len(turns)))
            turns.append(parent)
        return parent

    branches["main"] = grow(original, TRUNK).id
    trunk = list(turns)
    for k in range(1, BRANCHES):
        branches[f"branch {k + 1}"] = grow(trunk[2 * k], 3).id
    tree = Tree({turn.id: turn for turn in turns}, branches, "main", branches["main"])
    made = replace(record, tree=tree, sid=f"{random.getrandbits(128):032x}", rev=0)
    assert (len(turns), len(branches)) == (TURNS + 1, BRANCHES)
    return studio.sessions.adopt_record(made)


def test_a_thousand_turns_stay_fluent(browser: Browser, served: tuple[Studio, str]) -> None:
    session = long_session(served[0])
    ids = [turn.id for turn in session.view().turns]
    session.jump(ids[TRUNK])
    draw = random.Random(5)
    spent: dict[str, list[float]] = {"jump": [], "undo": [], "payload": []}
    for _ in range(20):
        begun = time.perf_counter()
        session.jump(draw.choice(ids))
        spent["jump"].append(1000 * (time.perf_counter() - begun))
        begun = time.perf_counter()
        session.undo()
        spent["undo"].append(1000 * (time.perf_counter() - begun))
        begun = time.perf_counter()
        sent = json.dumps(whole(session.view()))
        spent["payload"].append(1000 * (time.perf_counter() - begun))
    for name, seconds in spent.items():
        print(f"{name}: median {sorted(seconds)[10]:.0f} ms, p95 {sorted(seconds)[18]:.0f} ms")
    print(f"payload: {len(sent) / 1000:.0f} kB")
    session.jump(ids[TRUNK])
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        expect(desk.page.locator(".p-node.p-here")).to_have_attribute("aria-level", str(TRUNK + 1))
        assert 1 <= desk.turns.count() < 60, "only what is near the visible part is drawn"
        begun = time.perf_counter()
        desk.page.evaluate("document.querySelector('.p-strip').scrollLeft = 0")
        expect(desk.page.locator(".p-node[aria-level='1']")).to_have_count(1)
        print(f"scrolled to the original in {1000 * (time.perf_counter() - begun):.0f} ms")
        assert desk.turns.count() < 60
        redraw = desk.page.evaluate(
            "() => { const t = performance.now(); palimpsest.set({}); return performance.now() - t }"
        )
        print(f"drawing everything anew takes {redraw:.0f} ms")
        begun = time.perf_counter()
        desk.page.locator(".p-node[aria-level='3']:not(.p-small)").click()
        expect(desk.page.locator(".p-node.p-here")).to_have_attribute("aria-level", "3")
        print(f"a click on a turn is answered and drawn in {1000 * (time.perf_counter() - begun):.0f} ms")
        desk.page.locator(".p-node.p-here").focus()
        desk.page.keyboard.press("End")
        expect(desk.page.locator(".p-node:focus")).to_have_attribute("aria-level", str(TRUNK + 1))


def test_the_page_is_told_what_changed_of_a_long_film_and_asks_for_what_it_missed(
    browser: Browser, served: tuple[Studio, str]
) -> None:
    session = long_session(served[0])
    view = session.view()
    trunk = [turn.id for turn in view.turns if turn.lane == 0]
    with sat_down(browser, f"{served[1]}/?session={session.sid}") as desk:
        here = desk.page.locator(".p-node.p-here")
        expect(here).to_have_attribute("data-turn", trunk[-1])
        desk.page.evaluate(COUNTED)
        desk.page.locator(f".p-node[data-turn='{trunk[-2]}']").click()
        expect(here).to_have_attribute("data-turn", trunk[-2])
        desk.chooses("scope", "Subject")
        told = desk.page.evaluate("told.map((message) => JSON.stringify(message).length)")
        assert told and max(told) < 10_000 < len(json.dumps(whole(view))), told
        chooses(desk, f"{TRUNK - 2} · a turtle of the colour {TRUNK - 2}", "Branch here")
        expect(here).to_have_attribute("data-turn", trunk[TRUNK - 2])
        assert desk.page.evaluate("palimpsest.state.view.turns") == plain(session)

        desk.page.evaluate("told.length = 0; palimpsest.state.view.film = -1")  # as if a message had been lost
        desk.page.locator(f".p-node[data-turn='{trunk[-4]}']").click()
        expect(here).to_have_attribute("data-turn", trunk[-4])
        whole_sent = desk.page.evaluate("told.map((message) => message.view && message.view.since === undefined)")
        assert whole_sent == [False, True]
        assert desk.page.evaluate("palimpsest.state.view.turns") == plain(session)


COUNTED = """() => { window.told = [];
  palimpsest.on(({ message }) => { if (message.view) told.push(message); }); }"""


def plain(session: Session) -> object:
    """The turns as a page should hold them."""
    return json.loads(json.dumps(whole(session.view())["view"]["turns"]))
