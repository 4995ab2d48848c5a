// Light or dark: what the style sheets draw from are their tokens, and the page's root says which ones count.
import "./storage.js";

const KEY = "palimpsest.theme";
const root = document.documentElement;

/** @returns {"light" | "dark"} */
export const theme = () => (root.dataset.theme === "light" ? "light" : "dark");

/** The other one from now on, in this browser. */
export function turnTheme() {
  root.dataset.theme = theme() === "light" ? "dark" : "light";
  localStorage.setItem(KEY, root.dataset.theme);
}

root.dataset.theme = localStorage.getItem(KEY) === "light" ? "light" : "dark";
