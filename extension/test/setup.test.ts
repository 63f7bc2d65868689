import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { beforeEach, test } from "node:test";
import { Settings, type Manifest } from "../src/settings";
import { MISSING, Setup } from "../src/setup";
import { editor } from "./fakes/vscodeapi";

const posix = { skip: process.platform === "win32" ? "the fake Python is a shell script" : false };
const manifest = { contributes: { configuration: [] } } as unknown as Manifest;
let folder: string;
let restarts: number;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "falcon-"));
  restarts = 0;
  editor.messages.length = 0;
  editor.presses = [];
  editor.user.clear();
  editor.contexts.clear();
  editor.executed.length = 0;
});

/** A setup whose extension carries a wheel, and a Python that says what `says` prints. */
function setup(python: string): Setup {
  mkdirSync(path.join(folder, "server-wheel"));
  writeFileSync(path.join(folder, "server-wheel", "falcon_lsp-1.0.0-py3-none-any.whl"), "");
  const file = path.join(folder, "python");
  writeFileSync(file, `#!/bin/sh\n${python}\n`, { mode: 0o755 });
  editor.user.set("falcon.interpreter", file);
  const folders = { extension: folder, storage: path.join(folder, "storage") };
  return new Setup(new Settings(manifest), folders, () => {
    restarts++;
    return Promise.resolve();
  });
}

const answer = (server = ""): string =>
  `echo '{"executable": "'$0'", "version": [3, 12]${server && `, "server": "${server}"`}}'`;

test("without a server the welcome view is shown, and one sentence offers to install", posix, async () => {
  const one = setup(answer());
  await assert.rejects(one.find(), /not installed yet/);
  assert.equal(editor.contexts.get(MISSING), true);
  editor.presses = ["Choose an interpreter"];
  await one.explain();
  assert.deepEqual(editor.messages, ["The falcon-lsp server is not installed yet."]);
  assert.deepEqual(editor.executed, ["workbench.action.openSettings"]);
});

test("with one the welcome view goes, and wheels that are there are for the model too", posix, async () => {
  const wheels = path.join(folder, "storage", "wheels");
  mkdirSync(wheels, { recursive: true });
  writeFileSync(path.join(wheels, "some-1-py3-none-any.whl"), "");
  const launch = await setup(answer("1.0.0")).find();
  assert.equal(editor.contexts.get(MISSING), false);
  assert.deepEqual(launch.env, { FALCON_WHEELS: wheels });
});

test("a failure is one sentence; who tries again is asked again", posix, async () => {
  const one = setup(`case "$1 $2" in "-m venv") echo ensurepip is not available; exit 1;; esac\n${answer()}`);
  await assert.rejects(one.find(), /not installed yet/);
  editor.presses = ["Install", "Try again", undefined];
  await one.install();
  const [question, sentence, again] = editor.messages;
  assert.equal(question, again);
  assert.match(sentence ?? "", /install its venv package/);
  assert.equal(restarts, 0);
});

test("what is installed is started", posix, async () => {
  const one = setup(`mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; ${answer()}`);
  await assert.rejects(one.find(), /not installed yet/);
  editor.presses = ["Install"];
  await one.install();
  assert.equal(restarts, 1);
});

test("trouble of a running server is told once, until it is over", async () => {
  const one = setup("");
  const trouble = { state: "trouble", message: "pip could not download it: connect." } as const;
  editor.presses = ["Try again", "Show log"];
  await one.troubled(trouble);
  await one.troubled(trouble);
  assert.equal(restarts, 1);
  await one.troubled({ state: "ready" });
  await one.troubled(trouble);
  assert.deepEqual(editor.messages, [trouble.message, trouble.message]);
});
