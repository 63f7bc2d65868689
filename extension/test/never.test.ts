import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { TextEditor } from "vscode";
import { FeedbackTracker } from "../src/feedback";
import { registerNever } from "../src/never";
import { at, FakeDocument, suggestion } from "./fakes/document";
import { FakeServer } from "./fakes/server";
import { editor } from "./fakes/vscodeapi";

let server: FakeServer;
let feedback: FeedbackTracker;
let file: FakeDocument;

beforeEach(() => {
  server = new FakeServer();
  server.message = "It will not be offered again.";
  feedback = new FeedbackTracker(server);
  file = new FakeDocument("total = \n");
  editor.active = { document: file, selections: [] } as unknown as TextEditor;
  editor.messages.length = 0;
  registerNever(feedback, server, ["python"]);
});

const never = (): unknown => editor.commands.get("falcon.neverSuggest")?.();
const offer = (id: string): void =>
  feedback.offered(file.document, at(0, 8), [suggestion(id, "sum(items)")]);
const methods = (): string[] => server.sent.map(({ method }) => method);

test("the suggestion that is shown is rejected first, and then never offered again", async () => {
  offer("cmp-1");
  await never();
  assert.deepEqual(methods(), ["falcon/feedback", "falcon/never"]);
  assert.deepEqual(server.received("falcon/never"), [{ id: "cmp-1" }]);
  assert.deepEqual(editor.messages, ["It will not be offered again."]);
});

test("without one it is about the last, also where that was taken", async () => {
  offer("cmp-1");
  feedback.accepted("cmp-1");
  await never();
  assert.deepEqual(methods(), ["falcon/never"]);
  assert.deepEqual(server.received("falcon/never"), [{ id: "cmp-1" }]);
});

test("without any, it says so", async () => {
  await never();
  editor.active = undefined;
  await never();
  const sentence = "There was no suggestion in this file yet.";
  assert.deepEqual([editor.messages, server.sent], [[sentence, sentence], []]);
});

test("a server that fails is told in its own words", async () => {
  offer("cmp-1");
  server.request = () => Promise.reject(new Error("The server is not running."));
  await never();
  assert.deepEqual(editor.messages, ["The server is not running."]);
});

test("the action is offered in documents that had a suggestion", () => {
  const titles = (): string[] => editor.actions(file.document).map(({ title }) => title);
  const always = ["Why was there no suggestion?", "Forget this file"];
  assert.deepEqual(titles(), always);
  offer("cmp-1");
  assert.deepEqual(titles(), ["Never suggest this again", ...always]);
  feedback.closed(file.uri.toString());
  assert.deepEqual(titles(), always);
});
