// Gradio's own fields in the turn panel: the two texts, and the rows of choices.

/** @typedef {"subject" | "background"} Part */
export const PARTS = /** @type {const} */ (["subject", "background"]);

/** @param {Part} part */
export const textOf = (part) => /** @type {HTMLTextAreaElement} */ (document.querySelector(`#${part} textarea`));

/** Whether Gradio has made them yet. */
export const areThere = () => PARTS.every(textOf);

/** The choice of a row. @param {string} row its element's id */
export const chosenOf = (row) => /** @type {HTMLInputElement | null} */ (document.querySelector(`#${row} input:checked`));

/** Chooses another. @param {string} row @param {string} value */
export function choose(row, value) {
  /** @type {HTMLInputElement | null} */ (document.querySelector(`#${row} input[value="${CSS.escape(value)}"]`))?.click();
}
