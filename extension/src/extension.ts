/** Entry point: puts the parts together, and nothing else. */

import type { ExtensionContext } from "vscode";
import { Supervisor, type Listener } from "./client";
import { CursorReporter } from "./cursor";
import { DiagnosticsForwarder } from "./diagnostics";
import { FeedbackTracker } from "./feedback";
import { OFFERING, registerKeys, watchAnswers } from "./inline";
import { startClient } from "./languageclient";
import { closeLog, describe, log } from "./logger";
import { Menu, SHOW_MENU } from "./menu";
import { registerNever } from "./never";
import { LearningReport } from "./report";
import type { Status } from "./protocol";
import { Settings, type Manifest } from "./settings";
import { Setup, WELCOME } from "./setup";
import { StatusBar } from "./status";
import {
  onDocumentChanged,
  onDocumentClosed,
  onTrusted,
  registerCommand,
  registerEmptyView,
  setContext,
  showError,
} from "./vscodeapi";

let supervisor: Supervisor | undefined;

export function activate(context: ExtensionContext): void {
  const settings = new Settings(context.extension.packageJSON as Manifest);
  const folders = { extension: context.extensionPath, storage: context.globalStorageUri.fsPath };
  const status = new StatusBar(SHOW_MENU);
  const setup: Setup = new Setup(settings, folders, () => server.restart());

  const show = (now: Status): void => {
    status.show(now);
    void setup.troubled(now);
  };
  const server: Supervisor = new Supervisor(
    async (careful, died) => {
      settings.careful = careful;
      return startClient({
        launch: await setup.find(),
        cwd: folders.storage,
        settings,
        provide: watchAnswers(feedback),
        accepted: (completionId) => feedback.accepted(completionId),
        statusChanged: show,
        died,
      });
    },
    listener(status, setup, show, () => {
      diagnostics.sendAll();
      cursor.tellAgain();
    }),
  );
  supervisor = server;
  const feedback: FeedbackTracker = new FeedbackTracker(server);
  const languages = (): readonly string[] => settings.languages();
  const diagnostics: DiagnosticsForwarder = new DiagnosticsForwarder(server, languages);
  const cursor: CursorReporter = new CursorReporter(server, languages);
  const report = new LearningReport(server);
  const pushSettings = (): void =>
    server.notify("workspace/didChangeConfiguration", { settings: settings.tree() });

  context.subscriptions.push(
    status,
    ...new Menu(server, status, () => report.open()).register(),
    ...report.register(),
    ...registerKeys(feedback),
    ...registerNever(feedback, server, languages()),
    ...diagnostics.register(),
    ...cursor.register(),
    registerCommand("falcon.install", () => setup.install()),
    registerEmptyView(WELCOME),
    onDocumentChanged((event) => feedback.changed(event)),
    onDocumentClosed((document) => feedback.closed(document.uri.toString())),
    settings.onChanged((restart) => (restart ? void server.restart() : pushSettings())),
    onTrusted(() => void server.restart()),
  );
  void server.restart();
}

/** What the user sees of the server's life. */
function listener(
  status: StatusBar,
  setup: Setup,
  show: (now: Status) => void,
  started: () => void,
): Listener {
  return {
    starting: () => {
      setContext(OFFERING, false);
      status.show({ state: "loading", message: "Starting the server" });
    },
    started: (server) => {
      log().info("The server is running.");
      started();
      server.request("falcon/status", {}).then(show, (error: unknown) =>
        log().warn(describe(error)),
      );
    },
    unavailable: (reason) => {
      status.show({ state: "trouble", message: reason });
      void setup.explain();
    },
    gaveUp: () => {
      const message = "The falcon-lsp server keeps ending; it is not started again by itself.";
      status.show({ state: "trouble", message });
      void showError(message, "Show log", "Restart").then((button) => {
        if (button === "Show log") {
          log().show();
        } else if (button === "Restart") {
          void supervisor?.restart();
        }
      });
    },
  };
}

export async function deactivate(): Promise<void> {
  await supervisor?.stop();
  supervisor = undefined;
  closeLog();
}
