// Gradio's own fields in the turn panel: what the two parts become, what is kept out, and the rows of choices.

/** @typedef {"subject" | "background"} Part */
export const PARTS = /** @type {const} */ (["subject", "background"]);

/** @typedef {Part | "negative"} Text */
export const TEXTS = /** @type {const} */ ([...PARTS, "negative"]);

/** @param {Part} part */
export const textOf = (part) => /** @type {HTMLTextAreaElement} */ (document.querySelector(`#${part} textarea`));

/** The fields that are in the page: Gradio takes what lies in a closed part of the panel out of it. */
export const textsThere = () => TEXTS.flatMap((text) => {
  const box = document.querySelector(`#${text} textarea`);
  return box instanceof HTMLTextAreaElement ? [{ text, box }] : [];
});

/** Whether Gradio has made them yet. */
export const areThere = () => PARTS.every(textOf);

/** The choice of a row. @param {string} row its element's id */
export const chosenOf = (row) => /** @type {HTMLInputElement | null} */ (document.querySelector(`#${row} input:checked`));

/** Chooses another. @param {string} row @param {string} value */
export function choose(row, value) {
  /** @type {HTMLInputElement | null} */ (document.querySelector(`#${row} input[value="${CSS.escape(value)}"]`))?.click();
}
