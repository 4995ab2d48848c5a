"""A person at the desk: opens the real page in a real browser, points, types and looks.

What a test does reads as what a person does. The recipe for pictures that are the same byte for byte on every run
stands in `Desk.picture`.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, expect

Box = tuple[int, int, int, int]
"""Left, top, right and bottom on the window, in pixels."""
MADE = """() => [...document.querySelectorAll(
    '.p-frame, .p-node, .p-staging img, .p-side img, .p-numbers')].map(e => e.getBoundingClientRect())
  .map(r => [Math.max(0, Math.floor(r.left)), Math.max(0, Math.floor(r.top)),
    Math.min(innerWidth, Math.ceil(r.right)), Math.min(innerHeight, Math.ceil(r.bottom))])
  .filter(([left, top, right, bottom]) => left < right && top < bottom)"""
DESKTOP, SMALL, PHONE = (1440, 900), (1280, 720), (390, 844)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-partial-raster",  # without it corners differ by a level or two from start to start
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STILL = """*, *::before, *::after { animation: none !important; transition: none !important;
caret-color: transparent !important } .p-saved { visibility: hidden !important }"""
# Seconds that were measured, and whether the model is loaded by then, are the machine's, not the page's.
UNTIMED = """() => {
  for (const name of document.querySelectorAll('.p-facts dt'))
    if (name.textContent === 'Took') name.nextSibling.textContent = '1.0 s';
  for (const choice of document.querySelectorAll('#quality label span'))
    choice.textContent = choice.textContent.replace(/ [\\d.]+ s$/, '');
  for (const model of document.querySelectorAll('.p-model'))
    if (model.textContent) model.textContent = 'Toybox on CPU';
}"""


def launched(playwright: Playwright) -> Browser:
    """The system's browser, or else Playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))


@contextmanager
def sat_down(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, scale: float = 1, touch: bool | None = None
) -> Iterator[Desk]:
    """A fresh browser profile on the page; afterwards nothing may have gone wrong in it unseen.

    `size` is in CSS pixels of `scale` device pixels each. With `touch`, or on a phone, it is used with fingers.
    """
    fingers = size == PHONE if touch is None else touch
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=scale,
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",
        color_scheme="dark",
        has_touch=fingers,
        is_mobile=fingers,
    )
    desk = Desk(context.new_page(), url)
    try:
        desk.load(url)
        yield desk
        assert desk.troubles == [], desk.troubles
    finally:
        context.close()


