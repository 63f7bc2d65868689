/**
 * What compilers and linters say, on its way to the server: their change after a suggestion was
 * taken is feedback on it.
 */

import type { Diagnostic, TextDocument } from "vscode";
import { OWN_SOURCES, type Finding, type Server } from "./protocol";
import {
  diagnosticsOf,
  onDiagnosticsChanged,
  onDocumentClosed,
  onDocumentOpened,
  openDocuments,
  type Dispose,
} from "./vscodeapi";

/** Changes within so many milliseconds go out as one. */
const DELAY_MS = 200;
const SCHEMES = ["file", "untitled"];
const MAX_FINDINGS = 500;
const MAX_MESSAGE = 500;

/** Sends the diagnostics of open documents in enabled languages, each state once. */
export class DiagnosticsForwarder {
  /** The last state sent, as JSON, by document. */
  private readonly sent = new Map<string, string>();
  private readonly pending = new Set<string>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly server: Server,
    private readonly languages: () => readonly string[],
  ) {}

  register(): Dispose[] {
    return [
      onDiagnosticsChanged((uris) => this.look(uris.map(String))),
      onDocumentOpened((document) => this.look([document.uri.toString()])),
      onDocumentClosed((document) => this.sent.delete(document.uri.toString())),
      { dispose: () => clearTimeout(this.timer) },
    ];
  }

  /** Tell a new server all there is: also that nothing is wrong is a state to compare with. */
  sendAll(): void {
    this.sent.clear();
    this.look(openDocuments().map((document) => document.uri.toString()));
  }

  private look(uris: readonly string[]): void {
    uris.forEach((uri) => this.pending.add(uri));
    this.timer ??= setTimeout(() => this.flush(), DELAY_MS);
  }

  private flush(): void {
    this.timer = undefined;
    const due = openDocuments().filter((document) => this.pending.has(document.uri.toString()));
    this.pending.clear();
    due.filter((document) => this.concerns(document)).forEach((document) => this.send(document));
  }

  private concerns({ languageId, uri }: TextDocument): boolean {
    return SCHEMES.includes(uri.scheme) && this.languages().includes(languageId);
  }

  private send(document: TextDocument): void {
    const uri = document.uri.toString();
    const diagnostics = findings(diagnosticsOf(document));
    const state = JSON.stringify(diagnostics);
    if (this.sent.get(uri) !== state) {
      this.sent.set(uri, state);
      this.server.notify("falcon/diagnostics", { uri, version: document.version, diagnostics });
    }
  }
}

/** The findings of others, each once. */
export function findings(diagnostics: readonly Diagnostic[]): Finding[] {
  const foreign = diagnostics.filter(({ source }) => !OWN_SOURCES.includes(source ?? ""));
  const unique = new Map(foreign.map(finding).map((one) => [JSON.stringify(one), one]));
  return [...unique.values()].slice(0, MAX_FINDINGS);
}

function finding({ range, severity, message, code, source }: Diagnostic): Finding {
  const value = typeof code === "object" ? code.value : code;
  return {
    line: range.start.line,
    severity: severity + 1, // VS Code counts severities from 0, LSP from 1
    message: message.slice(0, MAX_MESSAGE),
    ...(value === undefined ? {} : { code: String(value) }),
    ...(source === undefined ? {} : { source }),
  };
}
