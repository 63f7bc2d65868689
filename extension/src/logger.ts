/** The extension's log: an output channel with levels, never with source text. */

import type { LogOutputChannel } from "vscode";
import { createLog } from "./vscodeapi";

let channel: LogOutputChannel | undefined;

/** The output channel, created when first used. */
export function log(): LogOutputChannel {
  channel ??= createLog("falcon-lsp");
  return channel;
}

/** Close the channel; the next use opens a new one. */
export function closeLog(): void {
  channel?.dispose();
  channel = undefined;
}

/** What an error says, without its stack. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
