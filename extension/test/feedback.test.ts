import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { CancellationToken, InlineCompletionContext, Range, TextEditor } from "vscode";
import { FeedbackTracker } from "../src/feedback";
import { OFFERING, registerKeys, watchAnswers } from "../src/inline";
import type { Feedback } from "../src/protocol";
import { at, FakeDocument, suggestion } from "./fakes/document";
import { FakeServer } from "./fakes/server";
import { editor } from "./fakes/vscodeapi";

let server: FakeServer;
let feedback: FeedbackTracker;
let file: FakeDocument;
let time: number;

beforeEach(() => {
  server = new FakeServer();
  time = 1000;
  feedback = new FeedbackTracker(server, () => time);
  file = new FakeDocument("total = \n");
  editor.active = { document: file, selection: { active: at(0, 8) }, selections: [] } as unknown as TextEditor;
  editor.executed.length = 0;
  editor.builtin.clear();
  registerKeys(feedback);
});

function reports(): Feedback[] {
  return server.received("falcon/feedback") as Feedback[];
}

function offer(id: string, text: string, character = 8): void {
  feedback.offered(file.document, at(0, character), [suggestion(id, text)]);
}

/** Press a key of ours while the editor would react with `effect`. */
async function press(name: string, builtin: string, effect: () => void): Promise<void> {
  editor.builtin.set(`editor.action.inlineSuggest.${builtin}`, effect);
  await editor.commands.get(name)?.();
}

const takeWord = (offset: number, piece: string): Promise<void> =>
  press("falcon.acceptWord", "acceptNextWord", () => {
    file.edit(offset, 0, piece);
    const active = at(0, offset + piece.length);
    editor.active = { document: file, selection: { active }, selections: [] } as unknown as TextEditor;
  });

