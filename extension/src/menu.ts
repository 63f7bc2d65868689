/** The commands that a person runs, and the menu behind the status bar that lists them. */

import { describe, log } from "./logger";
import type { Reason, Requests } from "./protocol";
import type { Supervisor } from "./client";
import { newestFirst, type StatusBar } from "./status";
import { activeEditor, confirm, pick, registerCommand, showError, showInfo, type Dispose } from "./vscodeapi";

/** The command of the status bar item. */
export const SHOW_MENU = "falcon.showMenu";

/** How long one snooze lasts. */
export const SNOOZE_MINUTES = 30;

/** Commands on a running server and its status. */
export class Menu {
  constructor(
    private readonly server: Pick<Supervisor, "request" | "restart">,
    private readonly status: StatusBar,
  ) {}

  register(): Dispose[] {
    return [
      registerCommand(SHOW_MENU, () => this.open()),
      registerCommand("falcon.togglePause", () => this.togglePause()),
      registerCommand("falcon.snooze", () => this.toggleSnooze()),
      registerCommand("falcon.trainNow", () => this.ask("falcon/trainNow")),
      registerCommand("falcon.rollback", () => this.ask("falcon/rollback")),
      registerCommand("falcon.whyNoSuggestion", () => this.explain()),
      registerCommand("falcon.forgetFile", () => this.forgetFile()),
      registerCommand("falcon.showLog", () => log().show()),
      registerCommand("falcon.restart", () => this.server.restart()),
    ];
  }

  private async open(): Promise<void> {
    const paused = this.status.status.state === "paused";
    const entries: { label: string; run: () => unknown }[] = [
      paused
        ? { label: "$(play) Resume", run: () => this.togglePause() }
        : { label: "$(debug-pause) Pause", run: () => this.togglePause() },
      this.status.status.state === "snoozed"
        ? { label: "$(bell) End the snooze", run: () => this.toggleSnooze() }
        : {
            label: `$(bell-slash) Snooze for ${SNOOZE_MINUTES} minutes`,
            run: () => this.toggleSnooze(),
          },
      { label: "$(mortar-board) Train now", run: () => this.ask("falcon/trainNow") },
      { label: "$(history) Roll back the adapter", run: () => this.ask("falcon/rollback") },
      { label: "$(question) Why was there no suggestion?", run: () => this.explain() },
      { label: "$(output) Open the log", run: () => log().show() },
      { label: "$(refresh) Restart the server", run: () => this.server.restart() },
    ];
    const chosen = await pick(entries, "falcon-lsp");
    await chosen?.run();
  }

  private async togglePause(): Promise<void> {
    const paused = this.status.status.state !== "paused";
    await this.attempt(async () => {
      await this.server.request("falcon/pause", { paused });
      await this.refresh();
    });
  }

  private async toggleSnooze(): Promise<void> {
    const minutes = this.status.status.state === "snoozed" ? 0 : SNOOZE_MINUTES;
    await this.attempt(async () => {
      await this.server.request("falcon/snooze", { minutes });
      await this.refresh();
    });
  }

  private async ask(method: "falcon/trainNow" | "falcon/rollback"): Promise<void> {
    await this.attempt(async () => {
      const answer: Requests[typeof method]["result"] = await this.server.request(method, {});
      await this.refresh();
      if (answer?.message) {
        await showInfo(answer.message);
      }
    });
  }

  private async forgetFile(): Promise<void> {
    const document = activeEditor()?.document;
    if (document === undefined) {
      await showInfo("Open the file that is to be forgotten.");
      return;
    }
    const question = "Forget everything that was recorded of this file?";
    const detail = "What was learned from it goes as well. This cannot be undone.";
    if (await confirm(question, detail, "Forget")) {
      await this.attempt(async () => {
        const uri = document.uri.toString();
        const answer = await this.server.request("falcon/forget", { uri });
        await showInfo(answer?.message ?? "Forgotten.");
      });
    }
  }

  private async explain(): Promise<void> {
    await this.attempt(() => this.refresh());
    const reasons = newestFirst(this.status.status.reasons ?? []);
    if (reasons.length === 0) {
      await showInfo(this.status.status.message || "No request has gone without a suggestion yet.");
      return;
    }
    await pick(reasons.map(explained), "Why there was no suggestion, newest first");
  }

  private async refresh(): Promise<void> {
    this.status.show(await this.server.request("falcon/status", {}));
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await showError(describe(error));
    }
  }
}

/** A reason as an entry of a list: what it was, when and how often, and what to do about it. */
function explained({ time, reason, detail, language, times = 1, advice }: Reason): {
  label: string;
  description: string;
  detail: string;
} {
  const when = new Date(time * 1000).toLocaleTimeString();
  const often = times > 1 ? `${times} times` : "";
  return {
    label: reason,
    description: [detail, language, often, when].filter(Boolean).join(" · "),
    detail: advice ?? "",
  };
}
