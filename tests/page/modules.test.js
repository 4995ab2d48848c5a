// How the scripts hang together, read from their imports.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../assets/js/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
const imports = new Map(files.map((name) => {
  const text = readFileSync(new URL(name, FOLDER), "utf8");
  return [name, [...text.matchAll(/^(?:import|export) (?:.* from )?"\.\/(.+)";$/gm)].map((match) => match[1])];
}));

test("every import leads to a file, and no file is imported by nobody and mounted nowhere", () => {
  assert.ok(files.length > 30);
  const known = new Set([...imports.values()].flat());
  assert.deepEqual([...known].filter((name) => !imports.has(name)), []);
  const roots = files.filter((name) => !known.has(name));
  const held = roots.filter((name) => ["main.js", "storage.js"].includes(name) || /^export (const panel|\{ panel \})/m.test(readFileSync(new URL(name, FOLDER), "utf8")));
  assert.deepEqual(roots, held);
});

test("no file imports itself through others", () => {
  const done = new Set();
  const visit = (name, way) => {
    assert.ok(!way.includes(name), `a circle: ${[...way, name].join(" -> ")}`);
    if (done.has(name)) return;
    for (const next of imports.get(name)) visit(next, [...way, name]);
    done.add(name);
  };
  for (const name of files) visit(name, []);
});

test("every file opens by saying what lives there", () => {
  assert.deepEqual(files.filter((name) => !readFileSync(new URL(name, FOLDER), "utf8").startsWith("// ")), []);
});
