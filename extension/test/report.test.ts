import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { beforeEach, test } from "node:test";
import { frame, LearningReport } from "../src/report";
import { FakeServer } from "./fakes/server";
import { editor, type FakePanel } from "./fakes/vscodeapi";

const folder = mkdtempSync(path.join(tmpdir(), "falcon-report-"));
let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  editor.panels.length = 0;
  editor.messages.length = 0;
  editor.presses.length = 0;
  editor.answers.length = 0;
  new LearningReport(server).register();
});

async function open(): Promise<FakePanel> {
  await editor.commands.get("falcon.showReport")?.();
  const panel = editor.panels.at(-1);
  assert.ok(panel);
  await panel.say({ action: "ready" });
  server.sent.length = 0;
  panel.posted.length = 0;
  return panel;
}

test("nothing runs in the page but our script, and nothing is loaded", () => {
  const page = frame("body { color: red }", "abc123");
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1];
  assert.equal(
    policy,
    "default-src 'none'; style-src 'nonce-abc123'; script-src 'nonce-abc123'; " +
      "form-action 'none'; base-uri 'none'",
  );
  assert.deepEqual(page.match(/<(script|style|link|img)[^>]*>/g), [
    '<style nonce="abc123">',
    '<script nonce="abc123">',
  ]);
  assert.equal(page.match(/<\/script>/g)?.length, 1);
  assert.doesNotMatch(page, /https?:/);
});

test("each page has a nonce of its own", async () => {
  const nonces = new Set<string | undefined>();
  for (let n = 0; n < 3; n++) {
    const panel = await open();
    nonces.add(/script-src 'nonce-([\w-]{24})'/.exec(panel.html)?.[1]);
    panel.dispose();
  }
  assert.equal(nonces.size, 3);
  assert.ok(!nonces.has(undefined));
});

test("the page gets its style at first, and the report when it says that it is there", async () => {
  await editor.commands.get("falcon.showReport")?.();
  const [panel] = editor.panels;
  assert.match(panel?.html ?? "", /<style nonce="[\w-]+">body { color: red }<\/style>/);
  assert.doesNotMatch(panel?.html ?? "", /<h1>/);
  assert.deepEqual(panel?.posted, []);
  await panel?.say({ action: "ready" });
  assert.deepEqual(panel?.posted, [{ html: "<h1>Report</h1>", said: "" }]);
  assert.equal(server.received("falcon/report").length, 1);
});

test("a page that comes back from behind another tab gets the figures of now", async () => {
  const panel = await open();
  server.report = { html: "<h1>Later</h1>", style: "" };
  await panel.say({ action: "ready" });
  assert.deepEqual(panel.posted, [{ html: "<h1>Later</h1>", said: "" }]);
});

test("asked for twice at once, one page opens", async () => {
  const show = editor.commands.get("falcon.showReport");
  await Promise.all([show?.(), show?.()]);
  assert.equal(editor.panels.length, 1);
});

test("without a server no page opens, and that is said once", async () => {
  server.request = () => Promise.reject(new Error("The server is not running."));
  await editor.commands.get("falcon.showReport")?.();
  assert.deepEqual([editor.panels, editor.messages], [[], ["The server is not running."]]);
});

test("asked for again it comes to the front with the figures of now", async () => {
  const panel = await open();
  await editor.commands.get("falcon.showReport")?.();
  assert.deepEqual([editor.panels.length, panel.reveals, panel.posted.length], [1, 1, 1]);
  panel.dispose();
  await editor.commands.get("falcon.showReport")?.();
  assert.equal(editor.panels.length, 2);
});

const asked: [message: object, method: string, params: object][] = [
  [{ action: "train" }, "falcon/trainNow", {}],
  [{ action: "rollback" }, "falcon/rollback", {}],
  [{ action: "rollback", id: "adp-1" }, "falcon/rollback", { id: "adp-1" }],
  [{ action: "forgive", id: "cmp-1" }, "falcon/forgive", { id: "cmp-1" }],
];

