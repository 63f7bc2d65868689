/**
 * The part of VS Code's API that the extension uses, as plain functions.
 *
 * Only this module and `languageclient.ts` import `vscode` at run time, so that tests can put
 * another one in its place.
 */

import { homedir } from "node:os";
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

/** Change a setting of the user's own, as the settings editor would. */
export async function changeSetting(key: string, value: unknown): Promise<void> {
  await vscode.workspace
    .getConfiguration()
    .update(key, value, vscode.ConfigurationTarget.Global);
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

/** A view that has no entries: the editor shows the words that the manifest has for it. */
export function registerEmptyView(id: string): Dispose {
  return vscode.window.registerTreeDataProvider(id, {
    getChildren: () => [],
    getTreeItem: (item: vscode.TreeItem) => item,
  });
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

/** Ask for a line of text; undefined when the user changed their mind. */
export async function ask(title: string, value: string): Promise<string | undefined> {
  return vscode.window.showInputBox({ title, value });
}

/** Ask where to save a file; undefined when the user changed their mind. */
export async function askWhereToSave(
  name: string,
  kind: string,
  extension: string,
): Promise<string | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file(homedir());
  const defaultUri = vscode.Uri.joinPath(folder, name);
  const filters = { [kind]: [extension] };
  return (await vscode.window.showSaveDialog({ defaultUri, filters }))?.fsPath;
}

/** Ask for a folder; undefined when the user changed their mind. */
export async function askForFolder(title: string): Promise<string | undefined> {
  const options = { title, canSelectFiles: false, canSelectFolders: true };
  return (await vscode.window.showOpenDialog(options))?.[0]?.fsPath;
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

/** A page of our own in an editor tab. */
export interface Panel {
  /** Replace the whole page. */
  show(html: string): void;
  /** Send a message to the page's script. */
  post(message: unknown): void;
  reveal(): void;
  onMessage(listener: (message: unknown) => unknown): void;
  onClosed(listener: () => void): void;
  dispose(): void;
}

/** Open a page that may run scripts and load nothing. */
export function createPanel(id: string, title: string): Panel {
  const options = { enableScripts: true, localResourceRoots: [] };
  const panel = vscode.window.createWebviewPanel(id, title, vscode.ViewColumn.Active, options);
  return {
    show: (html) => (panel.webview.html = html),
    post: (message) => void panel.webview.postMessage(message),
    reveal: () => panel.reveal(),
    onMessage: (listener) => void panel.webview.onDidReceiveMessage(listener),
    onClosed: (listener) => void panel.onDidDispose(listener),
    dispose: () => void panel.dispose(),
  };
}

/** An entry of the menu of code actions. */
export interface Action {
  readonly title: string;
  readonly command: string;
}

/** Offer actions where the user asks for them; never as a light bulb. */
export function registerActions(
  languages: readonly string[],
  actions: (document: vscode.TextDocument) => readonly Action[],
): Dispose {
  const kind = vscode.CodeActionKind.Empty.append("falcon");
  const selector = languages.map((language) => ({ language }));
  const make = ({ title, command }: Action): vscode.CodeAction =>
    Object.assign(new vscode.CodeAction(title, kind), { command: { title, command } });
  return vscode.languages.registerCodeActionsProvider(
    selector,
    {
      provideCodeActions: (document, _, { triggerKind }) =>
        triggerKind === vscode.CodeActionTriggerKind.Invoke ? actions(document).map(make) : [],
    },
    { providedCodeActionKinds: [kind] },
  );
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
