import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Menu } from "../src/menu";
import { StatusBar } from "../src/status";
import { FakeServer } from "./fakes/server";
import { editor } from "./fakes/vscodeapi";

let server: FakeServer;
let status: StatusBar;
let restarts: number;
let reports: number;

beforeEach(() => {
  server = new FakeServer();
  status = new StatusBar("falcon.showMenu");
  status.show({ state: "ready" });
  restarts = 0;
  reports = 0;
  editor.answers.length = 0;
  editor.user.clear();
  editor.messages.length = 0;
  editor.presses.length = 0;
  editor.log.length = 0;
  const restart = () => Promise.resolve(void restarts++);
  new Menu({ request: server.request.bind(server), restart }, status, () => reports++).register();
});

const choose = async (label: string): Promise<void> => {
  editor.presses.push(label);
  await editor.commands.get("falcon.showMenu")?.();
};

test("Pause pauses, and the status bar follows", async () => {
  server.status = { state: "paused" };
  await choose("$(debug-pause) Pause");
  assert.deepEqual(server.received("falcon/pause"), [{ paused: true }]);
  assert.equal(status.status.state, "paused");
});

test("when paused, the entry resumes", async () => {
  status.show({ state: "paused" });
  await choose("$(play) Resume");
  assert.deepEqual(server.received("falcon/pause"), [{ paused: false }]);
  assert.equal(status.status.state, "ready");
});

test("Snooze is quiet for half an hour, and the same entry ends it", async () => {
  server.status = { state: "snoozed", snoozedUntil: 2_000_000_000 };
  await choose("$(bell-slash) Snooze for 30 minutes");
  assert.deepEqual(server.received("falcon/snooze"), [{ minutes: 30 }]);
  server.status = { state: "ready" };
  await choose("$(bell) End the snooze");
  assert.deepEqual(server.received("falcon/snooze"), [{ minutes: 30 }, { minutes: 0 }]);
  assert.equal(status.status.state, "ready");
});

const told: [label: string, method: string, message: string][] = [
  ["$(mortar-board) Train now", "falcon/trainNow", "Training with 12 episodes."],
  ["$(history) Roll back the adapter", "falcon/rollback", "Rolled back to ad-3."],
];

for (const [label, method, message] of told) {
  test(`${method} tells what the server says`, async () => {
    server.message = message;
    await choose(label);
    assert.equal(server.received(method).length, 1);
    assert.equal(editor.messages.at(-1), message);
  });
}

test("reasons for silence are listed", async () => {
  server.status = { state: "ready", reasons: [{ time: 1, reason: "timed out" }] };
  await choose("$(question) Why was there no suggestion?");
  assert.equal(editor.messages.at(-1), "Why there was no suggestion, newest first");
});

test("a reason comes with its figures, how often it was, and what to do", async () => {
  const advice = "Lower falcon.completion.threshold.";
  const detail = "chance 8 %, threshold 25 %";
  const reason = { time: 1, reason: "quiet", detail, language: "python", times: 3, advice };
  server.status = { state: "ready", reasons: [reason] };
  await choose("$(question) Why was there no suggestion?");
  const [entry] = editor.picked;
  assert.equal(entry?.label, "quiet");
  assert.match(entry?.description ?? "", /^chance 8 %, threshold 25 % · python · 3 times · /);
  assert.equal(entry?.detail, advice);
});

test("without a reason, the status' own message is the answer", async () => {
  server.status = { state: "loading", message: "Reading the model" };
  await choose("$(question) Why was there no suggestion?");
  assert.equal(editor.messages.at(-1), "Reading the model");
});

test("the log opens and the server restarts", async () => {
  await choose("$(output) Open the log");
  await choose("$(refresh) Restart the server");
  assert.deepEqual(editor.log, ["shown"]);
  assert.equal(restarts, 1);
});

test("a request that fails is told in its own words", async () => {
  server.request = () => Promise.reject(new Error("The server is not running."));
  const restart = () => Promise.resolve();
  new Menu({ request: server.request.bind(server), restart }, status, () => reports++).register();
  await editor.commands.get("falcon.trainNow")?.();
  assert.deepEqual(editor.messages, ["The server is not running."]);
});

test("a file is forgotten when that is confirmed, and not otherwise", async () => {
  const document = { uri: { toString: () => "file:///code/a.py" } };
  editor.active = { document } as unknown as typeof editor.active;
  server.message = "Forgotten: 3 suggestions.";
  editor.presses.push(undefined);
  await editor.commands.get("falcon.forgetFile")?.();
  assert.deepEqual(server.received("falcon/forget"), []);
  editor.presses.push("Forget");
  await editor.commands.get("falcon.forgetFile")?.();
  assert.deepEqual(server.received("falcon/forget"), [{ uri: "file:///code/a.py" }]);
  assert.equal(editor.messages.at(-1), "Forgotten: 3 suggestions.");
  editor.active = undefined;
});

test("the report opens from the menu", async () => {
  await choose("$(graph) What was learned");
  assert.equal(reports, 1);
});

test("how readily to suggest is a setting of the user's own", async () => {
  editor.user.set("falcon.completion.aggressiveness", "balanced");
  editor.presses.push("$(settings) How readily to suggest", "Quiet");
  await editor.commands.get("falcon.showMenu")?.();
  assert.equal(editor.picked[1]?.label, "$(check) Balanced");
  assert.equal(editor.user.get("falcon.completion.aggressiveness"), "quiet");
});

const models: [name: string, press: string, answer: string | undefined, model: unknown][] = [
  ["a known model", "Qwen2.5-Coder 0.5B", undefined, "Qwen/Qwen2.5-Coder-0.5B"],
  ["an id", "$(cloud-download) Another from Hugging Face …", " a/b ", "a/b"],
  ["a folder", "$(folder) A folder …", "/models/mine", "/models/mine"],
  ["nothing, asked for a folder", "$(folder) A folder …", undefined, "default"],
  ["nothing", "", undefined, "default"],
];

for (const [name, press, answer, model] of models) {
  test(`the model can be switched: ${name}`, async () => {
    editor.user.set("falcon.model", "default");
    editor.presses.push(press);
    editor.answers.push(answer);
    await editor.commands.get("falcon.switchModel")?.();
    assert.equal(editor.picked[0]?.label, "$(check) Built in");
    assert.equal(editor.user.get("falcon.model"), model);
  });
}

test("what was declined is listed, and what is chosen may be offered again", async () => {
  const until = Date.UTC(2026, 5, 1, 12) / 1000;
  const common = { path: "a.py", time: 1, until, blocks: true };
  server.rejections = [
    { ...common, id: "cmp-1", text: "\nreturn 1\n", never: false },
    { ...common, id: "cmp-2", text: "return 2", never: true },
  ];
  server.message = "It may be offered again.";
  editor.presses.push("return 2");
  await editor.commands.get("falcon.showRejections")?.();
  const [first, second] = editor.picked;
  assert.deepEqual([first?.label, first?.description], ["return 1", "a.py"]);
  assert.match(first?.detail ?? "", /^kept away until .*2026/);
  assert.equal(second?.detail, "kept away for good");
  assert.deepEqual(server.received("falcon/forgive"), [{ id: "cmp-2" }]);
  assert.equal(editor.messages.at(-1), "It may be offered again.");
});

test("without anything declined there is nothing to choose", async () => {
  await editor.commands.get("falcon.showRejections")?.();
  assert.deepEqual(editor.messages, ["Nothing was declined."]);
});