class Desk:
    """One page and what a person does with it. Points are in pixels of the picture."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.host = page, urlsplit(url).netloc
        self.troubles: list[str] = []
        page.set_default_timeout(60_000)
        page.on("console", self._check_console)
        page.on("response", lambda r: self.troubles.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("request", self._check_local)
        page.on("requestfailed", self._check_failed)

    def _check_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # told by its address
            self.troubles.append(f"console: {message.text}")

    def _check_local(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != self.host:
            self.troubles.append(f"not from here: {request.url}")

    def _check_failed(self, request: Request) -> None:
        url = request.url
        if not re.search(
            r"/(queue/data|heartbeat/|app_id|studio/preview/|studio/picture/)", url
        ):  # cut off by a reload, or replaced
            self.troubles.append(f"failed: {url}")

    # Coming and going

    def load(self, url: str) -> None:
        """Open the page and wait until it has drawn what the server knows."""
        self.page.goto(url)
        self.wait_ready()

    def reload(self) -> None:
        """Load the page again. What was under way is cut off by that, which is no trouble."""
        before = len(self.troubles)
        self.page.reload()
        self.wait_ready()
        cut = re.compile(r"^failed: |AbortError|Connection errored out|Failed to fetch")
        self.troubles[before:] = [trouble for trouble in self.troubles[before:] if not cut.search(trouble)]

    def wait_ready(self) -> None:
        self.page.wait_for_selector("#studio[data-session]")
        self.page.wait_for_function("document.fonts.ready")

    def open_example(self, title: str) -> None:
        self.page.locator(".p-card", has_text=title).click()
        # The first one waits while the model is being warmed up.
        expect(self.page.locator(".p-session")).to_have_text(title, timeout=30_000)
        expect(self.page.locator("#studio")).to_have_attribute("data-session", "open")

    # Pointing

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where the picture's point is in the window."""
        box = self.page.locator(".p-frame").bounding_box()
        size = self.page.evaluate("[palimpsest.state.view.width, palimpsest.state.view.height]")
        assert box is not None
        return box["x"] + x / size[0] * box["width"], box["y"] + y / size[1] * box["height"]

    def click(self, x: float, y: float, button: str = "left") -> None:
        """Click the picture and wait for the mask that answers it."""
        self.page.mouse.click(*self.on_screen(x, y), button=button)  # type: ignore[arg-type]
        self.wait_mask()

    def drag(self, *points: tuple[float, float]) -> None:
        """Press at the first point, draw through the others, and wait for the mask."""
        self.page.mouse.move(*self.on_screen(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.on_screen(*point), steps=6)
        self.page.mouse.up()
        self.wait_mask()

    def tap(self, x: float, y: float) -> None:
        """Tap the picture with one finger and wait for the mask that answers it."""
        self.page.touchscreen.tap(*self.on_screen(x, y))
        self.wait_mask()

    def touches(self, *fingers: list[tuple[float, float]]) -> None:
        """Put the fingers down one after another, move them together along their points of the window, take them up."""
        tools = self.page.context.new_cdp_session(self.page)

        def touch(kind: str, places: list[tuple[float, float]]) -> None:
            points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
            tools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        for count in range(1, len(fingers) + 1):
            touch("touchStart", [finger[0] for finger in fingers[:count]])
        for places in zip(*(finger[1:] for finger in fingers), strict=True):
            touch("touchMove", list(places))
        touch("touchEnd", [])
        tools.detach()

    def wait_mask(self) -> None:
        """Until the marks were answered and the mask that belongs to them is drawn."""
        self.page.wait_for_function(
            """() => { const seen = document.querySelector('#stage .p-root').dataset;
            return seen.waiting === 'no' && (seen.mask || 'none') === (palimpsest.state.view.mask.mask || 'none') }"""
        )

    def undoes(self) -> None:
        """Press undo and wait for what the server says."""
        before = self.page.evaluate("palimpsest.state.view.rev")
        self.page.keyboard.press("Control+z")
        self.page.wait_for_function("before => palimpsest.state.view.rev > before", arg=before)
        self.wait_mask()

    @property
    def shown_mask(self) -> str | None:
        """Digest of the mask that is drawn."""
        digest: str | None = self.page.locator("#stage .p-root").get_attribute("data-mask")
        return digest

    # The turn

    def says(self, subject: str | None = None, background: str | None = None) -> None:
        """Type into the two texts."""
        for part, words in (("subject", subject), ("background", background)):
            if words is not None:
                field = self.page.locator(f"#{part} textarea")
                field.fill(words)
                field.blur()
                expect(field).to_have_value(words)

    def chooses(self, row: str, choice: str) -> None:
        """Press one of the choices that stand in a row, by the first word of it."""
        option = self.page.locator(f"#{row} label", has_text=re.compile(rf"^\s*{choice}"))
        option.click()
        expect(option.locator("input")).to_be_checked()

    def runs(self) -> list[str]:
        """Press Run and wait for the candidates; the progress lines that were seen on the way."""
        self.page.locator(".p-run").click()
        return self.wait_candidates()

    def wait_candidates(self) -> list[str]:
        seen: list[str] = []
        end = time.monotonic() + 180
        while time.monotonic() < end:
            line = self.page.locator(".p-progress-head").inner_text() if self.running else ""
            if line and line not in seen:
                seen.append(line)
            if self.page.locator("#go .p-root[data-state=staged]").count():
                return seen
            self.page.wait_for_timeout(60)
        raise AssertionError(f"no candidates after 180 s; progress was {seen}; messages: {self.messages}")

    @property
    def running(self) -> bool:
        return self.page.locator(".p-progress").is_visible()

    @property
    def messages(self) -> list[str]:
        return [text.strip("\n×") for text in self.page.locator(".p-toast").all_inner_texts()]

    def keeps(self) -> None:
        """Keep the candidate that is shown and wait for its turn."""
        turns = self.turns.count()
        self.page.locator(".p-staging .p-go").click()
        expect(self.turns).to_have_count(turns + 1)

    @property
    def turns(self) -> Locator:
        return self.page.get_by_role("treeitem")

    @property
    def here(self) -> str:
        """Caption of the turn one stands on."""
        title: str | None = self.page.locator(".p-node.p-here").get_attribute("title")
        return title or ""

    def looks(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def exports(self, kind: str) -> None:
        """Choose from the menu of exports by the item's first words."""
        self.page.get_by_role("button", name="Export").click()
        self.page.get_by_role("menuitem", name=re.compile(rf"^{re.escape(kind)}(?! with)")).first.click()

    # Pictures of the screen

    def picture(self) -> tuple[bytes, list[Box]]:
        """The window as PNG, once it stands still: fonts and images loaded, nothing moving, nothing timed.

        With it, where on the window pictures stand that a model had a hand in.
        """
        page = self.page
        page.add_style_tag(content=STILL)
        page.mouse.move(1, 1)
        page.wait_for_function(
            "() => [...document.images].every(i => !i.getAttribute('src') || (i.complete && i.naturalWidth))"
        )
        page.evaluate(UNTIMED)
        last = b""
        for _ in range(10):
            now = page.screenshot(animations="disabled", caret="hide", scale="css")
            if now == last:
                return now, [tuple(box) for box in page.evaluate(MADE)]
            last = now
            page.wait_for_timeout(150)
        raise AssertionError("the page does not come to rest")
