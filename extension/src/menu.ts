/** The commands that a person runs, and the menu behind the status bar that lists them. */

import { chooseAggressiveness, chooseModel, listReasons, listRejections } from "./choices";
import type { Supervisor } from "./client";
import { describe, log } from "./logger";
import type { Requests } from "./protocol";
import type { StatusBar } from "./status";
import {
  activeEditor,
  confirm,
  pick,
  registerCommand,
  showError,
  showInfo,
  type Dispose,
} from "./vscodeapi";

/** The command of the status bar item. */
export const SHOW_MENU = "falcon.showMenu";

/** How long one snooze lasts. */
export const SNOOZE_MINUTES = 30;

interface Entry {
  readonly label: string;
  readonly run: () => unknown;
}

/** Commands on a running server and its status. */
export class Menu {
  constructor(
    private readonly server: Pick<Supervisor, "request" | "restart">,
    private readonly status: StatusBar,
    private readonly showReport: () => unknown,
  ) {}

  register(): Dispose[] {
    const declined = (): Promise<void> => this.attempt(() => listRejections(this.server));
    return [
      registerCommand(SHOW_MENU, () => this.open(declined)),
      registerCommand("falcon.togglePause", () => this.togglePause()),
      registerCommand("falcon.snooze", () => this.toggleSnooze()),
      registerCommand("falcon.chooseAggressiveness", () => this.attempt(chooseAggressiveness)),
      registerCommand("falcon.switchModel", () => this.attempt(chooseModel)),
      registerCommand("falcon.trainNow", () => this.ask("falcon/trainNow")),
      registerCommand("falcon.rollback", () => this.ask("falcon/rollback")),
      registerCommand("falcon.showRejections", declined),
      registerCommand("falcon.whyNoSuggestion", () => this.explain()),
      registerCommand("falcon.forgetFile", () => this.forgetFile()),
      registerCommand("falcon.showLog", () => log().show()),
      registerCommand("falcon.restart", () => this.server.restart()),
    ];
  }

  private async open(declined: () => Promise<void>): Promise<void> {
    const entries: Entry[] = [
      ...this.quieter(),
      { label: "$(question) Why was there no suggestion?", run: () => this.explain() },
      { label: "$(graph) What was learned", run: this.showReport },
      { label: "$(discard) What was declined", run: declined },
      { label: "$(mortar-board) Train now", run: () => this.ask("falcon/trainNow") },
      { label: "$(history) Roll back the adapter", run: () => this.ask("falcon/rollback") },
      { label: "$(server) Switch the model", run: () => this.attempt(chooseModel) },
      { label: "$(output) Open the log", run: () => log().show() },
      { label: "$(refresh) Restart the server", run: () => this.server.restart() },
    ];
    const chosen = await pick(entries, "falcon-lsp");
    await chosen?.run();
  }

  /** The entries that make it say less, or more again. */
  private quieter(): Entry[] {
    const { state } = this.status.status;
    const snooze = `$(bell-slash) Snooze for ${SNOOZE_MINUTES} minutes`;
    return [
      {
        label: state === "paused" ? "$(play) Resume" : "$(debug-pause) Pause",
        run: () => this.togglePause(),
      },
      {
        label: state === "snoozed" ? "$(bell) End the snooze" : snooze,
        run: () => this.toggleSnooze(),
      },
      { label: "$(settings) How readily to suggest", run: () => this.attempt(chooseAggressiveness) },
    ];
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
    await listReasons(this.status.status);
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
