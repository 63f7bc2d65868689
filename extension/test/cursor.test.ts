import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { TextEditor } from "vscode";
import { CursorReporter } from "../src/cursor";
import { at, FakeDocument } from "./fakes/document";
import { FakeServer } from "./fakes/server";
import { cursorMoved, editor } from "./fakes/vscodeapi";

let server: FakeServer;
let reporter: CursorReporter;
let registered: { dispose(): unknown }[];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  server = new FakeServer();
  reporter = new CursorReporter(server, () => ["python"]);
  registered = reporter.register();
});

afterEach(() => {
  registered.forEach((one) => one.dispose());
  editor.active = undefined;
  mock.timers.reset();
});

function move(document: FakeDocument | undefined, line = 0, character = 0): void {
  const selection = { active: at(line, character) };
  editor.active = document && ({ document, selection } as unknown as TextEditor);
  cursorMoved.fire();
}

function told(): unknown[] {
  return server.received("falcon/cursor");
}

test("a cursor at rest is told 100 ms later, and once", () => {
  const file = new FakeDocument("x = 1\n");
  move(file, 0, 1);
  mock.timers.tick(99);
  move(file, 0, 2);
  mock.timers.tick(99);
  assert.deepEqual(told(), []);
  mock.timers.tick(1);
  const place = { uri: "file:///project/a.py", position: { line: 0, character: 2 } };
  assert.deepEqual(told(), [place]);
  move(file, 0, 2);
  mock.timers.tick(1000);
  assert.deepEqual(told(), [place]);
});

test("a new server is told again", () => {
  move(new FakeDocument("x = 1\n"), 0, 2);
  mock.timers.tick(100);
  reporter.tellAgain();
  mock.timers.tick(100);
  assert.equal(told().length, 2);
});

test("what the server does not serve is not told", () => {
  move(new FakeDocument("text", "file:///project/a.md", "markdown"));
  mock.timers.tick(100);
  move(new FakeDocument("x", "git:///project/a.py"));
  mock.timers.tick(100);
  move(undefined);
  mock.timers.tick(100);
  assert.deepEqual(told(), []);
});
