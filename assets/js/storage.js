// Runs before everything else. Where a browser lets nothing be stored, as in a frame of another site, to ask for its storage
// raises, which Gradio does not expect: what lasts as long as the page takes its place.

class Kept {
  /** @type {Map<string, string>} */
  #items = new Map();
  get length() { return this.#items.size; }
  /** @param {string} name */
  getItem(name) { return this.#items.get(String(name)) ?? null; }
  /** @param {string} name @param {string} value */
  setItem(name, value) { this.#items.set(String(name), String(value)); }
  /** @param {string} name */
  removeItem(name) { this.#items.delete(String(name)); }
  /** @param {number} at */
  key(at) { return [...this.#items.keys()][at] ?? null; }
  clear() { this.#items.clear(); }
}

/** Gives `place` a storage that lasts as long as the page, for each that may not be asked for. @param {any} place */
export function standIn(place) {
  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      place[name].getItem("");
    } catch {
      Object.defineProperty(place, name, { value: new Kept() });
    }
  }
}

standIn(window);
