// What the page says, read from its scripts: every sentence has one in each catalogue, and none is written past it.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import ts from "typescript";

import { document } from "./dom.js";

const SCRIPTS = new URL("../../assets/js/", import.meta.url), CATALOGUES = new URL("../../assets/locale/", import.meta.url);
const SEEN = ["text", "title", "aria-label", "placeholder", "alt", "hint", "reason"]; // attributes that people read or hear
const NAMES = ["Palimpsest", "PNG", "JPEG", "WebP", "PSD", "LoRA", "English", "Deutsch"]; // what is called the same everywhere

/** The sentences that a call may be given, or null where they are not to be read from it. */
function sentences(node) {
  if (ts.isStringLiteral(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return sentences(node.expression);
  if (!ts.isConditionalExpression(node)) return null;
  const both = [node.whenTrue, node.whenFalse].map(sentences);
  return both.includes(null) ? null : both.flat();
}

const said = new Set(), unread = [], unsaid = [];
for (const name of readdirSync(SCRIPTS).filter((file) => file.endsWith(".js") && file !== "language.js")) {
  const file = ts.createSourceFile(name, readFileSync(new URL(name, SCRIPTS), "utf8"), ts.ScriptTarget.ES2022, true);
  const place = (node) => `${name}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1} ${node.getText(file).slice(0, 80)}`;
  const words = (node) => { // those of an attribute, wherever a choice leads
    if (ts.isConditionalExpression(node)) return [node.whenTrue, node.whenFalse].forEach(words);
    if (ts.isTemplateExpression(node) && [node.head, ...node.templateSpans.map((span) => span.literal)].some(({ text }) => /\p{L}{2}/u.test(text))) unsaid.push(place(node));
    if (ts.isStringLiteralLike(node) && /\p{L}{2}/u.test(node.text) && !NAMES.includes(node.text)) unsaid.push(place(node));
  };
  const visit = (node) => {
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && ["say", "many"].includes(node.expression.text)) {
      const given = node.expression.text === "say" ? [node.arguments[0]] : node.arguments.slice(1, 3);
      for (const one of given) for (const sentence of sentences(one) ?? (unread.push(place(node)), [])) said.add(sentence);
    }
    if (ts.isPropertyAssignment(node) && SEEN.includes(node.name.text)) words(node.initializer);
    if (ts.isBinaryExpression(node) && ts.isPropertyAccessExpression(node.left) && ["textContent", "title", "placeholder", "alt"].includes(node.left.name.text)) words(node.right);
    if (ts.isCallExpression(node) && node.expression.getText(file) === "toast") words(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(file);
}

const placeholders = (sentence) => [...sentence.matchAll(/\{\w+\}/g)].map(String).sort();

test("sentences stand in the code as they are, so that they can be found there", () => {
  assert.deepEqual(unread, []);
  assert.deepEqual(unsaid, []);
  assert.ok(said.size > 300);
});

for (const name of readdirSync(CATALOGUES)) test(`${name} has a sentence for each, none for nobody, with the same places in it`, () => {
  const { page } = JSON.parse(readFileSync(new URL(name, CATALOGUES), "utf8"));
  assert.deepEqual([...said].filter((sentence) => !page[sentence]), []);
  assert.deepEqual(Object.keys(page).filter((sentence) => !said.has(sentence)), []);
  for (const [sentence, other] of Object.entries(page)) assert.deepEqual(placeholders(other), placeholders(sentence), sentence);
});

test("a sentence is said in the page's language, with its values, and in English where there is no other", async () => {
  window.gradio_config = { language: "de", words: { "{count} turns": "{count} Schritte" } };
  const { many, number, say } = await import("../../assets/js/language.js?anew");
  assert.deepEqual([many(2, "{count} turn", "{count} turns"), many(1, "{count} turn", "{count} turns"), say("Run {a} {b}", { a: "{b}" })], ["2 Schritte", "1 turn", "Run {b} {b}"]);
  assert.deepEqual([number(1234.5, 2), number(12)], ["1.234,50", "12"]);
  assert.equal(document.documentElement.lang, "de");
});