test("Escape hides the suggestion and reports it as rejected, with the time it stood", async () => {
  offer("cmp-1", "sum(items)");
  time += 700;
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(editor.executed, ["editor.action.inlineSuggest.hide"]);
  const [{ eventId, ...rest } = { eventId: "" }] = reports();
  assert.match(eventId, /^evt-[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {
    completionId: "cmp-1",
    outcome: "rejected",
    charsKept: 0,
    elapsedMs: 700,
  });
});

test("a second Escape reports nothing more", async () => {
  offer("cmp-1", "sum(items)");
  await press("falcon.dismiss", "hide", () => undefined);
  await press("falcon.dismiss", "hide", () => undefined);
  assert.equal(reports().length, 1);
});

test("words taken are counted together, in characters", async () => {
  offer("cmp-1", "sum 🙂 items");
  await takeWord(8, "sum");
  await takeWord(11, " 🙂");
  const kept = reports().map(({ outcome, charsKept }) => [outcome, charsKept]);
  assert.deepEqual(kept, [
    ["partial", 3],
    ["partial", 5],
  ]);
});

test("a line taken is reported too", async () => {
  offer("cmp-1", "sum(items)\nprint(total)");
  await press("falcon.acceptLine", "acceptNextLine", () => file.edit(8, 0, "sum(items)"));
  assert.deepEqual(
    reports().map(({ outcome, charsKept }) => [outcome, charsKept]),
    [["partial", 10]],
  );
});

test("a key that took nothing reports nothing", async () => {
  offer("cmp-1", "sum(items)");
  await press("falcon.acceptWord", "acceptNextWord", () => undefined);
  assert.deepEqual(reports(), []);
});

test("the rest of a partly taken suggestion can be dismissed without rejecting it", async () => {
  offer("cmp-1", "sum(items)");
  await takeWord(8, "sum");
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(
    reports().map(({ outcome }) => outcome),
    ["partial"],
  );
});

test("an answer behind a taken piece does not replace the suggestion that is shown", async () => {
  offer("cmp-1", "sum(items)");
  await takeWord(8, "sum");
  offer("cmp-2", "(values)", 11);
  await takeWord(11, "(items");
  assert.deepEqual(
    reports().map(({ completionId }) => completionId),
    ["cmp-1", "cmp-1"],
  );
});

test("behind a taken piece the same text may be taken under the newer answer's id", async () => {
  offer("cmp-1", "sum(items)");
  await takeWord(8, "sum");
  offer("cmp-2", "(items)", 11);
  feedback.changed(file.edit(11, 0, "(items)"));
  feedback.accepted("cmp-2");
  feedback.changed(file.edit(11, 7, "", 1));
  const told = reports().map(({ completionId, outcome }) => [completionId, outcome]);
  assert.deepEqual(told, [
    ["cmp-1", "partial"],
    ["cmp-2", "undone"],
  ]);
});

test("what was typed of a suggestion counts as kept, and its time runs on", async () => {
  offer("cmp-1", "sum(items)");
  time += 400;
  file.edit(8, 0, "su");
  offer("cmp-1", "m(items)", 10);
  time += 300;
  await press("falcon.dismiss", "hide", () => undefined);
  const [{ outcome, charsKept, elapsedMs } = {} as Partial<Feedback>] = reports();
  assert.deepEqual([outcome, charsKept, elapsedMs], ["rejected", 2, 700]);
});

test("an undo of the rest leaves the pieces that were taken before", async () => {
  offer("cmp-1", "sum(items)");
  await takeWord(8, "sum");
  file.edit(11, 0, "(items)");
  feedback.accepted("cmp-1");
  feedback.changed(file.edit(11, 7, "", 1));
  const told = reports().map(({ outcome, charsKept }) => [outcome, charsKept]);
  assert.deepEqual(told, [
    ["partial", 3],
    ["undone", 3],
  ]);
});

test("a newer answer replaces an older one", async () => {
  offer("cmp-1", "sum(items)");
  offer("cmp-2", "um(items)", 9);
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(
    reports().map(({ completionId }) => completionId),
    ["cmp-2"],
  );
});

test("an accepted suggestion is reported by its command alone", async () => {
  offer("cmp-1", "sum(items)");
  feedback.accepted("cmp-1");
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(reports(), []);
});

/** Edits after "sum(items)" was accepted at offset 8: does an undo at the end take it back? */
const undos: [name: string, [number, number, string, (1 | 2)?][], string[]][] = [
  ["an undo of the accept", [[8, 10, "", 1]], ["undone"]],
  [
    "an undo after an edit further up",
    [
      [0, 0, "# note\n"],
      [15, 10, "", 1],
    ],
    ["undone"],
  ],
  ["an undo of something further down", [[18, 1, "", 1]], []],
  ["an undo of something further up", [[0, 5, "", 1]], []],
  ["deleting by hand", [[8, 10, ""]], []],
  [
    "an undo of an edit inside it",
    [
      [12, 1, ""],
      [12, 0, "i", 1],
    ],
    [],
  ],
  ["a redo", [[8, 10, "", 2]], []],
];

for (const [name, edits, expected] of undos) {
  test(`${name} is ${expected.length === 0 ? "not reported" : "reported as undone"}`, () => {
    offer("cmp-1", "sum(items)");
    file.edit(8, 0, "sum(items)");
    feedback.accepted("cmp-1");
    for (const edit of edits) {
      feedback.changed(file.edit(...edit));
    }
    assert.deepEqual(
      reports().map(({ outcome }) => outcome),
      expected,
    );
  });
}

test("line ends of a CRLF document count as two characters", () => {
  file.eol = 2;
  offer("cmp-1", "a\nb");
  file.edit(8, 0, "a\r\nb");
  feedback.accepted("cmp-1");
  feedback.changed(file.edit(11, 1, "", 1));
  assert.deepEqual(
    reports().map(({ outcome }) => outcome),
    ["undone"],
  );
});

test("ghost text of others is not ours to report", async () => {
  feedback.offered(file.document, at(0, 8), [{ insertText: "x" }]);
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(reports(), []);
});

test("a closed document is forgotten", async () => {
  offer("cmp-1", "sum(items)");
  feedback.closed(file.uri.toString());
  await press("falcon.dismiss", "hide", () => undefined);
  assert.deepEqual(reports(), []);
});

const answers: [name: string, cancelled: boolean, texts: string[], offering: boolean][] = [
  ["an answer with a suggestion makes our keys work", false, ["x"], true],
  ["an empty answer takes them back", false, [], false],
  ["a cancelled answer changes nothing", true, ["x"], false],
];

for (const [name, isCancellationRequested, texts, offering] of answers) {
  test(name, async () => {
    editor.contexts.clear();
    const items = texts.map((text) => suggestion("cmp-1", text));
    const token = { isCancellationRequested } as CancellationToken;
    const context = {} as InlineCompletionContext;
    const next = () => Promise.resolve({ items });
    const answer = await watchAnswers(feedback)(file.document, at(0, 8), context, token, next);
    assert.deepEqual(answer, { items });
    assert.equal(editor.contexts.get(OFFERING) ?? false, offering);
    await press("falcon.dismiss", "hide", () => undefined);
    assert.equal(reports().length, offering ? 1 : 0);
  });
}

/** Let the editor go to another suggestion, which may come with a new answer. */
const go = (key: "next" | "previous", answer: string[] = []): Promise<void> =>
  press(`falcon.${key}Suggestion`, key === "next" ? "showNext" : "showPrevious", () => {
    if (answer.length > 0) {
      offerAll(answer);
    }
  });

function offerAll(ids: string[]): void {
  const items = ids.map((id) => suggestion(id, `text of ${id}`));
  feedback.offered(file.document, at(0, 8), items);
}

const moves: [name: string, keys: ("next" | "previous")[], rejected: string][] = [
  ["none", [], "cmp-1"],
  ["the next", ["next"], "cmp-2"],
  ["the next but one", ["next", "next"], "cmp-3"],
  ["around the end", ["next", "next", "next"], "cmp-1"],
  ["around the beginning", ["previous"], "cmp-3"],
  ["there and back", ["next", "previous"], "cmp-1"],
];

for (const [name, keys, rejected] of moves) {
  test(`Escape rejects the suggestion that is shown, having gone to ${name}`, async () => {
    offerAll(["cmp-1", "cmp-2", "cmp-3"]);
    for (const key of keys) {
      await go(key);
    }
    await press("falcon.dismiss", "hide", () => undefined);
    assert.deepEqual(
      reports().map(({ completionId }) => completionId),
      [rejected],
    );
  });
}

test("asked for another, the editor may first get a longer list", async () => {
  offerAll(["cmp-1"]);
  await go("next", ["cmp-2", "cmp-1", "cmp-3"]);
  assert.equal(feedback.shown(file.uri.toString()), "cmp-3");
});

test("the one that was asked for stays when it is offered again, shorter", async () => {
  offerAll(["cmp-1", "cmp-2"]);
  await go("next");
  offerAll(["cmp-1", "cmp-2"]);
  assert.equal(feedback.shown(file.uri.toString()), "cmp-2");
  offerAll(["cmp-1", "cmp-3"]);
  assert.equal(feedback.shown(file.uri.toString()), "cmp-1");
});

test("without a suggestion there is none to go to", async () => {
  await go("next");
  assert.equal(feedback.shown(file.uri.toString()), undefined);
});

for (const [what, active, expected] of [
  ["inside a selection nothing is asked for, and our keys are off", at(0, 8), [0, false]],
  ["a selection that has moved away meanwhile is none", at(0, 7), [1, true]],
] as const) {
  test(what, async () => {
    const selections = [{ isEmpty: true, active: at(0, 8) }, { isEmpty: false, active }];
    editor.active = { document: file, selections } as unknown as TextEditor;
    editor.contexts.set(OFFERING, !expected[1]);
    let asked = 0;
    const next = () => Promise.resolve({ items: [suggestion("cmp-1", "x")], asked: asked++ });
    const token = { isCancellationRequested: false } as CancellationToken;
    const context = {} as InlineCompletionContext;
    await watchAnswers(feedback)(file.document, at(0, 8), context, token, next);
    assert.deepEqual([asked, editor.contexts.get(OFFERING)], expected);
  });
}

test("beside the suggest widget, what is typed of its entry is no part of the suggestion", () => {
  file = new FakeDocument("total = su\n");
  const start = at(0, 8);
  const item = { ...suggestion("cmp-1", "sum(items)"), range: { start, end: at(0, 10) } as Range };
  feedback.offered(file.document, at(0, 10), [item]);
  feedback.changed(file.edit(10, 0, "m(items)"));
  feedback.accepted("cmp-1");
  feedback.changed(file.edit(10, 8, "", 1));
  const told = reports().map(({ outcome, charsKept }) => [outcome, charsKept]);
  assert.deepEqual(told, [["undone", 0]]);
});

test("one can ask for a suggestion", async () => {
  await editor.commands.get("falcon.suggest")?.();
  assert.deepEqual(editor.executed, ["editor.action.inlineSuggest.trigger"]);
});
