import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { Diagnostic, Uri } from "vscode";
import { DiagnosticsForwarder, findings } from "../src/diagnostics";
import type { Findings } from "../src/protocol";
import { FakeDocument } from "./fakes/document";
import { FakeServer } from "./fakes/server";
import { diagnosticsChanged, documentClosed, documentOpened, editor } from "./fakes/vscodeapi";

let server: FakeServer;
let forwarder: DiagnosticsForwarder;
let file: FakeDocument;
let registered: { dispose(): unknown }[];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  server = new FakeServer();
  file = new FakeDocument("x = y\n");
  editor.documents = [file.document];
  editor.diagnostics.clear();
  forwarder = new DiagnosticsForwarder(server, () => ["python"]);
  registered = forwarder.register();
});

afterEach(() => {
  registered.forEach((one) => one.dispose());
  mock.timers.reset();
});

function diagnostic(line: number, message: string, more: Partial<Diagnostic> = {}): Diagnostic {
  return { range: { start: { line } }, message, severity: 0, ...more } as unknown as Diagnostic;
}

function found(of: FakeDocument, ...diagnostics: Diagnostic[]): void {
  editor.diagnostics.set(of.uri.toString(), diagnostics);
  diagnosticsChanged.fire([of.uri as unknown as Uri]);
}

function sent(): Findings[] {
  return server.received("falcon/diagnostics") as Findings[];
}

test("what is found goes out once, 200 ms later, with the document's version", () => {
  file.version = 7;
  found(
    file,
    diagnostic(3, "undefined name", {
      source: "ruff",
      code: { value: "F821" } as Diagnostic["code"],
    }),
  );
  mock.timers.tick(199);
  assert.deepEqual(sent(), []);
  mock.timers.tick(1);
  const one = { line: 3, severity: 1, message: "undefined name", code: "F821", source: "ruff" };
  assert.deepEqual(sent(), [{ uri: "file:///project/a.py", version: 7, diagnostics: [one] }]);
});

test("changes within 200 ms go out as the last of them", () => {
  found(file, diagnostic(0, "first"));
  mock.timers.tick(100);
  found(file, diagnostic(0, "second"));
  mock.timers.tick(1000);
  assert.deepEqual(
    sent().map(({ diagnostics }) => diagnostics[0]?.message),
    ["second"],
  );
});

test("the same state is not sent again", () => {
  found(file, diagnostic(0, "first"));
  mock.timers.tick(200);
  found(file, diagnostic(0, "first"));
  mock.timers.tick(200);
  assert.equal(sent().length, 1);
});

test("that all is well again is sent", () => {
  found(file, diagnostic(0, "first"));
  mock.timers.tick(200);
  found(file);
  mock.timers.tick(200);
  assert.deepEqual(
    sent().map(({ diagnostics }) => diagnostics.length),
    [1, 0],
  );
});

test("a document that is opened is a state to compare with, even without findings", () => {
  documentOpened.fire(file.document);
  mock.timers.tick(200);
  assert.deepEqual(
    sent().map(({ diagnostics }) => diagnostics),
    [[]],
  );
});

test("a new server is told everything again", () => {
  found(file, diagnostic(0, "first"));
  mock.timers.tick(200);
  forwarder.sendAll();
  mock.timers.tick(200);
  assert.equal(sent().length, 2);
});

test("a document that was closed is told anew when it comes back", () => {
  found(file, diagnostic(0, "first"));
  mock.timers.tick(200);
  documentClosed.fire(file.document);
  documentOpened.fire(file.document);
  mock.timers.tick(200);
  assert.equal(sent().length, 2);
});

const unconcerned: [name: string, FakeDocument][] = [
  ["another language", new FakeDocument("{}", "file:///project/settings.json", "json")],
  ["another scheme", new FakeDocument("x", "git:/project/a.py", "python")],
];

for (const [name, document] of unconcerned) {
  test(`${name} is none of the server's business`, () => {
    editor.documents = [document.document];
    found(document, diagnostic(0, "first"));
    mock.timers.tick(200);
    assert.deepEqual(sent(), []);
  });
}

test("our own findings are left out, and each other one is told once", () => {
  const same = () => diagnostic(1, "same", { source: "mypy" });
  const own = diagnostic(1, "ours", { source: "falcon" });
  assert.deepEqual(
    findings([same(), own, same()]).map(({ message }) => message),
    ["same"],
  );
});
