import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import { Settings, type Manifest } from "../src/settings";
import { editor, settingsChanged } from "./fakes/vscodeapi";

/** Tests run in the folder of package.json. */
const manifest = JSON.parse(readFileSync("package.json", "utf-8")) as Manifest;
const properties = manifest.contributes.configuration.flatMap((group) =>
  Object.entries(group.properties),
);
const machine = properties.filter(([, { scope }]) => scope === "machine").map(([key]) => key);

let settings: Settings;

beforeEach(() => {
  editor.trusted = true;
  editor.workspace.clear();
  properties.forEach(([key, property]) =>
    editor.user.set(key, (property as { default?: unknown }).default),
  );
  settings = new Settings(manifest);
});

describe("machine options", () => {
  for (const key of machine) {
    test(`${key} is never taken from a workspace, trusted or not`, () => {
      editor.user.set(key, "mine");
      editor.workspace.set(key, "hostile");
      for (const trusted of [true, false]) {
        editor.trusted = trusted;
        assert.equal(settings.values()[key], "mine");
        assert.equal(settings.text(key), "mine");
      }
    });
  }

  test("are those that choose what is run or learned, and where things are stored or sent", () => {
    const stored = ["falcon.cacheDir", "falcon.dataDir"];
    const run = ["falcon.engine", "falcon.interpreter", "falcon.model"];
    const learned = ["falcon.learning.objective"];
    const sandbox = ["falcon.sandbox.execute", "falcon.sandbox.interpreter"];
    const told = ["falcon.judgeModel", "falcon.judgeServer", "falcon.memoryServer"];
    assert.deepEqual([...machine].sort(), [...stored, ...run, ...learned, ...sandbox, ...told].sort());
  });
});

test("other options follow a trusted workspace", () => {
  editor.workspace.set("falcon.completion.maxTokens", 12);
  assert.equal(settings.values()["falcon.completion.maxTokens"], 12);
});

test("a folder decides about itself alone, and never what is run", () => {
  const folder = "file:///code/private";
  const decided: [string, unknown][] = [
    ["falcon.enable", false],
    ["falcon.engine", "hostile"],
  ];
  editor.byFolder.set(folder, new Map(decided));
  const there = settings.tree(folder).falcon;
  assert.deepEqual([there["enable"], there["engine"]], [false, "auto"]);
  assert.equal(settings.tree("file:///code/other").falcon["enable"], true);
  assert.equal(settings.tree().falcon["enable"], true);
  editor.byFolder.clear();
});

test("an untrusted workspace decides nothing, and nothing of it is recorded or learned", () => {
  editor.trusted = false;
  editor.workspace.set("falcon.completion.maxTokens", 12);
  editor.workspace.set("falcon.memory.record", true);
  const values = settings.values();
  assert.equal(values["falcon.completion.maxTokens"], 48);
  assert.equal(values["falcon.memory.record"], false);
  assert.equal(values["falcon.learning.enable"], false);
});

test("after repeated crashes memory and learning stay off", () => {
  settings.careful = true;
  const { falcon } = settings.tree();
  assert.deepEqual(
    [falcon["memory.record"], falcon["learning.enable"], falcon["context.recall"]],
    [false, false, false],
  );
});

test("every option of the manifest is sent, without its root", () => {
  const keys = properties.map(([key]) => key.replace("falcon.", ""));
  assert.deepEqual(Object.keys(settings.tree().falcon), keys);
});

const changes: [changed: string, expected: boolean[]][] = [
  ["falcon.completion.maxTokens", [false]],
  ["falcon.languages", [true]],
  ["falcon.interpreter", [true]],
  ["falcon.model", [true]],
  ["editor.fontSize", []],
];

for (const [changed, expected] of changes) {
  const effect = { true: "needs a restart", false: "is pushed" }[String(expected[0])];
  test(`a change of ${changed} ${effect ?? "is of no interest"}`, () => {
    const told: boolean[] = [];
    const registered = settings.onChanged((restart) => told.push(restart));
    settingsChanged.fire((key) => changed === key || changed.startsWith(`${key}.`));
    registered.dispose();
    assert.deepEqual(told, expected);
  });
}
