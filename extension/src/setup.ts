/** From the settings to a command line that starts the server, with the user's help if need be. */

import { Unavailable } from "./client";
import { install, INSTALL_DETAIL } from "./install";
import { describe, log } from "./logger";
import { machine, type Folders } from "./machine";
import { resolve, type Launch } from "./python";
import type { Settings } from "./settings";
import { confirm, executeCommand, showError, showInfo, withProgress } from "./vscodeapi";

const INSTALL = "Install the server";
const CHOOSE = "Choose an interpreter";
const SHOW_LOG = "Show log";

/** There is a Python, but no server in it. */
class NotInstalled extends Unavailable {
  constructor(
    reason: string,
    readonly python: string,
  ) {
    super(reason);
  }
}

/** Finds the server, and offers to install it where it is missing. */
export class Setup {
  private reason: Unavailable | undefined;

  constructor(
    private readonly settings: Settings,
    private readonly folders: Folders,
    private readonly installed: () => Promise<void>,
  ) {}

  /** The command line; rejects with `Unavailable`. */
  async find(): Promise<Launch> {
    this.reason = undefined;
    const host = await machine(this.folders);
    const found = await resolve(this.settings.text("falcon.interpreter"), host);
    if (found.kind === "launch") {
      log().info(`Starting the server of ${found.from}.`);
      return found.launch;
    }
    this.reason =
      found.kind === "install" && host.wheel !== ""
        ? new NotInstalled(found.reason, found.python)
        : new Unavailable(found.reason);
    throw this.reason;
  }

  /** Say in one sentence what is missing, with a button that does something about it. */
  async explain(): Promise<void> {
    const reason = this.reason;
    if (reason === undefined) {
      return;
    }
    const buttons = reason instanceof NotInstalled ? [INSTALL, CHOOSE] : [CHOOSE, SHOW_LOG];
    switch (await showError(reason.message, ...buttons)) {
      case INSTALL:
        return this.install();
      case CHOOSE:
        return executeCommand("workbench.action.openSettings", "falcon.interpreter");
      case SHOW_LOG:
        return log().show();
    }
  }

  /** Install what the extension carries, after asking; then start it. */
  async install(): Promise<void> {
    if (!(this.reason instanceof NotInstalled)) {
      await showInfo(this.reason?.message ?? "The server is installed.");
      return;
    }
    const { python } = this.reason;
    if (!(await confirm("Install the falcon-lsp server?", INSTALL_DETAIL, "Install"))) {
      return;
    }
    try {
      await withProgress("Installing the falcon-lsp server", async (report, signal) => {
        const tell = (message: string): void => {
          report(message);
          log().info(message);
        };
        await install(python, await machine(this.folders), tell, signal);
      });
    } catch (error) {
      log().error(`Installing failed: ${describe(error)}`);
      const sentence = "The server could not be installed; the log says why.";
      if ((await showError(sentence, SHOW_LOG)) === SHOW_LOG) {
        log().show();
      }
      return;
    }
    await this.installed();
  }
}
