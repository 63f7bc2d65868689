import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { ExtensionContext } from "vscode";
import { activate, deactivate } from "../src/extension";
import { server, started } from "./fakes/languageclient";
import { diagnosticsChanged, editor, settingsChanged, trustGranted } from "./fakes/vscodeapi";

const manifest: unknown = JSON.parse(readFileSync("package.json", "utf-8"));
const folder = mkdtempSync(path.join(tmpdir(), "falcon-"));
let context: ExtensionContext;

/** A program that answers like a Python that has the server. */
function fakePython(): string {
  const file = path.join(folder, "python");
  const answer = JSON.stringify({ executable: file, version: [3, 12], server: "1.0.0" });
  writeFileSync(file, `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
  return file;
}

/** The status bar's item, as far as tests look at it. */
function bar(): { text?: string; tooltip: string } {
  return editor.statusBar[0] as unknown as { text?: string; tooltip: string };
}

/** Wait until `what` holds; the test runner's own limit ends a wait in vain. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) {
    await new Promise(setImmediate);
  }
}

beforeEach(() => {
  editor.messages.length = 0;
  editor.statusBar.length = 0;
  started.length = 0;
  server.sent.length = 0;
  context = {
    extension: { packageJSON: manifest },
    extensionPath: folder,
    globalStorageUri: { fsPath: path.join(folder, "storage") },
    subscriptions: [],
  } as unknown as ExtensionContext;
});

afterEach(async () => {
  await deactivate();
  context.subscriptions.forEach((one) => void one.dispose());
});

test("without a server the user is told once, in one sentence, with a button", async () => {
  editor.user.set("falcon.interpreter", "/nowhere/python");
  activate(context);
  await until(() => editor.messages.length > 0);
  const sentence = "The Python in the setting falcon.interpreter cannot be run: /nowhere/python";
  assert.deepEqual(editor.messages, [sentence]);
  assert.match(bar().tooltip, /not working\nThe Python in the setting/);
  assert.deepEqual(started, []);
});

const posix = { skip: process.platform === "win32" ? "the fake Python is a shell script" : false };

test(
  "with one, it is started outside of any workspace and asked for its status",
  posix,
  async () => {
    const python = fakePython();
    editor.user.set("falcon.interpreter", python);
    server.status = { state: "ready", model: "smollm2" };
    activate(context);
    await until(() => bar().text === "$(sparkle) falcon");
    assert.equal(server.received("falcon/status").length, 1);
    assert.equal(started[0]?.launch.command, python);
    assert.equal(started[0]?.cwd, path.join(folder, "storage"));
    assert.match(bar().tooltip, /Model: smollm2/);

    settingsChanged.fire((key) => ["falcon", "falcon.completion.maxTokens"].includes(key));
    assert.equal(server.received("workspace/didChangeConfiguration").length, 1);
    assert.equal(started.length, 1);

    settingsChanged.fire((key) => ["falcon", "falcon.model"].includes(key));
    await until(() => started.length === 2);
    trustGranted.fire();
    await until(() => started.length === 3);

    started[2]?.statusChanged({ state: "learning" });
    assert.equal(bar().text, "$(mortar-board) falcon");
  },
);

test("every command of the manifest is there once the extension is active", () => {
  editor.commands.clear();
  activate(context);
  const { contributes } = manifest as { contributes: { commands: { command: string }[] } };
  const names = contributes.commands.map(({ command }) => command).sort();
  assert.deepEqual([...editor.commands.keys()].sort(), names);
});

test("after its end nothing of the extension is left listening", async () => {
  activate(context);
  await deactivate();
  context.subscriptions.forEach((one) => void one.dispose());
  server.sent.length = 0;
  settingsChanged.fire(() => true);
  diagnosticsChanged.fire([]);
  assert.deepEqual([...editor.commands.keys()], []);
  assert.deepEqual(server.sent, []);
});
