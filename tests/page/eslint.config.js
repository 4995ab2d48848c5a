// What is asked of the page's scripts beyond their types.
import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { files: ["assets/js/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["tests/page/**/*.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  {
    rules: {
      eqeqeq: "error",
      "max-lines": ["error", { max: 360, skipBlankLines: true, skipComments: true }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-restricted-globals": ["error", { name: "palimpsest", message: "Import what you need: the handle is for the console and the tests." }],
      // Names come from files and people: they go into the document as text.
      "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: "Use `h`." }))],
      "no-unused-vars": ["error", { args: "after-used", caughtErrors: "all" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
];
