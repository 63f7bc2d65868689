/** Stands in for `src/vscodeapi.ts`: an editor of plain values, which tests set and look at. */

import type {
  Diagnostic,
  LogOutputChannel,
  QuickPickItem,
  StatusBarItem,
  TextDocument,
  TextEditor,
  Uri,
} from "vscode";
import type * as real from "../../src/vscodeapi";

type Api = typeof real;

/** Listeners of one event. */
class Event<T> {
  private readonly listeners = new Set<(value: T) => void>();

  readonly on = (listener: (value: T) => void): real.Dispose => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };

  fire(value: T): void {
    this.listeners.forEach((listener) => listener(value));
  }
}

/** A page of ours, and what was sent to it. */
export class FakePanel implements real.Panel {
  html = "";
  posted: unknown[] = [];
  reveals = 0;
  private heard: (message: unknown) => unknown = () => undefined;
  private closed: () => void = () => undefined;

  readonly show = (html: string): void => void (this.html = html);
  readonly post = (message: unknown): void => void this.posted.push(message);
  readonly reveal = (): void => void this.reveals++;
  readonly onMessage = (listener: (message: unknown) => unknown): void =>
    void (this.heard = listener);
  readonly onClosed = (listener: () => void): void => void (this.closed = listener);
  readonly dispose = (): void => this.closed();

  /** The page's script says something; what follows from it is done on return. */
  async say(message: unknown): Promise<void> {
    await this.heard(message);
  }
}

/** The editor's state, and what was done to it. */
export const editor = {
  user: new Map<string, unknown>(),
  workspace: new Map<string, unknown>(),
  /** What single folders decide, by URI and key. */
  byFolder: new Map<string, Map<string, unknown>>(),
  trusted: true,
  folders: [] as string[],
  active: undefined as TextEditor | undefined,
  documents: [] as TextDocument[],
  diagnostics: new Map<string, Diagnostic[]>(),
  contexts: new Map<string, boolean>(),
  commands: new Map<string, () => unknown>(),
  /** What commands of the editor itself do. */
  builtin: new Map<string, () => void>(),
  executed: [] as string[],
  /** Messages shown, and the buttons that will be pressed, in order. */
  messages: [] as string[],
  /** The entries of the list shown last. */
  picked: [] as QuickPickItem[],
  presses: [] as (string | undefined)[],
  log: [] as string[],
  /** Answers to questions for a text, a file or a folder, in order. */
  answers: [] as (string | undefined)[],
  panels: [] as FakePanel[],
  /** The actions that are offered where the user asks. */
  actions: (() => []) as Parameters<Api["registerActions"]>[1],
  statusBar: [] as StatusBarItem[],
};

export const settingsChanged = new Event<(key: string) => boolean>();
export const trustGranted = new Event<void>();
export const cursorMoved = new Event<void>();
export const documentOpened = new Event<TextDocument>();
export const documentChanged = new Event<Parameters<Parameters<Api["onDocumentChanged"]>[0]>[0]>();
export const documentClosed = new Event<TextDocument>();
export const diagnosticsChanged = new Event<readonly Uri[]>();

export const setting: Api["setting"] = (key, folder = "") => {
  const layers = [editor.byFolder.get(folder), editor.workspace, editor.user];
  return {
    effective: layers.find((layer) => layer?.has(key))?.get(key),
    user: editor.user.get(key),
  };
};
export const changeSetting: Api["changeSetting"] = (key, value) => {
  editor.user.set(key, value);
  return Promise.resolve();
};
export const onSettingsChanged: Api["onSettingsChanged"] = settingsChanged.on;
export const isTrusted: Api["isTrusted"] = () => editor.trusted;
export const onTrusted: Api["onTrusted"] = trustGranted.on;
export const workspaceFolders: Api["workspaceFolders"] = () => editor.folders;

export const registerCommand: Api["registerCommand"] = (name, run) => {
  editor.commands.set(name, run);
  return { dispose: () => editor.commands.delete(name) };
};
export const registerEmptyView: Api["registerEmptyView"] = () => ({ dispose: () => undefined });
export const executeCommand: Api["executeCommand"] = (name) => {
  editor.executed.push(name);
  editor.builtin.get(name)?.();
  return Promise.resolve();
};
export const setContext: Api["setContext"] = (key, value) => void editor.contexts.set(key, value);

const answer = (message: string): Promise<string | undefined> => {
  editor.messages.push(message);
  return Promise.resolve(editor.presses.shift());
};
export const showInfo: Api["showInfo"] = answer;
export const showError: Api["showError"] = answer;
export const confirm: Api["confirm"] = async (message, _, button) =>
  (await answer(message)) === button;
export const pick: Api["pick"] = async (items, title) => {
  editor.picked = items;
  const label = await answer(title);
  return items.find((item) => item.label === label);
};
const nextAnswer = (): Promise<string | undefined> => Promise.resolve(editor.answers.shift());
export const ask: Api["ask"] = nextAnswer;
export const askWhereToSave: Api["askWhereToSave"] = nextAnswer;
export const askForFolder: Api["askForFolder"] = nextAnswer;
export const createPanel: Api["createPanel"] = () => {
  const panel = new FakePanel();
  editor.panels.push(panel);
  return panel;
};
export const registerActions: Api["registerActions"] = (_, actions) => {
  editor.actions = actions;
  return { dispose: () => (editor.actions = () => []) };
};
export const withProgress: Api["withProgress"] = (_, task) =>
  task(() => undefined, new AbortController().signal);

export const createStatusBarItem: Api["createStatusBarItem"] = (id, name) => {
  const item = { id, name, show: () => undefined, dispose: () => undefined };
  editor.statusBar.push(item as unknown as StatusBarItem);
  return item as unknown as StatusBarItem;
};
export const warningBackground: Api["warningBackground"] = () => ({ id: "warning" });

export const activeEditor: Api["activeEditor"] = () => editor.active;
export const onCursorMoved: Api["onCursorMoved"] = cursorMoved.on;
export const openDocuments: Api["openDocuments"] = () => editor.documents;
export const onDocumentOpened: Api["onDocumentOpened"] = documentOpened.on;
export const onDocumentChanged: Api["onDocumentChanged"] = documentChanged.on;
export const onDocumentClosed: Api["onDocumentClosed"] = documentClosed.on;
export const diagnosticsOf: Api["diagnosticsOf"] = (document) =>
  editor.diagnostics.get(document.uri.toString()) ?? [];
export const onDiagnosticsChanged: Api["onDiagnosticsChanged"] = diagnosticsChanged.on;

export const createLog: Api["createLog"] = () => {
  const write = (line: string): void => void editor.log.push(line);
  const log = { trace: write, debug: write, info: write, warn: write, error: write };
  return {
    ...log,
    show: () => write("shown"),
    dispose: () => undefined,
  } as unknown as LogOutputChannel;
};
export const extensionExports: Api["extensionExports"] = () => Promise.resolve(undefined);
