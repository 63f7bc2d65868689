/** The language client: LSP between the editor and one server process. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  type LanguageClientOptions,
  type Middleware,
} from "vscode-languageclient/node";
import type { Connection } from "./client";
import { describe, log } from "./logger";
import { ACCEPTED, STATUS_CHANGED, type Status } from "./protocol";
import type { Launch } from "./python";
import type { Settings } from "./settings";

type Provide = NonNullable<Middleware["provideInlineCompletionItems"]>;

/** Longest waits for the answer to `initialize`, and for a server to end by itself. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 4_000;

export interface ClientOptions {
  readonly launch: Launch;
  /** Folder to run in: never a workspace, whose files Python could take for modules. */
  readonly cwd: string;
  readonly settings: Settings;
  /** Around every request for inline completion. */
  readonly provide: Provide;
  /** The editor ran the command of a suggestion that was taken. */
  readonly accepted: (completionId: string) => void;
  readonly statusChanged: (status: Status) => void;
  /** The server ended without having been asked to. */
  readonly died: () => void;
}

/** Start the server and connect to it; rejects when it does not come up. */
export async function startClient(options: ClientOptions): Promise<Connection> {
  const child = await startProcess(options.launch, options.cwd);
  let running = false;
  const client = new QuietClient(
    "falcon-lsp",
    "falcon-lsp",
    () => Promise.resolve(child),
    clientOptions(options, () => {
      if (running) {
        running = false;
        options.died();
      }
    }),
  );
  client.onNotification(STATUS_CHANGED, options.statusChanged);
  try {
    await within(client.start(), START_TIMEOUT_MS, "The server did not answer in time.");
    running = true;
  } catch (error) {
    child.kill();
    throw error;
  }
  return {
    request: (method, params) => client.sendRequest(method, params),
    notify: (method, params) => void client.sendNotification(method, params).catch(note),
    stop: async () => {
      running = false;
      await client.dispose(STOP_TIMEOUT_MS).catch(note);
      child.kill();
    },
  };
}

/** Leaves failures to the log: a pop-up for each of them would help nobody. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

function clientOptions(options: ClientOptions, closed: () => void): LanguageClientOptions {
  const { settings, provide, accepted } = options;
  return {
    documentSelector: settings
      .languages()
      .flatMap((language) => ["file", "untitled"].map((scheme) => ({ language, scheme }))),
    initializationOptions: settings.tree(),
    outputChannel: log(),
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    stdioOptions: { stdout: logLines, stderr: logLines },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        closed();
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    initializationFailedHandler: () => false,
    middleware: {
      provideInlineCompletionItems: provide,
      executeCommand: (command, args, next) => {
        if (command === ACCEPTED && typeof args[0] === "string") {
          accepted(args[0]);
        }
        return next(command, args) as unknown;
      },
      workspace: {
        // Only our own reading of the settings knows which of them a workspace may decide.
        configuration: ({ items }) =>
          items.map(({ section, scopeUri }) =>
            section === "falcon" ? settings.tree(scopeUri).falcon : null,
          ),
        didChangeConfiguration: () => Promise.resolve(),
      },
    },
  };
}

async function startProcess({ command, args, ...launch }: Launch, cwd: string): Promise<ChildProcess> {
  const env = { ...process.env, ...launch.env, PYTHONUTF8: "1" };
  const child = spawn(command, args, { cwd, env, windowsHide: true });
  await once(child, "spawn");
  return child;
}

/** The server writes its log to standard error, each line with its level. */
function logLines(input: Readable): void {
  createInterface({ input }).on("line", (line) => {
    if (/\b(ERROR|CRITICAL)\b/.test(line)) {
      log().error(line);
    } else {
      log().info(line);
    }
  });
}

async function within<T>(work: Promise<T>, milliseconds: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function note(error: unknown): void {
  log().warn(describe(error));
}