for (const [message, method, params] of asked) {
  test(`${JSON.stringify(message)} asks for ${method} and shows what came of it`, async () => {
    const panel = await open();
    server.message = "Done.";
    await panel.say(message);
    assert.deepEqual(server.received(method), [params]);
    assert.deepEqual(panel.posted, [{ html: "<h1>Report</h1>", said: "Done." }]);
  });
}

const forgotten: [message: object, params: object, question: RegExp][] = [
  [{ action: "forget", id: "cmp-1" }, { completionId: "cmp-1" }, /of this suggestion\?/],
  [
    { action: "forgetFile", workspace: "file:///w", path: "a.py" },
    { workspace: "file:///w", path: "a.py" },
    /of a\.py\?/,
  ],
];

for (const [message, params, question] of forgotten) {
  test(`${JSON.stringify(message)} forgets when that is confirmed, and not otherwise`, async () => {
    const panel = await open();
    editor.presses.push(undefined);
    await panel.say(message);
    assert.deepEqual(server.received("falcon/forget"), []);
    editor.presses.push("Forget");
    await panel.say(message);
    assert.deepEqual(server.received("falcon/forget"), [params]);
    assert.match(editor.messages.at(-1) ?? "", question);
  });
}

test("a search goes on until another one", async () => {
  const panel = await open();
  await panel.say({ action: "search", search: "total" });
  await panel.say({ action: "train" });
  assert.deepEqual(server.received("falcon/report"), [{ search: "total" }, { search: "total" }]);
  assert.deepEqual(panel.posted[0], { html: "<h1>Report</h1>", said: "Searched for total." });
});

const nonsense: unknown[] = [
  null,
  3,
  "train",
  [],
  {},
  { action: "unknown" },
  { action: 3 },
  { action: "constructor" },
];

for (const message of nonsense) {
  test(`${JSON.stringify(message)} from the page does nothing`, async () => {
    const panel = await open();
    await panel.say(message);
    assert.deepEqual([server.sent, panel.posted, editor.messages], [[], [], []]);
  });
}

test("what is remembered is written part by part, a line for each event", async () => {
  const file = path.join(folder, "memory.jsonl");
  server.exported = [['{"a": 1}', '{"b": "ü"}'], ['{"c": 3}']];
  editor.answers.push(file);
  const panel = await open();
  await panel.say({ action: "export" });
  assert.equal(readFileSync(file, "utf-8"), '{"a": 1}\n{"b": "ü"}\n{"c": 3}\n');
  assert.deepEqual(server.received("falcon/export"), [{ after: 0 }, { after: 1 }, { after: 2 }]);
  assert.deepEqual(panel.posted, [{ html: "<h1>Report</h1>", said: `3 events were written to ${file}.` }]);
});

test("an export by command is told without the report being open", async () => {
  const file = path.join(folder, "by-command.jsonl");
  server.exported = [['{"a": 1}']];
  editor.answers.push(file);
  await editor.commands.get("falcon.exportMemory")?.();
  assert.deepEqual(editor.messages, [`1 events were written to ${file}.`]);
  assert.deepEqual(server.received("falcon/report"), []);
});

test("the report is saved as a page of its own", async () => {
  const file = path.join(folder, "report.html");
  editor.answers.push(file);
  const panel = await open();
  await panel.say({ action: "save" });
  assert.deepEqual(server.received("falcon/report")[0], { search: "", whole: true });
  assert.equal(readFileSync(file, "utf-8"), "<h1>Report</h1>");
});

test("who changes their mind about a file writes none", async () => {
  editor.answers.push(undefined, undefined);
  const panel = await open();
  await panel.say({ action: "save" });
  await panel.say({ action: "export" });
  assert.deepEqual(server.sent, []);
});

test("a failure is told in one sentence", async () => {
  const panel = await open();
  server.request = () => Promise.reject(new Error("The server is not running."));
  await panel.say({ action: "train" });
  assert.deepEqual(editor.messages, ["The server is not running."]);
});
