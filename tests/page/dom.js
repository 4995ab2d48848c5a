// A page for the tests: what a browser gives scripts, as far as jsdom has it. Imported before any module of the page.
import { JSDOM } from "jsdom";

const { window } = new JSDOM('<!doctype html><div id="studio"></div>', { url: "http://studio.test/below/", pretendToBeVisual: true });
window.matchMedia = () => ({ matches: false });
window.fetch = () => Promise.reject(new Error("nothing was to be fetched"));
for (const name of ["document", "localStorage", "navigator", "Node", "Element", "HTMLElement", "Event", "InputEvent", "KeyboardEvent", "Image", "CSS"]) Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
globalThis.window = window;

export const { document } = window;
