// A row of buttons that is one stop of the Tab key: the arrow keys walk along it.
import { targetOf } from "./dom.js";

const BY = new Map([["ArrowLeft", -1], ["ArrowUp", -1], ["ArrowRight", 1], ["ArrowDown", 1]]);

/**
 * Where a key leads from the place `at` of `count`; undefined for a key that leads nowhere.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 */
export function led(key, at, count) {
  const by = BY.get(key), to = by ? at + by : key === "Home" ? 0 : key === "End" ? count - 1 : undefined;
  return to === undefined || at < 0 ? undefined : (to + count) % count;
}

/**
 * Makes it one; gives what is to be called when the items changed.
 * @param {HTMLElement} group
 * @param {string} selector of the items in it
 * @param {((item: HTMLElement) => void) | null} [choose] what else is done with the item that is walked to
 */
export function roving(group, selector, choose = null) {
  /** @returns {HTMLElement[]} */
  const all = () => [...group.querySelectorAll(selector)].filter((node) => node instanceof HTMLElement);
  const items = () => all().filter((node) => !(/** @type {HTMLButtonElement} */ (node).disabled) && !node.hidden);

  /** Leaves one of the items to Tab: the one it goes to now where that can be, else the first. */
  function settle(/** @type {HTMLElement | null} */ wanted = null) {
    const usable = items(), stop = wanted && usable.includes(wanted) ? wanted : usable.find((node) => node.tabIndex === 0) || usable[0];
    for (const node of all()) node.tabIndex = node === stop ? 0 : -1;
  }

  group.addEventListener("focusin", (event) => { if (targetOf(event).matches(selector)) settle(targetOf(event)); });
  group.addEventListener("keydown", (event) => {
    const usable = items(), to = led(event.key, usable.indexOf(targetOf(event)), usable.length);
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    usable[to].focus();
    if (choose) choose(usable[to]);
  });
  return settle;
}
