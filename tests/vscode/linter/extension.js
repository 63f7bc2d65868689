// A linter as another extension: an error for every name that begins with `legacy_`.
//
// What it promises of a file `unhandled.py` fails, and nobody handles that. It also notes, in the file that $HOUSE_RULES_GATE names, whether this editor refuses proposed API
// to extensions that have not asked for it, as desktop VS Code does.

const { writeFileSync } = require("node:fs");
const vscode = require("vscode");

exports.activate = (context) => {
  const findings = vscode.languages.createDiagnosticCollection("house-rules");
  const look = (document) => {
    if (document.languageId === "python") {
      findings.set(document.uri, [...document.getText().matchAll(/\blegacy_\w+/g)].map(finding(document)));
    }
  };
  context.subscriptions.push(
    findings,
    vscode.workspace.onDidOpenTextDocument(look),
    vscode.workspace.onDidOpenTextDocument(fail),
    vscode.workspace.onDidChangeTextDocument((event) => look(event.document)),
  );
  vscode.workspace.textDocuments.forEach(look);
  writeFileSync(process.env.HOUSE_RULES_GATE, gateIsClosed() ? "closed" : "open");
};

const fail = ({ fileName }) => {
  if (fileName.endsWith("unhandled.py")) {
    void Promise.reject(new Error("nobody handles this"));
  }
};

const finding = (document) => (match) => {
  const range = new vscode.Range(
    document.positionAt(match.index),
    document.positionAt(match.index + match[0].length),
  );
  const one = new vscode.Diagnostic(range, `${match[0]} is not to be used any more`);
  one.source = "house-rules";
  return one;
};

function gateIsClosed() {
  const provider = {
    provideInlineCompletionItems: () => [],
    handleDidShowCompletionItem: () => undefined,
  };
  try {
    vscode.languages.registerInlineCompletionItemProvider({ language: "plaintext" }, provider).dispose();
    return false;
  } catch {
    return true;
  }
}
