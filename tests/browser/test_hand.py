"""What a hand expects of any tool: keys, Tab, Back, paste; nothing made is lost, and what is chosen can be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from pipelines.contract import Extent, Quality, Scope
from pipelines.masks.prompts import MaskPrompts
from pipelines.pictures import decode
from studio.app import Studio
from studio.session.session import Session
from studio.session.view import FRESH
from studio.settings import ASSETS
from tests.browser.desk import SMALL, Desk, sat_down
from tests.browser.screenshots import DUCK
from tests.browser.test_timeline import TURTLE, chooses, finished, two_turns
from tests.browser.test_turns_by_hand import choose

pytestmark = pytest.mark.browser

PICTURE = ASSETS / "examples" / "rocket-at-night.png"
STOP = """() => { const at = document.activeElement;
  return at.closest('fieldset')?.id || at.id || at.ariaLabel || at.textContent.trim() || at.tagName }"""
PASTE = """([bytes, type, name, target]) => { const data = new DataTransfer();
  data.items.add(bytes ? new File([new Uint8Array(bytes)], name, { type }) : new File([name], 'x.txt', { type }));
  const at = document.querySelector(target || 'body');
  at.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })) }"""

DRAG_OUT = """() => { const held = new DataTransfer();
  document.querySelector('.p-node').dispatchEvent(new DragEvent('dragstart', { dataTransfer: held, bubbles: true }));
  document.querySelector('.p-node').dispatchEvent(new DragEvent('dragend', { bubbles: true }));
  return held.getData('DownloadURL') }"""
PASTE_WORDS = """() => { const data = new DataTransfer();
  data.items.add('a forest', 'text/plain');
  document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })) }"""


@pytest.fixture(scope="module")
def worked(served: tuple[Studio, str]) -> Session:
    """A session with two turns; tests work on copies of it."""
    return two_turns(served[0])


def copy_of(session: Session, served: tuple[Studio, str]) -> tuple[Session, str]:
    """A copy to work on, and the address at which it is open."""
    copy = served[0].sessions.duplicate(session.sid)
    return copy, f"{served[1]}/?session={copy.sid}"


def stage(session: Session, candidates: int) -> None:
    """Have candidates finished, by the quickest method there is."""
    marks = {"clicks": [{"x": TURTLE[0], "y": TURTLE[1], "include": True}]}
    session.set_prompts(MaskPrompts.from_json(marks, Extent(256, 256)))
    session.set_draft(
        replace(
            FRESH,
            subject="a green turtle",
            background="",
            scope=Scope.SUBJECT,
            method="sdedit",
            quality=Quality.DRAFT,
            candidates=candidates,
        )
    )
    finished(session)


def clicks(desk: Desk) -> list[float]:
    found: list[float] = desk.page.evaluate("palimpsest.state.view.draft.prompts.clicks.map(c => Math.round(c.x))")
    return found


# Keys


def test_undo_meets_what_is_under_the_hand(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page, key = desk.page, desk.page.keyboard
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        for press, tool in (("Control+z", "b"), ("Escape", "e"), ("Control+z", "c")):
            key.press(tool)
            page.mouse.move(*desk.on_screen(20, 20))
            page.mouse.down()
            page.mouse.move(*desk.on_screen(90, 40), steps=4)
            key.press("x")  # nothing else is done while one draws
            expect(page.locator(".p-live *")).not_to_have_count(0)
            key.press(press)
            expect(page.locator(".p-live *")).to_have_count(0)
            page.mouse.up()
        session = "palimpsest.state.view.draft.prompts"
        assert clicks(desk) == [DUCK[0]] and page.evaluate(f"[{session}.strokes.length, {session}.box]") == [0, None]

        key.press("b")
        page.mouse.move(*desk.on_screen(20, 20))
        page.mouse.down()
        page.mouse.move(*desk.on_screen(90, 40), steps=4)
        page.mouse.up()
        key.press("Control+z")  # before the stroke is answered: it is the stroke that goes
        page.wait_for_function("!palimpsest.actions.marking() && palimpsest.state.view.can_redo")
        assert clicks(desk) == [DUCK[0]] and page.evaluate(f"{session}.strokes.length") == 0
        key.press("Control+y")
        page.wait_for_function(f"{session}.strokes.length === 1")
        page.evaluate(  # the same two keys of a Russian keyboard
            """() => document.body.dispatchEvent(new KeyboardEvent('keydown',
            { key: 'я', code: 'KeyZ', ctrlKey: true, bubbles: true }))"""
        )
        page.wait_for_function(f"{session}.strokes.length === 0")
        key.press("Control+s")
        expect(page.locator(".p-toast")).to_contain_text("Everything is saved")
        key.press("Control+o")  # and not the browser's own, which leaves the studio
        expect(page.locator(".p-drop")).to_be_focused()


def test_rows_are_one_stop_each_and_menus_open_when_asked(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page, key = desk.page, desk.page.keyboard
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        page.locator(".p-session").focus()
        stops: list[str] = []
        while not stops or not stops[-1].startswith("Run turn"):
            key.press("Tab")
            stops.append(page.evaluate(STOP))
            assert len(stops) < 40, stops
            assert page.locator("#side .options").count() == 0, f"a menu was opened by Tab at {stops[-1]}"
        for row in ("scope", "quality", "candidates", "Include"):
            assert stops.count(row) == 1, (row, stops)
        assert not {"Brush", "Snap", "Masks"} & set(stops)

        page.locator("#quality input:checked").focus()
        key.press("ArrowLeft")
        page.wait_for_function("palimpsest.state.view.draft.quality === 'draft'")
        assert page.evaluate(STOP) == "quality"
        # On a busy machine Gradio may draw a menu anew while it is open, which then stays: that is tried again.
        menus = page.locator("#side .options")
        for _ in range(4):
            page.locator("#method input").focus()
            key.press("ArrowDown")
            expect(menus).to_have_count(1)
            key.press("Tab")
            page.wait_for_timeout(700)
            if menus.count() == 0:
                break
            page.locator("#heading").click()
            expect(menus).to_have_count(0)
        expect(menus).to_have_count(0)
        key.press("Shift+Tab")
        expect(menus).to_have_count(0)
        expect(page.locator("#method input")).to_be_focused()

        page.get_by_role("button", name="Trash").focus()
        key.press("Enter")
        expect(page.locator(".p-pop")).to_be_visible()
        for _ in range(3):
            key.press("Tab")
        expect(page.locator(".p-pop")).to_have_count(0)

        page.get_by_role("button", name="Include", exact=True).focus()
        for _ in range(6):
            key.press("ArrowRight")
        assert page.evaluate(STOP) == "Brush"
        key.press("Enter")
        expect(page.locator(".p-frame")).to_have_attribute("data-tool", "brush")
        key.press("End")
        assert page.evaluate(STOP) == "What the model looks at"
        page.locator(".p-chip[aria-checked=true]").focus()
        key.press("ArrowRight")
        expect(page.locator(".p-chip:focus")).to_have_attribute("aria-checked", "true")
        desk.wait_mask()
        assert page.evaluate("palimpsest.state.view.mask.chosen") == 2

        page.locator("#p-rooms").click()
        expect(page.locator(".p-tile")).to_have_count(1)
        for title in ("Rocket at night", "Turtle in the desert"):
            page.get_by_role("button", name="New", exact=True).click()
            desk.open_example(title)
        page.locator("#p-rooms").click()
        expect(page.locator(".p-tile")).to_have_count(3)
        assert page.locator(".p-tiles :is(button, [tabindex]):not([tabindex='-1'])").count() == 4, "one tile's"


# The turn


def test_change_follows_what_is_typed_or_given(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        chosen = "document.querySelector('#scope input:checked').value"
        assert page.evaluate(chosen) == "background"
        page.locator("#subject textarea").press_sequentially("a blue")
        page.wait_for_function("palimpsest.state.view.draft.subject === 'a blue'")
        page.wait_for_function("palimpsest.state.view.draft.scope === 'both'")
        desk.says(background="")
        desk.chooses("scope", "Background")
        desk.says(subject="")
        assert page.evaluate(chosen) == "background", "what is emptied asks for nothing"
        desk.says(subject="a red duck")
        page.wait_for_function("palimpsest.state.view.draft.scope === 'subject'")  # alone: nothing is said of the other
        page.locator(".p-ref-box[data-part=background] input[type=file]").set_input_files(PICTURE)
        page.wait_for_function("palimpsest.state.view.draft.background_reference !== null")
        page.wait_for_function("palimpsest.state.view.draft.scope === 'both'")
        desk.says(subject="")
        desk.chooses("scope", "Subject")
        desk.click(*DUCK)
        page.locator(".p-run").click()
        refused = page.locator(".p-toast.p-bad")
        expect(refused).to_contain_text("say what the subject becomes")
        expect(refused).to_contain_text("only the subject is to change")
        expect(refused).not_to_contain_text("scope")
        desk.says(subject="a green duck")
        expect(refused).to_have_count(0)


def test_what_is_not_kept_comes_back(browser: Browser, served: tuple[Studio, str], worked: Session) -> None:
    session, address = copy_of(worked, served)
    stage(session, 2)
    with sat_down(browser, address) as desk:
        page, staged = desk.page, desk.page.locator(".p-cand")
        expect(staged).to_have_count(2)
        page.get_by_role("button", name="Side by side").click()
        large = page.get_by_role("dialog", name="Candidates side by side")
        expect(large.locator("img")).to_have_count(3)  # and the picture before
        expect(large.get_by_role("button", name="Candidate 1")).to_be_focused()
        large.get_by_role("button", name="Candidate 2").click()
        expect(large).to_have_count(0)
        expect(page.get_by_role("radio", name="Candidate 2")).to_be_checked()
        page.get_by_role("radio", name="Candidate 1").click()
        page.get_by_role("button", name="Discard all 2").click()
        expect(page.locator(".p-staging")).to_be_hidden()
        page.locator(".p-toast").get_by_role("button", name="Undo").click()
        expect(staged).to_have_count(2)
        page.get_by_role("button", name="Discard all 2").click()
        expect(page.locator(".p-staging")).to_be_hidden()
        page.locator(".p-node.p-here").focus()
        page.keyboard.press("Control+z")
        expect(staged).to_have_count(2)
        desk.keeps()
        page.get_by_role("button", name="Trash 1").click()
        page.get_by_role("button", name="Bring back the candidate a green turtle, seed 8").click()
        expect(staged).to_have_count(1)
        page.keyboard.press("Escape")
        desk.keeps()
        assert [turn.number for turn in session.view().turns] == [0, 1, 2, 3, 3]


def test_an_error_goes_when_it_is_mended_and_others_stay(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page, wrong = desk.page, desk.page.locator(".p-toast.p-bad")
        page.evaluate("palimpsest.toast('of the start page')")
        desk.open_example("Duck on the beach")
        expect(wrong).to_have_count(0)
        page.locator(".p-run").click()
        expect(wrong).to_contain_text("click the subject")
        desk.click(*DUCK)
        expect(wrong).to_have_count(0)
        page.evaluate("palimpsest.toast('of this picture')")
        page.evaluate("palimpsest.receive({ sid: palimpsest.state.sid, tick: { job: null } })")
        expect(wrong).to_have_count(1)
        page.get_by_role("button", name="New", exact=True).click()
        desk.open_example("Rocket at night")
        expect(wrong).to_have_count(0)


def test_nothing_of_the_last_picture_is_in_the_hand(
    browser: Browser, served: tuple[Studio, str], worked: Session
) -> None:
    with sat_down(browser, copy_of(worked, served)[1]) as desk:
        page = desk.page
        page.keyboard.press("b")
        page.locator(".p-frame").focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
        desk.looks("Difference")
        page.keyboard.down("\\")
        page.get_by_role("button", name="New", exact=True).click()
        desk.open_example("Duck on the beach")
        page.keyboard.up("\\")
        expect(page.locator(".p-frame")).to_have_attribute("data-tool", "include")
        expect(page.get_by_role("tab", name="Picture")).to_have_attribute("aria-selected", "true")
        page.locator(".p-frame").focus()
        page.keyboard.press("Enter")
        desk.wait_mask()
        assert clicks(desk) == [128], "the crosshair begins in the middle again"


# What is told


def test_figures_agree_and_buttons_name_what_they_do(
    browser: Browser, served: tuple[Studio, str], worked: Session
) -> None:
    session, address = copy_of(worked, served)
    with sat_down(browser, address) as desk:
        page = desk.page
        desk.looks("Difference")
        page.wait_for_selector(".p-difference[data-ready]")
        expect(page.locator(".p-outside")).to_have_text("subject kept: 0 pixels changed")
        legend = page.locator(".p-legend")
        expect(legend).to_contain_text("subject kept")
        expect(legend).to_contain_text("seam")
        expect(legend).to_contain_text("background")
        expect(legend).not_to_contain_text("subject 6 %")
        page.locator(".p-node[title='1 · a red turtle']").click(button="right")
        for item in ("Swap with turn 2", "Subject of turn 1, background of turn 2", "Background of turn 1, subject of"):
            expect(page.get_by_role("menuitem", name=item)).to_be_visible()
        page.keyboard.press("Escape")
        chooses(desk, "1 · a red turtle", "Change this turn")
        expect(page.get_by_role("button", name="Leave turn 1 as it was")).to_be_visible()
        assert page.locator("#candidates").evaluate("e => e.inert"), "a changed turn is run once"
        page.get_by_role("button", name="Leave turn 1 as it was").click()
        expect(page.locator(".p-node.p-here")).to_have_attribute("title", "1 · a red turtle")
        assert not page.locator("#candidates").evaluate("e => e.inert")

        page.locator(".p-node[title='2 · in a forest']").click()
        expect(page.locator(".p-node.p-here")).to_have_attribute("title", "2 · in a forest")
        before = session.view().current
        desk.turns.first.click(button="right")
        page.get_by_role("menuitem", name="Subject of the original, background of turn 2").click()
        told = page.locator(".p-toast", has_text="This is on a new branch, “branch 2”. “main” is as it was.")
        expect(told).to_be_visible(timeout=180_000)
        told.get_by_role("button", name="Back to “main”").click()
        expect(page.locator(".p-node.p-here")).to_have_attribute("data-turn", before)
        expect(page.locator(".p-branch.p-on")).to_have_text("main")
        expect(told).to_have_count(0)


CHOSEN = """() => { const look = (node) => { const style = getComputedStyle(node);
    return [style.backgroundColor, style.color, style.outlineStyle, style.borderTopColor].join() };
  const pairs = {
    tool: ['.p-tool[aria-pressed=true]', '.p-tool[aria-pressed=false]:not(:disabled)'],
    tab: ['.p-tab[aria-selected=true]', '.p-tab[aria-selected=false]:not(:disabled)'],
    choice: ['#quality label:has(:checked)', '#quality label:not(:has(:checked))'],
    turn: ['.p-here .p-thumb', '.p-node:not(.p-here) .p-thumb'],
    candidate: ['.p-cand[aria-checked=true]', '.p-cand[aria-checked=false]'],
    branch: ['.p-branch.p-on', '.p-branch:not(.p-on)'],
    bins: ['.p-bins [aria-pressed=true]', '.p-bins [aria-pressed=false]'],
    bar: ['.p-bar i', '.p-bar span'],
    parts: ['.p-pips .p-subject', '.p-pips .p-background'],
  };
  return Object.entries(pairs).map(([name, both]) => [name, both.map((one) => document.querySelector(one))])
    .filter(([, [one, other]]) => one && other).map(([name, [one, other]]) => [name, look(one) !== look(other)]) }"""


def test_forced_colours_show_what_is_chosen(browser: Browser, served: tuple[Studio, str], worked: Session) -> None:
    session, address = copy_of(worked, served)
    session.branch("winter")
    stage(session, 2)
    seen: dict[str, bool] = {}
    with sat_down(browser, address) as desk:
        desk.page.emulate_media(forced_colors="active")
        seen |= dict(desk.page.evaluate(CHOSEN))
        desk.page.get_by_role("button", name="Discard all 2").click()
        expect(desk.page.locator(".p-staging")).to_be_hidden()
        desk.page.locator(".p-toast .p-x").click()
        seen |= dict(desk.page.evaluate(CHOSEN))
        desk.page.locator("#p-rooms").click()
        seen |= dict(desk.page.evaluate(CHOSEN))
    assert seen == dict.fromkeys(("tool", "tab", "choice", "turn", "candidate", "branch", "bins", "parts"), True)


# Places and files


def test_back_and_forward_stay_in_the_studio(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page, name, studio = desk.page, desk.page.locator(".p-session"), desk.page.locator("#studio")
        desk.open_example("Duck on the beach")
        page.get_by_role("button", name="New", exact=True).click()
        page.get_by_role("button", name="Back to the picture").click()
        page.get_by_role("button", name="New", exact=True).click()
        desk.open_example("Rocket at night")
        page.locator("#p-rooms").click()
        expect(page.locator(".p-tile")).to_have_count(2)
        page.go_back()
        expect(studio).to_have_attribute("data-gallery", "closed")
        expect(name).to_have_text("Rocket at night")
        page.go_back()
        expect(page.locator(".p-start")).to_be_visible()
        page.go_back()
        expect(page.locator(".p-start")).to_be_hidden()
        expect(name).to_have_text("Duck on the beach")
        duck = page.url
        page.go_forward()
        page.go_forward()
        expect(name).to_have_text("Rocket at night")
        assert page.url != duck
        page.go_forward()
        expect(studio).to_have_attribute("data-gallery", "open")
        page.keyboard.press("Escape")
        expect(studio).to_have_attribute("data-gallery", "closed")
        page.go_back()
        page.go_back()
        page.go_back()
        expect(page.locator(".p-start")).to_be_visible()
        assert page.url.startswith(url)


def test_pictures_are_pasted_copied_and_dragged_out(browser: Browser, served: tuple[Studio, str]) -> None:
    data = list(PICTURE.read_bytes())
    with sat_down(browser, served[1], SMALL) as desk:
        page, name = desk.page, desk.page.locator(".p-session")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served[1])
        page.evaluate(PASTE, [data, "image/png", "image.png", None])
        expect(name).to_have_text("Pasted picture")
        first = page.evaluate("palimpsest.state.sid")
        page.evaluate(PASTE, [data, "image/png", "image.png", "#subject textarea"])  # no text: a picture all the same
        page.wait_for_function("first => palimpsest.state.sid !== first", arg=first)
        page.evaluate(PASTE, [data, "image/png", "ref.png", ".p-ref-box[data-part=background] .p-ref"])
        page.wait_for_function("palimpsest.state.view.draft.background_reference !== null")
        page.evaluate(PASTE, [None, "text/html", "<p>no picture</p>", None])
        expect(page.locator(".p-toast.p-bad")).to_contain_text("PNG")
        page.locator(".p-toast .p-x").click()

        here = page.evaluate("palimpsest.state.sid")
        page.evaluate(PASTE_WORDS)
        expect(page.locator(".p-toast")).to_contain_text("no picture in the clipboard")
        page.locator(".p-toast .p-x").click()
        page.get_by_role("button", name="Remove the reference background").click()
        page.wait_for_function("palimpsest.state.view.draft.background_reference === null")
        choose(desk, "Backdrop")
        page.wait_for_function("palimpsest.state.view.draft.method === 'backdrop'")
        page.evaluate(PASTE, [data, "image/png", "image.png", None])
        page.wait_for_function("palimpsest.state.view.draft.background_reference !== null")
        assert page.evaluate("palimpsest.state.sid") == here, "it is the backdrop that was asked for, no new session"
        page.locator(".p-toast .p-x").click()

        page.locator(".p-frame").focus()
        page.keyboard.press("Control+c")
        expect(page.locator(".p-toast")).to_contain_text("in the clipboard")
        copied = page.evaluate(
            """async () => { const [item] = await navigator.clipboard.read();
            return [...new Uint8Array(await (await item.getType('image/png')).arrayBuffer())] }"""
        )
        assert (decode(bytes(copied)).picture == decode(PICTURE.read_bytes()).picture).all()

        page.locator(".p-session").click()
        page.keyboard.type("One: two")
        page.keyboard.press("Enter")
        page.wait_for_function("palimpsest.state.view.name === 'One: two'")
        kind, file, address = page.evaluate(DRAG_OUT).split(":", 2)
        assert (kind, file) == ("image/png", "One- two - turn 0.png")
        answer = page.request.get(address)
        assert (decode(answer.body()).picture == decode(PICTURE.read_bytes()).picture).all()
        assert "attachment" in answer.headers["content-disposition"]

        page.evaluate(
            """([bytes]) => { const all = new DataTransfer();
            for (const name of ['one.png', 'two.png']) all.items.add(new File([new Uint8Array(bytes)], name));
            const let_go = { dataTransfer: all, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent('drop', let_go)) }""",
            [data],
        )
        expect(page.locator(".p-toast", has_text="One at a time: of 2 files “one.png” is opened.")).to_be_visible()
        expect(name).to_have_text("one.png")
