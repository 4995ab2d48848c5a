// The studio's shortcuts as one table: what each does, which key does it unless another was chosen, and what this browser
// keeps of that. Keys are written as `b`, `mod+z` or `mod+shift+z`; `mod` is Ctrl, or ⌘ on a Mac. No two do the same.
import { say } from "./language.js";
import "./storage.js";

export const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const KEPT = "palimpsest.keys";

/** @typedef {"picture" | "looking" | "files" | "sessions" | "turn" | "timeline"} Group */
/**
 * @typedef {object} Action
 * @property {Group} group where it is listed
 * @property {string} says what it does
 * @property {string[]} usual its keys, the one that is told first
 */
/** @param {Group} group @param {string} says @param {...string} usual @returns {Action} */
const action = (group, says, ...usual) => ({ group, says, usual });

export const ACTIONS = {
  include: action("picture", say("Include"), "c"), exclude: action("picture", say("Exclude"), "n"), box: action("picture", say("Box"), "r"),
  scribble: action("picture", say("Scribble"), "s"), lasso: action("picture", say("Lasso"), "l"), wand: action("picture", say("Wand"), "w"),
  brush: action("picture", say("Brush"), "b"), erase: action("picture", say("Erase"), "e"), refine: action("picture", say("Refine an edge"), "f"),
  smaller: action("picture", say("Smaller brush"), "["), larger: action("picture", say("Larger brush"), "]"), clear: action("picture", say("Clear the marks"), "x"),
  see: action("looking", say("Picture"), "1"), compare: action("looking", say("Before / after"), "2"), difference: action("looking", say("Difference"), "3"), layers: action("looking", say("Layers"), "4"),
  peek: action("looking", say("Picture before, while held"), "\\"), nearer: action("looking", say("Nearer"), "+", "="), further: action("looking", say("Further away"), "-"),
  fit: action("looking", say("All of it"), "0"), whole: action("looking", say("One pixel as one"), "9"),
  open: action("files", say("To where files are opened"), "mod+o"), copy: action("files", say("Copy the picture"), "mod+c"),
  sessions: action("sessions", say("All sessions"), "g"),
  run: action("turn", say("Run, or keep the candidate"), "mod+enter"), cancel: action("turn", say("Cancel the run"), "mod+."),
  undo: action("turn", say("Undo a mark or a turn"), "mod+z"), redo: action("turn", say("Redo"), ...(mac ? ["mod+shift+z"] : ["mod+y", "mod+shift+z"])),
  help: action("turn", say("These shortcuts"), "?"),
  menu: action("timeline", say("What can be done with the turn"), "m"),
};
/** @typedef {keyof typeof ACTIONS} Id */
export const IDS = /** @type {Id[]} */ (Object.keys(ACTIONS));

const BROWSERS = new Set([..."adfhjklnpqrstuvwx0123456789+-=", ..."abcdijkmnopqrstvwx".split("").map((key) => `shift+${key}`)]);

/** The key that was pressed; empty for one that only goes with others. @param {KeyboardEvent} event */
export function pressed(event) {
  const { key } = event, placed = /^Key([A-Z])$/.exec(event.code);
  if (/^(Control|Shift|Alt|AltGraph|Meta|CapsLock|Fn|Dead|Process|Unidentified)$/.test(key)) return "";
  // On a keyboard for other letters, the letter that the key's place has on a Latin one.
  const name = key === " " ? "space" : key.length === 1 && key > "~" && placed ? placed[1].toLowerCase() : key.toLowerCase();
  // Some keyboards have brackets and the like on a third level, which is reached with Alt, or with Ctrl and Alt.
  if (/^[!-/:-@[-`{-~]$/.test(key) && (event.getModifierState("AltGraph") || (mac && event.altKey))) return name;
  if (event.altKey || (mac ? event.ctrlKey : event.metaKey)) return `other+${name}`;
  if (!(mac ? event.metaKey : event.ctrlKey)) return name;
  return `mod+${event.shiftKey && /^[a-z]$/.test(name) ? "shift+" : ""}${name}`;
}

/** A key in words. @param {string} key */
export function shown(key) {
  /** @type {Record<string, string>} */
  const names = { mod: mac ? "⌘" : say("Ctrl"), shift: say("Shift"), other: mac ? say("Ctrl") : "Alt", enter: say("Enter") };
  return key.split(/\+(?=.)/).map((part) => names[part] ?? part.charAt(0).toUpperCase() + part.slice(1)).join(" ");
}

/** Why a shortcut may not have that key, in a sentence; empty where it may. @param {string} key */
export function refusal(key) {
  const name = key.replace(/^mod\+(shift\+)?/, "");
  if (key.startsWith("other+")) return say("{key} belongs to the system. Press a letter, a digit or a sign, alone or with {mod}.", { key: shown(key), mod: shown("mod") });
  if (key.startsWith("mod+") && BROWSERS.has(key.slice(4)) && !IDS.some((id) => ACTIONS[id].usual.includes(key))) return say("{key} belongs to the browser. Press another key.", { key: shown(key) });
  if (name.length > 1 && key !== "mod+enter") return say("{key} has its fixed meaning in the page. Press a letter, a digit or a sign, alone or with {mod}.", { key: shown(key), mod: shown("mod") });
  return "";
}

/** @returns {Record<Id, string[]>} */
const usual = () => /** @type {Record<Id, string[]>} */ (Object.fromEntries(IDS.map((id) => [id, ACTIONS[id].usual])));

/** What was kept, over what is usual; all is as usual where it makes no sense. @param {string | null} text @returns {Record<Id, string[]>} */
export function read(text) {
  /** @type {unknown} */
  let kept = null;
  try { kept = JSON.parse(text || "null"); } catch { /* it is not from here */ }
  const changed = kept && typeof kept === "object" ? Object.entries(kept).filter(([id]) => id in ACTIONS) : [];
  const found = { ...usual(), ...Object.fromEntries(changed) }, all = Object.values(found).flat();
  const sound = Object.values(found).every((keys) => Array.isArray(keys) && keys.length && keys.every((key) => typeof key === "string" && key && !refusal(key)));
  return sound && new Set(all).size === all.length ? found : usual();
}

let keys = read(localStorage.getItem(KEPT));

function keep() {
  const changed = IDS.filter((id) => !isUsual(id));
  if (changed.length) localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(changed.map((id) => [id, keys[id]]))));
  else localStorage.removeItem(KEPT);
}

/** Its keys, the one that is told first. @param {Id} id */
export const keysOf = (id) => keys[id];

/** Its key in words. @param {Id} id */
export const keyOf = (id) => shown(keys[id][0]);

/** @param {Id} id */
export const isUsual = (id) => keys[id].join(" ") === ACTIONS[id].usual.join(" ");

/** Which shortcut has that key. @param {string} key @returns {Id | null} */
export const holder = (key) => IDS.find((id) => keys[id].includes(key)) ?? null;

/** Gives it that key. Who had it and has no other gets what it had. @param {Id} id @param {string} key */
export function give(id, key) {
  const other = holder(key);
  if (other && other !== id) {
    const left = keys[other].filter((one) => one !== key);
    keys[other] = left.length ? left : keys[id];
  }
  keys[id] = [key];
  keep();
}

/** As usual again, with those that have its usual keys now. @param {Id} id */
export function reset(id) {
  const back = new Set([id]);
  for (const one of back) for (const key of ACTIONS[one].usual) back.add(holder(key) ?? one); // a set is gone through to what is added meanwhile
  for (const one of back) keys[one] = ACTIONS[one].usual;
  keep();
}

/** All as usual. */
export function resetAll() {
  keys = usual();
  keep();
}
