"""The light and the dark theme: chosen with one button, kept by the browser, and every text legible in both."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.desk import DESKTOP, sat_down

pytestmark = pytest.mark.browser

LEAST = 4.5
"""Contrast of a text with what is behind it (WCAG 2.2, 1.4.3)."""

FAINT = """(least) => {
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return text.startsWith('color(')
    ? [...n.slice(0, 3).map((v) => 255 * v), n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => c.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3]));
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at), c = rgba(style.backgroundColor);
      if (style.backgroundImage !== 'none' || at.matches('.p-frame, .p-cover, .p-thumb')) return null;
      layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const dimmed = (node) => node.closest(':disabled, [inert], [aria-disabled="true"], [hidden]')
    || node.closest('label')?.control?.disabled
    || (() => {
      for (let at = node; at; at = at.parentElement) if (getComputedStyle(at).opacity !== '1') return true;
    })();
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || !node || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest('.p-sr, script, style, [aria-hidden="true"]') || dimmed(node)) continue;
    const box = node.getBoundingClientRect(), ground = behind(node);
    if (!ground || box.width < 2 || box.height < 2) continue;
    seen += 1;
    const ink = over(rgba(getComputedStyle(node).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < least) faint.push(`${text.slice(0, 40)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return { seen, faint };
}"""
"""Texts whose contrast is less than `least`, of those that can be used and lie on a plain ground; and how many were
looked at."""


RUNNING = """() => palimpsest.set({ view: { ...palimpsest.state.view, job: { id: 'job', does: 'edit', state: 'running',
  error: null, stage: 'guidance', step: 3, total: 12, seconds_left: 8, ahead: 0, preview: 0,
  stages: [{ name: 'embeddings', fraction: 1 }, { name: 'guidance', fraction: 0.25 }] } } })"""
STOPPED = "palimpsest.set({ view: { ...palimpsest.state.view, job: null } })"
TROUBLED = """() => {
  for (const tone of ['bad', 'note', 'good']) palimpsest.toast(`A message that is ${tone}.`, tone);
  palimpsest.receive({ confirm: { text: 'The model was made for other pictures.', does: 'run' } });
  palimpsest.set({ away: true });
}"""
"""A run, and all that can go wrong at once, as the page draws them: no model is needed for that."""


def faint(page: Page) -> list[str]:
    page.wait_for_timeout(400)  # Gradio lets some colours fade into each other
    found = page.evaluate(FAINT, LEAST)
    assert found["seen"] > 10, "a page without texts says nothing"
    texts: list[str] = found["faint"]
    return texts


def test_the_theme_is_turned_kept_and_legible(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        page = desk.page
        root = page.locator("html")
        expect(root).to_have_attribute("data-theme", "dark")
        assert faint(page) == []
        page.get_by_role("button", name="Light theme").click()
        expect(root).to_have_attribute("data-theme", "light")
        assert faint(page) == []
        page.reload()
        expect(root).to_have_attribute("data-theme", "light")
        expect(page.get_by_role("button", name="Dark theme")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"

        desk.open_example("Duck on the beach")
        page.screenshot(path=failures / "theme-light.png")
        assert faint(page) == []
        page.evaluate(RUNNING)
        expect(page.locator(".p-bar.p-on")).to_be_visible()
        page.screenshot(path=failures / "theme-light-running.png")
        assert faint(page) == []
        page.evaluate(STOPPED)
        page.evaluate(TROUBLED)
        expect(page.locator(".p-confirm")).to_be_visible()
        page.screenshot(path=failures / "theme-light-troubled.png")
        assert faint(page) == []
        page.evaluate("palimpsest.set({ away: false })")
        page.get_by_role("button", name="Dark theme").click()
        expect(root).to_have_attribute("data-theme", "dark")
        assert faint(page) == []


def test_a_field_of_gradio_is_drawn_from_the_same_tokens(browser: Browser, url: str) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        desk.open_example("Duck on the beach")
        field = desk.page.locator("#background textarea")
        expect(field).to_have_css("color", "rgb(236, 238, 241)")
        desk.page.get_by_role("button", name="Light theme").click()
        expect(field).to_have_css("color", "rgb(26, 29, 33)")
