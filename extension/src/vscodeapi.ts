/**
 * The part of VS Code's API that the extension uses, as plain functions.
 *
 * Only this module and `languageclient.ts` import `vscode` at run time, so that tests can put
 * another one in its place.
 */

import * as vscode from "vscode";

export type Dispose = vscode.Disposable;

/** One setting: the value in force, and the value that no workspace had a say in. */
export interface Setting {
  readonly effective: unknown;
  readonly user: unknown;
}

/** Read a setting by its full key, as it is in a folder (its URI) of the workspace, or at large. */
export function setting(key: string, folder?: string): Setting {
  const scope = folder === undefined ? undefined : vscode.Uri.parse(folder);
  const configuration = vscode.workspace.getConfiguration(undefined, scope);
  const layers = configuration.inspect(key);
  return {
    effective: configuration.get(key),
    user: layers?.globalValue ?? layers?.defaultValue,
  };
}

export function onSettingsChanged(listener: (affects: (key: string) => boolean) => void): Dispose {
  return vscode.workspace.onDidChangeConfiguration((event) =>
    listener((key) => event.affectsConfiguration(key)),
  );
}

export function isTrusted(): boolean {
  return vscode.workspace.isTrusted;
}

export function onTrusted(listener: () => void): Dispose {
  return vscode.workspace.onDidGrantWorkspaceTrust(listener);
}

/** Paths of the workspace's folders on disk. */
export function workspaceFolders(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter((folder) => folder.uri.scheme === "file")
    .map((folder) => folder.uri.fsPath);
}

export function registerCommand(name: string, run: () => unknown): Dispose {
  return vscode.commands.registerCommand(name, run);
}

export async function executeCommand(name: string, ...rest: unknown[]): Promise<void> {
  await vscode.commands.executeCommand(name, ...rest);
}

/** Set a key that when-clauses of keybindings can ask for. */
export function setContext(key: string, value: boolean): void {
  void vscode.commands.executeCommand("setContext", key, value);
}

export async function showInfo(message: string, ...buttons: string[]): Promise<string | undefined> {
  return vscode.window.showInformationMessage(message, ...buttons);
}

export async function showError(
  message: string,
  ...buttons: string[]
): Promise<string | undefined> {
  return vscode.window.showErrorMessage(message, ...buttons);
}

/** Ask with a dialog that has to be answered; true when `button` was pressed. */
export async function confirm(message: string, detail: string, button: string): Promise<boolean> {
  const options = { modal: true, detail };
  return (await vscode.window.showInformationMessage(message, options, button)) === button;
}

export async function pick<T extends vscode.QuickPickItem>(
  items: T[],
  title: string,
): Promise<T | undefined> {
  return vscode.window.showQuickPick(items, { title });
}

/** Run `task` under a progress notification that can be cancelled. */
export async function withProgress<T>(
  title: string,
  task: (report: (message: string) => void, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const location = vscode.ProgressLocation.Notification;
  return vscode.window.withProgress({ location, title, cancellable: true }, (progress, token) => {
    const controller = new AbortController();
    token.onCancellationRequested(() => controller.abort());
    return task((message) => progress.report({ message }), controller.signal);
  });
}

export function createStatusBarItem(id: string, name: string): vscode.StatusBarItem {
  const item = vscode.window.createStatusBarItem(id, vscode.StatusBarAlignment.Right, 100);
  item.name = name;
  return item;
}

/** The status bar's background for things that need the user. */
export function warningBackground(): vscode.ThemeColor {
  return new vscode.ThemeColor("statusBarItem.warningBackground");
}

export function activeEditor(): vscode.TextEditor | undefined {
  return vscode.window.activeTextEditor;
}

/** Call `listener` when the cursor of the active editor moves, or another editor becomes active. */
export function onCursorMoved(listener: () => void): Dispose {
  return vscode.Disposable.from(
    vscode.window.onDidChangeActiveTextEditor(() => listener()),
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
      if (textEditor === vscode.window.activeTextEditor) {
        listener();
      }
    }),
  );
}

export function openDocuments(): readonly vscode.TextDocument[] {
  return vscode.workspace.textDocuments;
}

export function onDocumentOpened(listener: (document: vscode.TextDocument) => void): Dispose {
  return vscode.workspace.onDidOpenTextDocument(listener);
}

export function onDocumentChanged(
  listener: (event: vscode.TextDocumentChangeEvent) => void,
): Dispose {
  return vscode.workspace.onDidChangeTextDocument(listener);
}

export function onDocumentClosed(listener: (document: vscode.TextDocument) => void): Dispose {
  return vscode.workspace.onDidCloseTextDocument(listener);
}

export function diagnosticsOf(document: vscode.TextDocument): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(document.uri);
}

export function onDiagnosticsChanged(listener: (uris: readonly vscode.Uri[]) => void): Dispose {
  return vscode.languages.onDidChangeDiagnostics((event) => listener(event.uris));
}

export function createLog(name: string): vscode.LogOutputChannel {
  return vscode.window.createOutputChannel(name, { log: true });
}

/** What another extension exports, once it is active; undefined when it is not installed. */
export async function extensionExports(id: string): Promise<unknown> {
  return vscode.extensions.getExtension(id)?.activate();
}
